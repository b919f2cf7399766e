"""A question on the command line ends with its answer."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SHORT

Command = Callable[..., int]


def ending(shown: str) -> list[str]:
    """Give the lines after the table of jobs."""
    return shown.split(" jobs: ")[1].splitlines()[2:]


def test_a_question_ends_with_its_answer_and_the_command_of_the_report(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, "question=q05", "logger=none") == 0
    heading, lead, baseline, variant, report = ending(capsys.readouterr().out)
    assert heading == ("5. ReLU then tanh (disjoint protocol; ± over 3 replicates, each with its own seed and split)")
    assert lead.startswith("With ReLU, then tanh, ")
    assert baseline.startswith("  the baseline: ")
    assert variant.startswith("  activation relu-tanh: ")
    assert ", 3 replicates" in variant
    overrides = "-- data.steps_per_epoch=2 epochs=1"
    assert report == (
        f"the report: mnist-mlp report --questions q05 --protocol disjoint --runs-dir {tmp_path / 'runs'} {overrides}"
    )


def test_two_replicates_decide_nothing_and_the_answer_says_so(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, "question=q05", "seed=0,1", "logger=none", "data=notebook") == 0
    heading, lead, _baseline, variant, report = ending(capsys.readouterr().out)
    assert "notebook protocol; ± over 2 replicates" in heading
    assert lead == "With ReLU, then tanh, nothing is decided yet: that takes three replicates."
    assert "2 replicates decide nothing" in variant
    assert "--protocol notebook" in report


def test_an_answer_of_seeds_that_share_a_split_says_so(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*SHORT, "question=q05", "seed=0,1", "logger=none", "data.split_seed=7") == 0
    assert "± over 2 replicates, which share the split 7" in capsys.readouterr().out


def test_the_variants_that_explain_end_with_the_reasons(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*SHORT, "question=q05_why", "seed=0,1,2", "logger=none") == 0
    _heading, reason, numbers, _report = ending(capsys.readouterr().out)
    assert reason.startswith("tanh is steep")
    assert "tanh in both, " in numbers


def test_a_sweep_that_is_no_question_has_no_answer(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("-m", *SHORT, "width=2,3", "logger=none") == 0
    assert ending(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("question", "same"),
    [("q01", "width=2"), ("q01", "model=deep3"), ("q05", "experiment=q05"), ("q05", "activation=tanh")],
)
def test_runs_without_a_variant_or_a_baseline_are_no_answer(
    command: Command, capsys: pytest.CaptureFixture[str], question: str, same: str
) -> None:
    assert command(*SHORT, f"question={question}", same, "seed=0,1", "logger=none") == 0
    said = "no answer, as these runs have no variant beside a baseline"
    assert ending(capsys.readouterr().out)[-1] == f"question={question}: {said}"
