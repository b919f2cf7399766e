"""A class: its students with their runs, what each has of the questions, and what is to be looked at."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_mlp.collection.coverage import Row, of_student, wanted_variants
from mnist_mlp.collection.examination import Run, examine
from mnist_mlp.collection.rerun import Rerun, again, draw
from mnist_mlp.collection.students import Student, find, printable, runs_of, unpacked
from mnist_mlp.collection.verdicts import VERDICTS, Finding, findings, grouped
from mnist_mlp.errors import Problem
from mnist_mlp.language import _, ngettext


@dataclass(frozen=True)
class Collection:
    """What a class has handed in.

    Attributes:
        rows: of each student, in the order of the students, what there is of each variant.
        left_out: what could not be read, a line each.
    """

    students: Sequence[str]
    runs: Sequence[Run]
    rows: dict[str, list[Row]]
    findings: Sequence[Finding]
    reruns: Sequence[Rerun]
    left_out: Sequence[str]

    @property
    def questions(self) -> list[str]:
        """The questions that were asked for."""
        return list(dict.fromkeys(row.variant.question for rows in self.rows.values() for row in rows))

    def authors(self, student: str) -> str:
        """List the names in a student's records."""
        names = [run.author for run in self.runs if run.student == student and run.author]
        return ", ".join(sorted(set(names)))

    def done(self, student: str, question: str) -> tuple[int, int]:
        """Count a question's variants that a student has with all seeds, and all of its variants."""
        rows = [row for row in self.rows[student] if row.variant.question == question]
        return sum(row.complete for row in rows), len(rows)

    def verdicts(self, student: str) -> str:
        """Count what is to be looked at of a student."""
        found = {(each.verdict, each.run.place) for each in self.findings if each.run.student == student}
        counts = Counter(verdict for verdict, place in found)
        return ", ".join(f"{counts[verdict]} {_(verdict)}" for verdict in VERDICTS if counts[verdict])

    def missing(self, student: str) -> list[str]:
        """List what a student lacks, a variant each."""
        return [
            ngettext("{variant}: {there} of {wanted} seed", "{variant}: {there} of {wanted} seeds", row.wanted).format(
                variant=f"{row.variant.question} {named(row)}", there=len(row.runs), wanted=row.wanted
            )
            for row in self.rows[student]
            if not row.complete
        ]

    def lines(self) -> list[str]:
        """Write each finding and each run that was trained again in a line."""
        return grouped(self.findings) + [
            f"{_(verdict)}: {run.student}: {run.place}: {reason}" for run, verdict, reason in self.reruns
        ]


def named(row: Row) -> str:
    """Name a variant, with its protocol unless it is the usual one."""
    return row.variant.name if row.variant.protocol == "disjoint" else f"{row.variant.name} ({_(row.variant.protocol)})"


def collect(
    folders: Sequence[Path],
    questions: Sequence[str] | None,
    protocols: Sequence[str],
    seeds: int,
    overrides: Sequence[str] = (),
    rerun_seed: int | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Collection:
    """Examine the runs of a class.

    Args:
        folders: as for `students.find`.
        questions: None is all.
        seeds: how many each variant is to have, whichever.
        overrides: with which the class had to train, beside the questions.
        rerun_seed: of the draw of the runs that are trained again; None trains none.
        progress: is told what is being done.

    Raises:
        Problem: a folder does not exist, none has a run, or an override is wrong.
    """
    students, left_out = find(folders)
    variants = wanted_variants(questions, protocols, overrides)
    runs: list[Run] = []
    there = []
    for number, student in enumerate(students, start=1):
        said = _("student {number}/{students}: {name}")
        progress(said.format(number=number, students=len(students), name=student.name))
        own, lines = runs_of_student(student)
        left_out += lines
        runs += own
        if own:
            there.append(student.name)
        else:
            left_out.append(_("{folder}: there are no runs").format(folder=student.name))
    if not runs:
        nowhere = _("{folder}: there are no runs").format(folder=", ".join(map(str, folders)))
        raise Problem("\n".join([*left_out, nowhere]))
    rows = {student: of_student(student, runs, variants, seeds) for student in there}
    reruns = []
    for name in there if rerun_seed is not None else []:
        drawn = draw(rows[name], rerun_seed or 0)
        if drawn is None:
            left_out.append(_("{name}: there is no run of the questions to train again").format(name=name))
            continue
        progress(_("training again: {name}, {place}").format(name=name, place=drawn[0].place))
        reruns.append(again(*drawn))
    return Collection(there, runs, rows, findings(runs), reruns, left_out)


def runs_of_student(student: Student) -> tuple[list[Run], list[str]]:
    """Examine what a student handed in; a run that was handed in twice is taken once."""
    kept: dict[tuple[str, int] | str, Run] = {}
    with unpacked(student) as (folders, left_out):
        for folder in folders:
            for path in runs_of(folder):
                run = examine(student.name, path, printable(path.relative_to(folder).as_posix()))
                key = (run.result.id, run.result.seed) if run.counts and run.result else f"{folder} {path}"
                if key not in kept:
                    kept[key] = run
                elif not run.traces & kept[key].traces:
                    said = _("{name}: {place}: has the configuration and seed of {other}")
                    left_out.append(said.format(name=student.name, place=run.place, other=kept[key].place))
    return list(kept.values()), left_out
