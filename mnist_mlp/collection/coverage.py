"""Which of the questions a student has, with how many seeds and which figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mnist_mlp.collection.examination import Run
from mnist_mlp.report.study import PROTOCOLS, QUESTIONS, Variant, gather

NOWHERE = ".nobody-s-runs"


@dataclass(frozen=True)
class Row:
    """What a student has of a variant of a question.

    Attributes:
        runs: the counting ones, a run a seed.
        wanted: seeds.
    """

    student: str
    variant: Variant
    runs: tuple[Run, ...]
    wanted: int

    @property
    def complete(self) -> bool:
        """Whether there are as many seeds as are wanted."""
        return len(self.runs) >= self.wanted

    @property
    def tests(self) -> list[float]:
        """The recorded test accuracies over the seeds, as fractions; a run that diverged has none."""
        tests = [run.result.test for run in self.runs if run.result]
        return [test["accuracy"] for test in tests if test]


def wanted_variants(
    questions: Sequence[str] | None, protocols: Sequence[str], overrides: Sequence[str]
) -> list[Variant]:
    """Compose the variants of questions, on the CPU and without loggers, which change no identity.

    Raises:
        Problem: an override is wrong.
    """
    quiet = ("trainer=cpu", "logger=none", "callbacks=none")
    names = questions or list(QUESTIONS)
    return list(gather(names, protocols or list(PROTOCOLS), (0,), NOWHERE, (*quiet, *overrides)).variants)


def of_student(student: str, runs: Iterable[Run], variants: Iterable[Variant], seeds: int) -> list[Row]:
    """Look for the runs of a student among the variants, whichever seeds they have."""
    counting = [run for run in runs if run.student == student and run.counts and run.result]
    rows = []
    for variant in variants:
        own = {run.result.seed: run for run in counting if run.result and run.result.id == variant.id}
        rows.append(Row(student, variant, tuple(own[seed] for seed in sorted(own)), seeds))
    return rows
