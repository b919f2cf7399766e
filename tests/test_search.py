"""Searches: their spaces, trials that can be killed, and what is said of the winner."""

import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from conftest import ROOT, Done
from optuna.trial import TrialState
from scipy import stats

from mnist_mlp.cli import search as search_command
from mnist_mlp.config.compose import composing
from mnist_mlp.errors import Problem
from mnist_mlp.report.text import MINUS
from mnist_mlp.search import confirmation as winner
from mnist_mlp.search import space, summary
from mnist_mlp.search.trials import Search, suggest

Script = Callable[..., Done]

SPACE = """
fixed: [data.steps_per_epoch=3, trainer=cpu, width=10]
space:
  activation: [relu, tanh]
  lr: {low: 0.001, high: 0.1, log: true}
  epochs: {low: 1, high: 2}
  model.hidden_sizes: ["[${width}]", "[${width},${width}]"]
seeds: [100, 101]
trials: 3
"""


@pytest.fixture
def composed() -> Iterator[None]:
    with composing():
        yield


def write(folder: Path, text: str = SPACE) -> Path:
    path = folder / "small.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "mnist_mlp" / "search" / "spaces").glob("*.yaml"))
)
@pytest.mark.usefixtures("composed")
def test_every_space_that_is_shipped_can_be_drawn_from(name: str, tmp_path: Path) -> None:
    drawn_from = space.read(name)
    study = optuna.create_study()
    for _ in range(20):
        trial = study.ask()
        config = drawn_from.config(suggest(trial, drawn_from), drawn_from.seeds[0], tmp_path)
        assert config.test == "none"
        study.tell(trial, 0.5)


def test_a_search_leaves_a_winner_that_can_be_run(
    script: Script, command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    line = [write(tmp_path), "--runs-dir", tmp_path / "searched", "--fresh", 2]
    done = script("search.py", *line)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    folder = tmp_path / "searched" / "searches" / "small"
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert "[3 trials](trials.csv) (3 completed, 0 pruned, 0 diverged)" in page
    trials = pd.read_csv(folder / "trials.csv")
    assert list(trials.columns[:4]) == ["trial", "state", "val_accuracy", "seconds"]
    assert list(trials.columns[4:]) == ["activation", "lr", "epochs", "model.hidden_sizes"]
    assert trials.state.to_list() == ["completed"] * 3
    title, _, conclusion, *_ = page.splitlines()
    assert title == "# Search small"
    assert conclusion.strip("*") in done.stdout.splitlines()
    assert "With so few fresh seeds" in conclusion or "though not shown" in conclusion
    assert "the luck of the trial that was selected" in page
    confirmed = pd.read_csv(folder / "confirmation.csv")
    assert list(confirmed.seeds) == ["search", "search", "fresh", "fresh"] * 2
    assert f"{100 * confirmed.test_accuracy[2:4].mean():.2f}" in page
    assert (folder / "history.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "parameters.png").read_bytes().startswith(b"\x89PNG")
    assert command("--config-dir", str(folder), "experiment=small_winner", "seed=100", "data.split_seed=0") == 0
    trained = capsys.readouterr().out
    with composing():
        found = Search(space.read(str(tmp_path / "small.yaml")), tmp_path / "searched")
    assert trials.val_accuracy.max() == found.best.value
    (accuracy, _) = found.best.user_attrs["accuracies"]
    assert f"{accuracy:.2%}" in trained
    (repeat,) = re.findall(r"Command: `python scripts/search.py (.*?)`", page)
    assert "3 of 3 trials" in script("search.py", *shlex.split(repeat)).stdout
    assert (folder / "README.md").read_text(encoding="utf-8") == page


@pytest.mark.parametrize("name", ["what?", "a#b", "100%", "%41", "a?mode=memory", "{b}", "one two", "ñ"])
@pytest.mark.usefixtures("composed")
def test_a_study_lies_in_its_folder_whatever_the_folders_name(name: str, tmp_path: Path) -> None:
    found = Search(space.read(str(write(tmp_path))), tmp_path / name)
    assert found.study.study_name == "small"
    with sqlite3.connect(tmp_path / name / "searches" / "small" / "study.db") as database:
        assert database.execute("select study_name from studies").fetchall() == [("small",)]
    database.close()
    assert {path.name for path in tmp_path.iterdir()} == {name, "small.yaml"}


@pytest.mark.slow
def test_several_processes_share_a_study(tmp_path: Path) -> None:
    line = [str(ROOT / "scripts" / "search.py"), str(write(tmp_path)), "--runs-dir", str(tmp_path / "runs")]
    options = ["--fresh", "1", "--trials", "3", "--jobs", "2"]
    done = subprocess.run([sys.executable, *line, *options], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    with composing():
        found = Search(space.read(str(tmp_path / "small.yaml")), tmp_path / "runs")
    assert len(found.study.trials) == len(found.done) == 3


@pytest.mark.usefixtures("composed")
def test_no_run_of_a_search_looks_at_the_test_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mnist_mlp import mnist

    load = mnist.load

    def only_training(directory: Path, train: bool) -> mnist.Records:
        assert train
        return load(directory, train)

    monkeypatch.setattr(mnist, "load", only_training)
    Search(space.read(str(write(tmp_path))), tmp_path / "runs").run(trials=1, job=0, threads=1)


@pytest.mark.usefixtures("composed")
def test_a_trial_that_diverges_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    text = SPACE.replace("lr: {low: 0.001, high: 0.1, log: true}", "lr: [1.0e+30]").replace("[relu, tanh]", "[relu]")
    found = Search(space.read(str(write(tmp_path, text))), tmp_path / "runs")
    found.run(trials=2, job=0, threads=1)
    assert [trial.user_attrs.get("diverged") for trial in found.done] == [True, True]
    with pytest.raises(Problem, match="none of the 2 trials is completed"):
        _ = found.best


@pytest.mark.usefixtures("composed")
def test_a_trial_that_is_worse_than_the_others_is_pruned_and_its_run_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Search(space.read(str(write(tmp_path, SPACE.replace("low: 1, high: 2", "low: 2, high: 2")))), tmp_path)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: True)
    found.run(trials=1, job=0, threads=1)
    (trial,) = found.done
    assert trial.state == TrialState.PRUNED
    assert list(trial.intermediate_values) == [5]  # tenths
    (record,) = found.folder.glob("*/seed100/result.json")
    assert '"status": "interrupted"' in record.read_text(encoding="utf-8")


@pytest.mark.parametrize(("epochs", "tenths"), [(1, [10]), (3, [3, 6, 10]), (12, list(range(1, 11)))])
@pytest.mark.usefixtures("composed")
def test_trials_of_any_length_are_compared_by_the_tenths_that_are_done(
    tmp_path: Path, epochs: int, tenths: list[int]
) -> None:
    text = SPACE.replace("low: 1, high: 2", f"low: {epochs}, high: {epochs}").replace("[100, 101]", "[100]")
    found = Search(space.read(str(write(tmp_path, text))), tmp_path)
    found.run(trials=1, job=0, threads=1)
    assert list(found.done[0].intermediate_values) == tenths


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on(script: Script, tmp_path: Path) -> None:
    path = write(tmp_path, SPACE.replace("steps_per_epoch=3", "steps_per_epoch=100").replace("high: 2", "high: 8"))
    line = [sys.executable, str(ROOT / "scripts" / "search.py"), str(path), "--runs-dir", str(tmp_path / "runs")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True) as process:
        assert process.stdout
        assert "0 of 3 trials" in process.stdout.readline()
        folder = tmp_path / "runs" / "searches" / "small"
        while not list(folder.glob("*/seed100/checkpoints/last.ckpt")):
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    done = script("search.py", path, "--runs-dir", tmp_path / "runs", "--fresh", 1)
    assert done.returncode == 0, done.stderr
    assert "[3 trials](trials.csv) (3 completed" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_search_that_is_interrupted_says_that_it_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mnist_mlp.training.train", interrupt)
    monkeypatch.setattr(sys, "argv", ["search.py", str(write(tmp_path)), "--runs-dir", str(tmp_path / "runs")])
    with pytest.raises(KeyboardInterrupt):
        search_command.main()
    shown = capfd.readouterr()
    assert shown.out.endswith("\ninterrupted; the same command resumes the search\n")
    assert shown.err == ""


def confirmation(fresh: Sequence[float], searched: Sequence[float] = (0.985,)) -> winner.Confirmation:
    """Confirm a winner by its accuracies, beside a reference with 0.975 and more in the search and in fresh seeds."""
    reference = (0.975, 0.976, 0.978, 0.975)

    def by_seed(values: Sequence[float]) -> dict[int, float]:
        return dict(enumerate(values))

    return winner.Confirmation(
        searched=by_seed(searched),
        fresh=by_seed(fresh),
        fresh_test=by_seed(fresh),
        reference_searched=by_seed(reference[: len(searched)]),
        reference_fresh=by_seed(reference[: len(fresh)]),
        reference_fresh_test=by_seed(reference[: len(fresh)]),
    )


def test_luck_is_the_gain_that_fresh_seeds_do_not_show_with_an_interval_of_both() -> None:
    confirmed = confirmation(fresh=(0.981, 0.98, 0.983, 0.982), searched=(0.985, 0.987, 0.986))
    gains = [0.985 - 0.975, 0.987 - 0.976, 0.986 - 0.978], [0.006, 0.004, 0.005, 0.007]
    assert confirmed.luck.difference == pytest.approx(np.mean(gains[0]) - np.mean(gains[1]))
    assert confirmed.luck.interval() == pytest.approx(tuple(stats.ttest_ind(*gains).confidence_interval()))
    half = 50 * np.subtract(*reversed(confirmed.luck.interval()))
    assert summary.luck(confirmed.luck) == f"+{100 * confirmed.luck.difference:.2f} ± {half:.2f} points"


def test_of_one_seed_luck_has_the_spread_of_the_fresh_ones() -> None:
    confirmed = confirmation(fresh=(0.981, 0.978, 0.985, 0.98))
    assert confirmed.luck.error == pytest.approx(np.std([0.006, 0.002, 0.007, 0.005], ddof=1) * np.sqrt(1 + 1 / 4))
    assert summary.luck(confirmed.luck).endswith("points, which is not shown to be any")
    assert summary.luck(confirmation(fresh=(0.981,)).luck).startswith("+0.40 points; what part of it is chance")


@pytest.mark.parametrize(
    ("fresh", "said"),
    [
        (
            (0.981, 0.98, 0.983, 0.982),
            "The winner is better than the reference with fresh seeds: +0.55 ± 0.21 points",
        ),
        ((0.965, 0.964, 0.968, 0.966), f"The winner is worse than the reference with fresh seeds: {MINUS}1.03 ± "),
        (
            (0.9751, 0.9759, 0.978, 0.9752),
            "With fresh seeds, the winner is the same as the reference within 0.2 points",
        ),
        ((0.985, 0.97, 0.981, 0.977), "With fresh seeds, the winner is not shown to be better than the reference: +"),
        (
            (0.97, 0.98, 0.965, 0.979),
            "With fresh seeds, the winner is below the reference, though not shown to be worse: ",
        ),
        ((0.98, 0.981), "With so few fresh seeds, the winner is not shown to be better than the reference: +0.50"),
    ],
)
def test_a_search_says_whether_its_winner_is_better_than_the_reference(fresh: Sequence[float], said: str) -> None:
    assert confirmation(fresh).conclusion().startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("space: {width: {low: 1}}", "space.width: give a list of values, or a range"),
        ("space: {width: []}", "space.width: the list is empty; give at least one value"),
        ("space: {lr: {low: 0, high: 1, log: true}}", "space.lr: log: true requires that low is greater than 0"),
        ("space: {lr: {low: 2, high: 1}}", "space.lr: low, 2, is greater than high, 1"),
        ("space: {lr: {low: a, high: 1}}", "space.lr: low and high are numbers"),
        ("spaces: {lr: [1]}", "the key space is missing"),
        ("space: {lr: [1]}\ntrails: 3", "there is no key trails; there are space, fixed, seeds, sampler, trials; did"),
        ("space: {lr: [1]}\nsampler: random", "sampler is one of tpe, gp"),
        ("space: {lr: [1]", "not YAML"),
        ("space: {lr: [1]}\nseeds: []", "seeds is a list of numbers, each a whole number from 0"),
        ("space: {lr: [1]}\nseeds: 5", "seeds is a list of numbers"),
        ("space: {lr: [1]}\ntrials: 0", "trials is a whole number of at least 1"),
        ("space: {lr: [1]}\nfixed: epochs=3", "fixed is a list of overrides"),
        ("space: {test: [last]}", "test can be neither searched for nor fixed"),
        ("space: {lr: [1]}\nfixed: [test=last]", "test can be neither searched for nor fixed"),
        ("", "the key space is missing"),
        ("space: {widht: [3]}", "widht"),
        ("space: {lr: [-1.0]}", "lr=-1.0: lr is a number above 0"),
        ("space: {lr: [1]}\nfixed: [batch=0]", "batch=0: batch is a whole number"),
    ],
)
def test_what_is_wrong_with_a_space_is_said_in_one_line_and_nothing_is_written(
    text: str, said: str, script: Script, tmp_path: Path
) -> None:
    done = script("search.py", write(tmp_path, text), "--runs-dir", tmp_path / "runs")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("composed")
def test_a_study_of_another_space_or_of_nothing_is_refused(tmp_path: Path) -> None:
    Search(space.read(str(write(tmp_path))), tmp_path / "runs")
    with pytest.raises(Problem, match="a study with another space"):
        Search(space.read(str(write(tmp_path, SPACE.replace("0.1", "0.2")))), tmp_path / "runs")
    (tmp_path / "runs" / "searches" / "small" / "study.db").write_text("rubbish", encoding="utf-8")
    with pytest.raises(Problem, match=r"cannot be opened as a study: .*not a database"):
        Search(space.read(str(write(tmp_path))), tmp_path / "runs")


@pytest.mark.parametrize(("name", "meant"), {"q10_": "q10", "q01": "q01_width"}.items())
def test_a_search_that_is_not_there_is_told(script: Script, tmp_path: Path, name: str, meant: str) -> None:
    done = script("search.py", name, "--runs-dir", tmp_path / "runs")
    assert done.returncode == 2
    assert done.stderr == f"{name}: there is no such search; there are beyond, q01_width, q10; did you mean {meant}?\n"
