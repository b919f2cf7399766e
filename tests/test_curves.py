"""A curve trains what is missing, and says of known runs what is known of them."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from conftest import Done
from matplotlib.image import imread

from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.config.identity import identity
from mnist_mlp.config.valid import TRAINING
from mnist_mlp.curves.curve import CURVES, Curve, Place, jobs
from mnist_mlp.curves.drawing import draw, svg
from mnist_mlp.curves.page import tabulated
from mnist_mlp.curves.sample import Sample, samples
from mnist_mlp.curves.text import sentences, value
from mnist_mlp.language import SPACE, speaking
from mnist_mlp.report.figures import png

Script = Callable[..., Done]

SHORT = ["--", "data.steps_per_epoch=2", "epochs=1"]


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_has_a_dozen_points_of_which_one_is_the_baseline(name: str, tmp_path: Path) -> None:
    configs = [config for place, config in jobs(CURVES[name], [0], str(tmp_path), [])]
    assert len({identity(config) for config in configs}) == len(configs) >= 12
    with composing():
        baseline = identity(compose_run(["epochs=1", "data.steps_per_epoch=540"] if name == "batch_steps" else []))
    assert baseline in map(identity, configs)


def test_runs_at_equal_steps_take_exactly_540(tmp_path: Path) -> None:
    for (batch,), config in jobs(CURVES["batch_steps"], [0], str(tmp_path), []):
        per_epoch = config.data.steps_per_epoch
        assert per_epoch is not None
        assert per_epoch * batch <= TRAINING
        assert per_epoch * config.epochs == 540


def test_a_replicate_has_its_own_seed_and_split(tmp_path: Path) -> None:
    for (_place, config), seed in zip(jobs(CURVES["lr"], [0, 1], str(tmp_path), []), [0, 1] * 13, strict=True):
        assert (config.seed, config.data.seed, config.data.split_seed) == (seed, seed, None)


def known(tests: Mapping[float, Sequence[float]], diverged: int = 0, missing: int = 0) -> dict[Place, Sample]:
    """Make up the runs at some values; at the last of them, some more that diverged or are missing."""
    made = {(place,): Sample(tuple(own), 0, 0, 2.0 * place, 540, 100 * place) for place, own in tests.items()}
    last = list(made)[-1]
    return made | {last: replace(made[last], diverged=diverged, missing=missing)}


def test_it_is_said_where_the_accuracy_is_highest_and_how_wide_that_is() -> None:
    tests = {4: (0.8, 0.82), 100: (0.974, 0.976), 200: (0.976, 0.979), 512: (0.978, 0.978), 2048: (0.96, 0.97)}
    assert sentences(CURVES["width"], known(tests)) == (
        "Test accuracy is highest at width 512: 97.80 ± 0.00%. "
        "From width 200 to 512 it stays within 0.2 points of that. "
        "It is 81.00 ± 12.71% at width 4 and 96.50 ± 6.35% at 2,048. "
        "A run takes about 8.0 seconds at width 4 and 4096 at 2,048 (medians, rough)."
    )


def test_failed_runs_are_counted_and_their_point_has_median_and_range_instead_of_a_mean() -> None:
    points = known({0.001: (0.97, 0.98), 0.1: (0.1, 0.95, 0.2), 0.5: (0.1, 0.1, 0.1), 1.0: (0.1,)}, diverged=2)
    assert sentences(CURVES["lr"], points) == (
        "Test accuracy is highest at learning rate 0.001: 97.50 ± 6.35%. "
        "No neighbouring value comes within 0.5 points of that. "
        "It is 97.50 ± 6.35% at learning rate 0.001 and 10.00% at 1. "
        "Runs that ended below 50% or diverged: 2 of 3 at learning rate 0.1; 3 of 3 from learning rate 0.5 to 1. "
        "Runs that diverged, without a test accuracy: 2."
    )
    rows = tabulated(CURVES["lr"], points).splitlines()
    assert rows[3].startswith("| 0.1 | 3 | 20.00 (10.00 to 95.00) | 2/3 |")
    assert rows[5].startswith("| 1 | 1 | 10.00 | 3/3 |")


def test_points_without_a_completed_run_are_shown_and_not_judged() -> None:
    points = known({0.001: (0.98,), 0.1: (), 1.0: ()}, diverged=1, missing=2)
    assert sentences(CURVES["lr"], points) == (
        "Test accuracy is highest at learning rate 0.001: 98.00%. "
        "No neighbouring value comes within 0.5 points of that. "
        "Runs that ended below 50% or diverged: 1 of 1 at learning rate 1. "
        "Runs that diverged, without a test accuracy: 1. Missing runs, which failed or were cut short: 2."
    )
    assert "| 0.1 | 0 | — |  |" in tabulated(CURVES["lr"], points)


def test_a_map_says_which_learning_rate_is_best_for_each_batch_size() -> None:
    tests = {(1, 0.001): (0.96, 0.96), (1, 0.01): (0.3, 0.4), (100, 0.001): (0.97, 0.97), (100, 0.01): (0.98, 0.98)}
    points = {place: Sample(own, 0, 0, 1.0, 540, 100) for place, own in tests.items()}
    assert sentences(CURVES["map"], points) == (
        "Test accuracy is highest at batch 100, learning rate 0.01: 98.00 ± 0.00%. "
        "The best learning rate: 0.001 with batch 1 (96.00%); 0.01 with batch 100 (98.00%). "
        "2 of 8 runs ended below 50% or diverged, in 1 of 4 cells."
    )
    assert tabulated(CURVES["map"], points).splitlines()[2] == "| 1 | 96.00 ± 0.00 | 35.00 (30.00 to 40.00), 2/2 |"


def test_values_are_written_in_full_and_as_the_language_does() -> None:
    assert [value(each) for each in (0.00001, 0.5, 1.0, 54_000)] == ["0.00001", "0.5", "1", "54,000"]
    with speaking("es"):
        assert [value(each) for each in (0.00001, 54_000)] == ["0,00001", f"54{SPACE}000"]


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(
    "tests",
    [
        {4: (0.8, 0.82), 200: (0.976, 0.978), 2048: (0.98, 0.981)},
        {4: (0.1,), 200: (0.1, 0.99), 2048: ()},
        {4: (), 200: (), 2048: (0.0, 1.0)},
        {4: (0.9761,), 200: (0.9762,), 2048: (0.9763,)},
        {4: (1.0, 1.0), 200: (0.5, 0.9), 2048: (0.0, 0.0)},
    ],
    ids=["sound", "failed", "one point", "near each other", "extremes"],
)
def test_whatever_the_numbers_the_figure_has_readable_ticks(tests: dict[float, Sequence[float]], language: str) -> None:
    with speaking(language):
        drawn = draw(CURVES["width"], known(tests))
    assert png(drawn)
    axes = drawn.axes[0]
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 3
    assert 0 < len(drawn.legends[0].get_texts()) <= 3
    assert axes.get_ylabel().startswith("test accuracy, %" if language == "en" else "exactitud en test, %")


def test_the_same_runs_give_the_same_file() -> None:
    points = known({4: (0.8, 0.82), 200: (0.976, 0.978)})
    assert svg(draw(CURVES["width"], points)) == svg(draw(CURVES["width"], points))


def test_a_map_is_drawn_even_if_cells_are_empty() -> None:
    tests: dict[Place, tuple[float, ...]] = {(1, 0.001): (), (1, 0.01): (), (100, 0.001): (0.97,), (100, 0.01): (0.1,)}
    drawn = draw(CURVES["map"], {place: Sample(own, 1, 0, math.nan, math.nan, 1) for place, own in tests.items()})
    assert png(drawn)
    assert [text.get_text() for text in drawn.axes[0].texts] == ["—\n1/1", "—\n1/1", "97.0\n1/2", "10.0\n2/2"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Curve:
    """Let the curve of learning rates have three points, at the last of which runs diverge."""
    points: dict[Place, tuple[str, ...]] = {(rate,): (f"lr={rate}",) for rate in (0.001, 0.01, 1e30)}
    monkeypatch.setitem(CURVES, "lr", replace(CURVES["lr"], points=points))
    monkeypatch.chdir(tmp_path)
    return CURVES["lr"]


def test_one_command_trains_what_is_missing_and_writes_what_can_be_computed_from_its_csv(
    script: Script, small: Curve, tmp_path: Path
) -> None:
    done = script("curve.py", "lr", "--seeds", "2", "--out", "made", *SHORT)
    assert done.returncode == 0, done.stderr
    assert "6 jobs: 4 completed, 2 diverged" in done.stdout
    *_, shown, path = done.stdout.splitlines()
    assert path == "made/lr.md"
    assert "Runs that diverged, without a test accuracy: 2." in shown

    made = tmp_path / "made"
    assert sorted(file.name for file in made.iterdir()) == ["lr.csv", "lr.md", "lr.png", "lr.svg"]
    page = (made / "lr.md").read_text(encoding="utf-8")
    runs = pd.read_csv(made / "lr.csv", dtype={"folder": str})
    points = samples(small, runs)
    assert sentences(small, points) == shown
    assert f"# Learning rate\n\n{shown}\n\n![Learning rate: test accuracy](lr.png)\n\n" in page
    assert f"\n\n{tabulated(small, points)}\n\n" in page
    assert "- command: `mnist-mlp curve lr --seeds 2 --out made -- data.steps_per_epoch=2 epochs=1`\n" in page
    assert "Replicates of each point: 2, with seeds from 0 on, each with its own split." in page
    assert imread(made / "lr.png").shape[1] == 672

    first, second, *_ = records = sorted(tmp_path.glob("runs/*/seed*/result.json"))
    before = {record: record.stat().st_mtime_ns for record in records}
    first.unlink()  # as if it had been stopped there
    second.write_text("{", encoding="utf-8")
    again = script("curve.py", "lr", "--seeds", "2", "--language", "es", *SHORT)
    assert again.returncode == 0, again.stderr
    assert {record for record in records if record.stat().st_mtime_ns != before[record]} == {first, second}
    assert "La exactitud en test es máxima" in (tmp_path / "runs" / "curves" / "lr.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["widht"], "CURVE: widht is none of width, depth, batch, batch_steps, lr, map; did you mean width?"),
        ([], "the following arguments are required: CURVE"),
        (["lr", "--seeds", "0"], "--seeds: 0 is not a whole number of at least 1"),
        (["lr", "--sedes", "3"], "--sedes: there is no such option; did you mean --seeds?"),
        (["lr", "--", "lr=1"], "lr=1: the curve, --seeds or another option sets this; leave it out"),
        (["lr", "optimizer.lr=1"], "optimizer.lr=1: the curve, --seeds or another option sets this; leave it out"),
        (["lr", "--", "seed=1"], "seed=1: the curve, --seeds or another option sets this; leave it out"),
        (["lr", "--", "epochs=1,2"], "epochs=1,2: give a single value, which all runs share"),
        (["lr", "--", "epoks=3"], "epoks=3: there is no key epoks; did you mean epochs?"),
        (["depth", "width=3"], "width=3: the curve, --seeds or another option sets this; leave it out"),
        (["lr", "--runs-dir", "file/runs"], "--runs-dir file/runs: .*/file is not a writable folder"),
        (["lr", "--out", "file/made"], "--out file/made: .*/file is not a writable folder"),
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_said_in_one_line_before_anything_is_trained(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = script("curve.py", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(line.replace("?", r"\?") + "\n", done.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_a_completed_run_there_is_nothing_to_draw(
    script: Script, small: Curve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(CURVES, "lr", replace(small, points={(1e30,): ("lr=1e30",)}))
    done = script("curve.py", "lr", "--seeds", "1", *SHORT)
    assert done.returncode == 2
    assert done.stderr == "lr: no run has completed, so there is nothing to draw\n"
    assert not (tmp_path / "runs" / "curves").exists()
