"""The table of configurations, from the runs there are."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, Done
from scipy import stats

from mnist_mlp.errors import Problem
from mnist_mlp.report.comparison import latex, table
from mnist_mlp.report.text import MINUS, accuracies
from mnist_mlp.runs.record import Result, read

Command = Callable[..., int]
Script = Callable[..., Done]

SMALL = ["width=8", "data.steps_per_epoch=2", "epochs=1", "callbacks=none", "logger=none", "trainer=cpu"]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_the_mean_over_the_seeds_there_are(command: Command, script: Script, tmp_path: Path) -> None:
    trained = ["lr=0.01", *(each.replace("steps_per_epoch=2", "steps_per_epoch=200") for each in SMALL)]
    for seed in (0, 1):
        assert command(*trained, f"seed={seed}") == 0
    assert command(*trained, "test=none") == 0
    rows, csv = [" ".join(trained), f"{' '.join(trained)} test=none"], tmp_path / "runs.csv"
    done = script("table.py", *rows, "--runs-dir", tmp_path / "runs", "--csv", csv)
    assert done.returncode == 0, done.stderr
    _, _, tested, untested = map(cells, done.stdout.splitlines())
    assert tested[0] == f"`python train.py {' '.join(trained)}`"
    assert tested[1:3] == ["2", "6,442"]
    assert all("±" in tested[place] for place in (3, 5))
    assert float(tested[4]) <= float(tested[3].split()[0])
    assert untested[1] == "1"
    assert untested[5:7] == ["", ""]
    every = pd.read_csv(csv)
    assert list(every.seed) == [0, 1, 0]
    recorded = [read(path) for path in tmp_path.glob("runs/*/seed*/result.json")]
    assert set(every.instructions) == {result.hardware["instructions"] for result in recorded if result}
    assert f"{100 * every.test_accuracy[:2].mean():.2f}" == tested[5].split()[0]


@pytest.mark.parametrize(
    ("fractions", "said"),
    [
        ((0.97, 0.98), "97.50 ± 6.35"),
        ((0.1135, 0.9855, 0.9839), "median 98.39 (11.35 to 98.55), 1 of 3 failed"),
        ((0.1135,), "11.35, 1 of 1 failed"),
        ((), ""),
    ],
)
def test_the_median_and_the_range_describe_accuracies_if_a_run_failed(fractions: tuple[float, ...], said: str) -> None:
    assert accuracies(fractions) == said


@pytest.fixture
def runs(command: Command, tmp_path: Path) -> Callable[..., list[Result]]:
    """Make records of a configuration from test accuracies, and from what differs in `data`."""
    assert command(*SMALL) == 0
    (result,) = (read(path) for path in tmp_path.glob("runs/*/seed0/result.json"))
    assert result
    data = result.config["data"]

    def of(*accuracies: float, **changed: object) -> list[Result]:
        config = result.config | {"data": data | changed}
        return [
            replace(result, seed=seed, config=config, test={"accuracy": accuracy})
            for seed, accuracy in enumerate(accuracies)
        ]

    return of


REFERENCE, VARIANT = (0.975, 0.978, 0.971, 0.98), (0.976, 0.98, 0.973, 0.983)


@pytest.mark.parametrize(
    ("changed", "paired"),
    [({"batch": 50}, True), ({"split_seed": 0}, False), ({"protocol": "notebook"}, False), ({"dir": "/x"}, False)],
    ids=str,
)
def test_a_difference_is_paired_if_each_seed_has_a_split_that_both_configurations_share(
    runs: Callable[..., list[Result]], changed: dict[str, object], paired: bool
) -> None:
    found = {"width=8": runs(*REFERENCE), "width=9": runs(*VARIANT, **changed)}
    (*_, title, _), (*_, none, named), (*_, difference, verdict) = table(found, "width=8")
    assert (title, none, named) == ("difference in test, points", "", "reference")
    test = stats.ttest_rel if paired else partial(stats.ttest_ind, equal_var=False)
    low, high = (100 * end for end in test(VARIANT, REFERENCE).confidence_interval())
    assert difference == f"+{(low + high) / 2:.2f} ± {(high - low) / 2:.2f}"
    assert verdict.startswith("better" if paired else "undecided")


def test_a_row_of_runs_that_failed_has_their_median(runs: Callable[..., list[Result]]) -> None:
    _, row = table({"lr=0.2": runs(0.1135, 0.9839, 0.9855)})
    assert row[5:7] == ["median 98.39 (11.35 to 98.55), 1 of 3 failed", "11.35"]


def test_accuracies_on_other_images_are_not_compared(runs: Callable[..., list[Result]]) -> None:
    found = {"width=8": runs(*REFERENCE), "data=fashion": runs(*VARIANT, dataset="fashion")}
    with pytest.raises(Problem, match="data=fashion: tested on other images than width=8; compare configurations"):
        table(found, "width=8")
    assert len(table(found)) == 3


def test_the_verdicts_of_a_table_are_of_one_family_and_its_title_has_the_margin(
    runs: Callable[..., list[Result]],
) -> None:
    found = {"a": runs(*REFERENCE), "b": runs(*VARIANT)}
    (*_, title), _, (*_, alone) = table(found, "a", margin=0.005)
    assert (title, alone) == ("verdict (the same: within 0.5 points)", "better")
    others = {name: runs(0.97, 0.98, 0.975, 0.979) for name in "cdef"}
    *_, (*_, among) = table({"a": found["a"], **others, "b": found["b"]}, "a")
    assert among.startswith("undecided")


def test_the_reference_gets_a_row_of_its_own(command: Command, script: Script, tmp_path: Path) -> None:
    assert command("-m", *SMALL, "lr=0.001,0.01") == 0
    lines = [f"{' '.join(SMALL)} lr={rate}" for rate in ("0.001", "0.01")]
    for rows in ([lines[1]], lines):
        done = script("table.py", *rows, "--reference", lines[0], "--runs-dir", tmp_path / "runs", "--margin", "0.3")
        assert done.returncode == 0, done.stderr
        header, _, *shown = map(cells, done.stdout.splitlines())
        assert header[-1] == "verdict (the same: within 0.3 points)"
        assert [row[0] for row in shown] == [f"`python train.py {line}`" for line in lines]
        assert [row[-1] for row in shown] == ["reference", "too few replicates"]


def test_latex_has_the_same_cells_and_escapes_what_it_would_take_for_commands() -> None:
    rows = [["command", "test %"], [r"python train.py a_b='{c}' ~\x", f"{MINUS}1.50 ± 0.25"]]
    _, start, *lines, end = latex(rows).splitlines()
    assert (start, end) == (r"\begin{tabular}{lr}", r"\end{tabular}")
    assert lines == [
        *(r"\toprule", r"command & test \% \\", r"\midrule"),
        r"\texttt{python train.py a\_b=\textquotesingle{}\{c\}\textquotesingle{} \textasciitilde{}\textbackslash{}x} & "
        r"$-$1.50 $\pm$ 0.25 \\",
        r"\bottomrule",
    ]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("experiment=beyondd", "did you mean beyond?"),
        ("width=8", "no completed runs in"),
        ("question=q01", "an argument is one configuration"),
        ("seed=1", "an argument is one configuration"),
        ("batch='", "No closing quotation"),
    ],
)
def test_a_row_that_cannot_be_made_is_said_in_one_line(line: str, answer: str, script: Script, tmp_path: Path) -> None:
    done = script("table.py", line, "--runs-dir", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert answer in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_record_of_another_version_is_left_out(command: Command, script: Script, tmp_path: Path) -> None:
    for seed in (0, 1):
        assert command(*SMALL, f"seed={seed}") == 0
    (record, _) = sorted(tmp_path.glob("runs/*/seed*/result.json"))
    shutil.copy(ROOT / "pyproject.toml", record)
    assert cells(script("table.py", " ".join(SMALL), "--runs-dir", tmp_path / "runs").stdout.splitlines()[2])[1] == "1"


def test_a_file_that_cannot_be_written_is_said_in_one_line(command: Command, script: Script, tmp_path: Path) -> None:
    assert command(*SMALL) == 0
    done = script(
        "table.py", " ".join(SMALL), "--runs-dir", tmp_path / "runs", "--csv", tmp_path / "nowhere" / "runs.csv"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
