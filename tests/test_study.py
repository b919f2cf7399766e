"""A study finds the runs there are, and compares each variant with the baseline of its protocol."""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from mnist_mlp.errors import Problem
from mnist_mlp.report.study import Study, Variant, gather, on_test, on_validation, with_seed
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import SCHEMA, Epoch, Result, Status
from mnist_mlp.statistics import compare, judge

SEEDS = (0, 1, 2, 3, 4)
BASELINE = (0.976, 0.977, 0.978, 0.977, 0.977)
DIFFERENCES = {
    "q02": (0.001, -0.001, 0.0005, -0.0005, 0.0),
    "q05": (0.010, 0.011, 0.010, 0.009, 0.010),
    "q06": (-0.070, -0.071, -0.069, -0.070, -0.070),
}
"""Of the test accuracy from the baseline's, by seed; their spread is known by hand."""


def record(
    variant: Variant, seed: int, test: float, status: Status = "completed", seconds: float = 2.0, correct: Any = None
) -> None:
    """Write the record of a run that never was; its validation accuracy is half a point below its test accuracy."""
    run = Run(with_seed(variant.config, seed))
    run.folder.mkdir(parents=True, exist_ok=True)
    length = variant.config.epochs
    accuracies = [test - 0.005 - 0.002 * (length - epoch) for epoch in range(1, length + 1)]
    result = Result(
        schema=SCHEMA,
        id=run.id,
        label=run.label,
        status=status,
        reason=None if status == "completed" else "the training loss became nan at optimizer step 7",
        seed=seed,
        config=asdict(run.config),
        epochs=[
            Epoch(epoch, seconds / length, 0.2, 0.9, 0.1, accuracy)
            for epoch, accuracy in enumerate(accuracies, start=1)
        ],
        test={"loss": 0.08, "accuracy": test} if status == "completed" else None,
        fit_seconds=seconds,
        optimizer_steps=2700,
        parameters=199_210,
        hardware={"device": "cpu", "gpu": None, "cpu": "A processor", "cores": 4, "threads": 2},
        versions={"python": "3.11.0", "torch": "2.9.0"},
        started="2026-01-02T03:04:05+00:00",
        git="0123456789ab",
        correct=correct,
    )
    run.write(result)


def record_all(study: Study, shift: float = 0.0) -> None:
    """Write the known records of every variant, `shift` higher under the notebook's protocol."""
    for variant in study.variants:
        for seed, test, change in zip(SEEDS, BASELINE, DIFFERENCES[variant.question], strict=True):
            moved = shift if variant.protocol == "notebook" else 0.0
            record(variant, seed, test + moved + (change if variant.changes else 0.0))


@pytest.fixture(name="find")
def finder(tmp_path: Path) -> Callable[..., Study]:
    """Gather from the test's own runs."""

    def study(
        questions: Sequence[str] | None = tuple(DIFFERENCES),
        protocols: Sequence[str] | None = ("disjoint",),
        seeds: Sequence[int] | None = SEEDS,
        overrides: Sequence[str] = (),
        why: bool = False,
    ) -> Study:
        return gather(questions, protocols, seeds, str(tmp_path / "runs"), overrides, why=why)

    return study


def test_the_variants_are_the_questions_in_their_order(find: Callable[..., Study]) -> None:
    study = find(["q04", "q01"], ["notebook"])
    assert [(variant.question, variant.name, variant.label) for variant in study.variants] == [
        ("q04", "baseline", "baseline,data=notebook"),
        ("q04", "q04", "q04,data=notebook"),
        ("q04", "q04_as_run", "q04_as_run,data=notebook"),
        ("q01", "hidden_sizes=50-50", "hidden_sizes=50-50,data=notebook"),
        ("q01", "hidden_sizes=100-100", "hidden_sizes=100-100,data=notebook"),
        ("q01", "baseline", "data=notebook"),
        ("q01", "hidden_sizes=256-256", "hidden_sizes=256-256,data=notebook"),
        ("q01", "hidden_sizes=350-350", "hidden_sizes=350-350,data=notebook"),
        ("q01", "hidden_sizes=512-512", "hidden_sizes=512-512,data=notebook"),
    ]
    assert study.variants[0].id == study.variants[5].id == study.baselines["notebook"].id
    assert study.variants[2].changes == {"hidden_sizes": "200", "activation": "sigmoid"}
    assert study.variants[0].changes == {}


def test_a_run_is_found_whatever_label_its_folder_has(find: Callable[..., Study]) -> None:
    variant = find(["q02"]).variants[0]
    record(variant, 0, 0.97)
    folder = Run(variant.config).folder.parent
    folder.rename(folder.with_name(f"another-{variant.id}"))
    assert list(find(["q02"]).variants[0].completed) == [0]


def test_each_variant_is_compared_with_the_baseline_by_seed_and_corrected_over_all(find: Callable[..., Study]) -> None:
    record_all(find())
    study = find()
    changed = [variant for variant in study.variants if variant.changes]
    found = {variant.question: study.differences[variant.id] for variant in changed}
    judged = {variant.question: study.judged[variant.id] for variant in changed}
    assert {question: each.verdict for question, each in judged.items()} == {
        "q02": "the same",
        "q05": "better",
        "q06": "worse",
    }
    assert found["q06"].test.difference == pytest.approx(-0.07)
    # The deviation is sqrt(0.5) thousandths; t with 4 degrees of freedom is 2.776.
    half = 2.776 * math.sqrt(0.5) / math.sqrt(5) / 1000
    assert found["q06"].test.by.interval() == pytest.approx((-0.07 - half, -0.07 + half), abs=1e-6)
    assert found["q06"].validation.difference == pytest.approx(-0.07)
    assert list(judged.values()) == judge([each.test for each in found.values()])
    assert study.compared == 3
    (alone,) = (study.judged_in(each) for each in changed if each.question == "q06")
    assert alone == judge([found["q06"].test])[0]


def test_the_correction_counts_both_protocols(find: Callable[..., Study]) -> None:
    both = ["disjoint", "notebook"]
    record_all(find(protocols=both))
    alone, together = find(), find(protocols=both)
    variant = alone.of("q06", "disjoint")[1]
    assert together.compared == 6
    assert together.differences[variant.id].test == alone.differences[variant.id].test
    assert together.judged[variant.id].p > alone.judged[variant.id].p
    assert together.twin(variant, "notebook").label == "q06,data=notebook"


def test_seeds_that_share_a_split_are_not_compared_in_pairs(find: Callable[..., Study]) -> None:
    shared = ["data.split_seed=0"]
    record_all(find(overrides=shared))
    study = find(overrides=shared)
    baseline, variant = study.of("q06", "disjoint")
    expected = compare(variant.values(on_test), baseline.values(on_test), paired=False)
    assert study.differences[variant.id].test == expected


def test_explaining_variants_are_found_where_they_have_runs_and_apart_from_those_asked_for(
    find: Callable[..., Study],
) -> None:
    record_all(find(["q06"]))
    assert not find(["q06"]).of("q06", "disjoint", explains=True)
    wanted = find(["q06"], why=True).of("q06", "disjoint", explains=True)
    assert wanted
    assert all(each.missing == list(SEEDS) for each in wanted)
    for seed in (0, 1, 2):
        record(wanted[0], seed, 0.976)
    study = find(["q06"])
    (explaining,) = study.of("q06", "disjoint", explains=True)
    assert (explaining.id, explaining.missing) == (wanted[0].id, [])
    assert explaining.id not in study.judged
    assert find(None, None, None).questions == ("q06",)


def test_a_configuration_that_another_question_explains_with_has_all_its_seeds_there(
    find: Callable[..., Study],
) -> None:
    """Question 3 explains with two layers of 350, which question 1 asks for: seeds that lack a run are still to do."""
    wide = next(each for each in find(["q01"]).of("q01", "disjoint") if each.config.model.hidden_sizes == [350, 350])
    record(wide, 0, 0.98)
    study = find(["q01", "q03"])
    (explaining,) = study.of("q03", "disjoint", explains=True)
    assert explaining.id == wide.id
    assert [each.missing for each in study.variants if each.id == wide.id] == [[1, 2, 3, 4]] * 2


def test_a_variant_is_compared_with_the_baseline_of_its_own_protocol(find: Callable[..., Study]) -> None:
    both = ["disjoint", "notebook"]
    record_all(find(protocols=both), shift=0.01)
    study = find(protocols=both)
    for protocol in both:
        baseline, variant = study.of("q06", protocol)
        assert study.differences[variant.id].test == compare(variant.values(on_test), baseline.values(on_test))


def test_only_completed_runs_are_averaged(find: Callable[..., Study]) -> None:
    variant = find(["q06"]).of("q06", "disjoint")[1]
    record(variant, 0, 0.90)
    record(variant, 1, 0.92)
    record(variant, 2, 0.10, "diverged")
    record(variant, 3, 0.10, "interrupted")
    found = find(["q06"]).of("q06", "disjoint")[1]
    assert (found.summary(on_test).n, found.summary(on_test).mean) == (2, pytest.approx(0.91))
    assert found.summary(on_validation).mean == pytest.approx(0.905)
    assert found.diverged == [2]
    assert found.missing == [3, 4]


def test_a_record_that_is_cut_off_is_missing(find: Callable[..., Study]) -> None:
    variant = find(["q06"]).variants[1]
    record(variant, 0, 0.9)
    path = Run(variant.config).folder / "result.json"
    path.write_text(path.read_text(encoding="utf-8")[:100], encoding="utf-8")
    assert find(["q06"]).variants[1].missing == [0, 1, 2, 3, 4]


def test_the_table_has_a_row_for_each_run_there_is(find: Callable[..., Study]) -> None:
    baseline, variant = find(["q06"]).variants
    record(baseline, 0, 0.97, seconds=3.5)
    record(variant, 1, 0.10, "diverged")
    table = find(["q06"]).table()
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    assert rows == [
        {
            **{"question": "q06", "variant": "baseline", "explains": False, "protocol": "disjoint"},
            **{"seed": 0, "status": "completed"},
            **{"val_accuracy": 0.97 - 0.005, "val_loss": 0.1, "test_accuracy": 0.97, "test_loss": 0.08},
            **{"seconds": 3.5, "folder": baseline.id},
        },
        {
            **{"question": "q06", "variant": "q06", "explains": False, "protocol": "disjoint"},
            **{"seed": 1, "status": "diverged"},
            **{"val_accuracy": 0.1 - 0.005, "val_loss": 0.1, "test_accuracy": None, "test_loss": None},
            **{"seconds": 2.0, "folder": variant.id},
        },
    ]


def test_what_is_not_said_is_what_there_is(find: Callable[..., Study]) -> None:
    baseline, variant = find(["q06"], ["notebook"]).variants
    for seed in (0, 1, 7, 8):
        record(baseline, seed, 0.97)
    record(variant, 1, 0.9)
    record(variant, 7, 0.9)
    study = find(None, None, None)
    assert (study.questions, study.protocols) == (("q06",), ("notebook",))
    assert [each.seeds for each in study.variants] == [(1, 7), (1, 7)]
    assert [list(each.results) for each in study.variants] == [[1, 7], [1, 7]]


def test_the_baseline_by_itself_is_no_study(find: Callable[..., Study]) -> None:
    record(find(["q06"]).variants[0], 0, 0.97)
    study = find(None, None, None)
    assert (study.questions, study.variants) == ((), ())


def test_overrides_lead_to_the_runs_that_had_them(find: Callable[..., Study]) -> None:
    short = ["epochs=2", "data.steps_per_epoch=3"]
    record(find(["q02"], overrides=short).variants[1], 0, 0.5)
    assert find(["q02"]).variants[1].results == {}
    variant = find(["q02"], overrides=short).variants[1]
    assert list(variant.results) == [0]
    assert variant.changes == {"hidden_sizes": "200-200-200"}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"questions": ["q2"]}, "question q2: it is one of q01, .*; did you mean q02?"),
        ({"protocols": ["notebok"]}, "protocol notebok: it is one of disjoint, notebook; did you mean notebook?"),
        ({"overrides": ["seed=3"]}, "seed=3: set by the questions, --seeds and the other options"),
        ({"overrides": ["lr=0.1,0.2"]}, "lr=0.1,0.2: give a single value, which all runs share"),
        ({"overrides": ["epoks=3"]}, "epoks=3: there is no key epoks; did you mean epochs?"),
        ({"questions": ["q05"], "overrides": ["model=deep5"]}, "q05 .*: activation names 2 .*"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(find: Callable[..., Study], given: dict[str, list[str]], line: str) -> None:
    with pytest.raises(Problem, match=line) as problem:
        find(**given)
    assert "\n" not in str(problem.value)


def test_study_and_report_are_free_of_torch() -> None:
    code = "import sys, mnist_mlp.report.study, mnist_mlp.report; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
