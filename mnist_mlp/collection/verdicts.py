"""What is to be looked at in a class: runs that are copied, altered, of other code, unverified or incomplete."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mnist_mlp.collection.examination import Run
from mnist_mlp.language import N_, _, ngettext

VERDICTS = (N_("copied"), N_("altered"), N_("other code"), N_("unverified"), N_("incomplete"))
PACKAGES = ("mnist-mlp", "torch", "lightning", "numpy")
"""Those of a record's versions that are compared; the others hardly change numbers."""


class Finding(NamedTuple):
    """A reason to look at a run.

    Attributes:
        verdict: one of `VERDICTS`.
        run: the run.
        reason: a part of a sentence.
    """

    verdict: str
    run: Run
    reason: str


def findings(runs: Sequence[Run]) -> list[Finding]:
    """List what is to be looked at, by verdict, then by student."""
    found = [*copies(runs), *other_code(runs)]
    for run in runs:
        found += [Finding("altered", run, reason) for reason in run.altered]
        if run.unverified:
            found.append(Finding("unverified", run, run.unverified))
        if run.incomplete:
            found.append(Finding("incomplete", run, run.incomplete))
    return sorted(found, key=lambda each: VERDICTS.index(each.verdict))


def grouped(findings: Iterable[Finding]) -> list[str]:
    """Write findings in a line each; those of a student with the same reason share one."""
    places = defaultdict(list)
    for verdict, run, reason in findings:
        places[verdict, run.student, reason].append(run.place)
    return [
        f"{_(verdict)}: {student}: {counted_places(where)}: {reason}"
        for (verdict, student, reason), where in places.items()
    ]


def counted_places(places: Sequence[str]) -> str:
    """Name a run, or the number of several and the first of them."""
    several = ngettext("{number} run, first {place}", "{number} runs, first {place}", len(places))
    return places[0] if len(places) == 1 else several.format(number=len(places), place=places[0])


def copies(runs: Iterable[Run]) -> Iterator[Finding]:
    """Find the runs of several students that are one training: with the same times, to the nanosecond, or events.

    Equal weights are no sign: whoever trains the same configuration with the same seed on the same kind of processor
    has them.
    """
    by_trace = defaultdict(list)
    for run in runs:
        for trace in run.traces:
            by_trace[trace].append(run)
    for run in runs:
        same = [other for trace in run.traces for other in by_trace[trace] if other.student != run.student]
        others = {other.student: other for other in sorted(same, key=lambda other: other.place)}
        if others:
            whose = sorted(
                _("{student} (author {author})").format(student=name, author=other.author or _("not named"))
                for name, other in others.items()
            )
            said = _("author {author}, the same training as {others}")
            reason = said.format(author=run.author or _("not named"), others=", ".join(whose))
            yield Finding("copied", run, reason)


def other_code(runs: Iterable[Run]) -> Iterator[Finding]:
    """Find the runs that were made with another commit or other versions than most students', or with changed code."""
    made = {id(run): made_with(run) for run in runs}
    counted = {(run.student, name, value) for run in runs for name, value in made[id(run)].items()}
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for made_by in counted:
        votes[made_by[1]][made_by[2]] += 1
    usual = {name: min(values, key=lambda value: (-values[value], value)) for name, values in votes.items()}
    for run in runs:
        differing = [
            _("{name} {value} (most of the class: {usual})").format(name=name, value=value, usual=usual[name])
            for name, value in made[id(run)].items()
            if value != usual[name]
        ]
        if run.result and (run.result.git or "").endswith("+"):
            differing.append(_("the code was changed after that commit"))
        if differing:
            yield Finding("other code", run, ", ".join(differing))


def made_with(run: Run) -> dict[str, str]:
    """Return the commit and the versions in a record."""
    if run.result is None:
        return {}
    versions = {name: run.result.versions[name] for name in PACKAGES if name in run.result.versions}
    return {"commit": run.result.git or "none", **versions}


def with_equal_weights(runs: Iterable[Run]) -> int:
    """Count the runs whose weights another student has too, bit for bit, in a training of their own."""
    students = defaultdict(set)
    for run in runs:
        if run.weights:
            students[run.weights].add(run.student)
    return sum(run.weights is not None and len(students[run.weights]) > 1 for run in runs)
