"""A study: the variants of the questions with their runs, compared with the baseline. Free of torch."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mnist_mlp.config.compose import CONF, compose_run, composing, jobs, reference
from mnist_mlp.config.identity import differences, identity, label
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem
from mnist_mlp.language import _
from mnist_mlp.report import times
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.launch import check_shared
from mnist_mlp.runs.record import RECORD, Epoch, Result, read
from mnist_mlp.statistics import MARGIN, Comparison, Judgement, Ranked, Summary, compare, failed, judge, summarize

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

QUESTIONS = tuple(sorted(path.stem for path in (CONF / "question").glob("q??.yaml")))
WHY = tuple(question for question in QUESTIONS if (CONF / "question" / f"{question}_why.yaml").exists())
"""The questions with variants that explain the answer."""
PROTOCOLS = {"disjoint": "mnist", "notebook": "notebook"}
"""The option of the group `data` that selects each."""

COLUMNS = [
    *("question", "variant", "explains", "protocol", "seed", "status", "val_accuracy", "val_loss", "test_accuracy"),
    *("test_loss", "seconds", "folder"),
]
OWN = ("question", "experiment", "seed", "data", "data.protocol", "data.seed", "runs_dir", "overwrite", "margin")
"""The keys that a study itself sets."""


@dataclass(frozen=True)
class Variant:
    """A configuration that a question compares, with its runs.

    Attributes:
        protocol: disjoint or notebook.
        experiment: whose configuration it is, or a variation of; None if it is a variation of the baseline.
        name: the experiment with what differs from it, the same under both protocols.
        config: as composed, with the first of the seeds.
        changes: values that differ from the baseline's, by key; empty for the baseline itself.
        seeds: the requested ones.
        results: the records of these seeds, whatever their status.
        explains: whether it explains the answer, in addition to those that are asked for.
    """

    question: str
    protocol: str
    experiment: str | None
    name: str
    config: Config
    changes: dict[str, str]
    seeds: tuple[int, ...]
    results: dict[int, Result]
    explains: bool = False

    @property
    def label(self) -> str:
        """The readable part of the run folder's name."""
        return Run(self.config).label

    @property
    def id(self) -> str:
        """The identity, which is the same wherever the configuration is the same."""
        return identity(self.config)

    @property
    def completed(self) -> dict[int, Result]:
        """The results that are averaged."""
        return {seed: result for seed, result in self.results.items() if result.status == "completed"}

    @property
    def diverged(self) -> list[int]:
        """The seeds whose loss became NaN or infinite."""
        return [seed for seed, result in self.results.items() if result.status == "diverged"]

    @property
    def missing(self) -> list[int]:
        """The seeds without a finished run."""
        return [seed for seed in self.seeds if seed not in self.completed and seed not in self.diverged]

    @property
    def right(self) -> dict[int, Any]:
        """Which test images each completed run has classified correctly, as far as its record says so."""
        return {seed: result.right for seed, result in self.completed.items() if result.right is not None}

    @property
    def failed(self) -> int:
        """The number of completed runs that have learned next to nothing."""
        return failed(list(self.values(on_test).values()))

    def with_seeds(self, seeds: Sequence[int]) -> "Variant":
        """Return the variant with these seeds and their results."""
        there = {seed: self.results[seed] for seed in seeds if seed in self.results}
        return replace(self, seeds=tuple(seeds), results=there)

    def values(self, of: Callable[[Result], float]) -> dict[int, float]:
        """Return a figure of each completed run, by seed."""
        return {seed: of(result) for seed, result in self.completed.items()}

    def summary(self, of: Callable[[Result], float]) -> Summary:
        """Summarize a figure over the completed runs."""
        return summarize(list(self.values(of).values()))


def on_test(result: Result) -> float:
    """Return a completed run's test accuracy as a fraction."""
    assert result.test is not None
    return result.test["accuracy"]


def on_validation(result: Result) -> float:
    """Return the validation accuracy of the last epoch as a fraction."""
    accuracy = result.epochs[-1].val_accuracy
    assert accuracy is not None
    return accuracy


def seconds(result: Result) -> float:
    """Return the time of all epochs, in seconds."""
    return result.fit_seconds


@dataclass(frozen=True)
class Difference:
    """A variant's differences from the baseline of its protocol; accuracies as fractions."""

    test: Comparison
    validation: Comparison


def difference(variant: Variant, baseline: Variant) -> Difference:
    """Compare a variant with the baseline, in pairs where each seed has a split of its own, which both share."""
    paired = variant.config.data.split_seed is None
    normal = not (variant.failed or baseline.failed)
    right = variant.right, baseline.right
    return Difference(
        compare(variant.values(on_test), baseline.values(on_test), paired, normal, right),
        compare(variant.values(on_validation), baseline.values(on_validation), paired, normal),
    )


@dataclass(frozen=True)
class Study:
    """Some questions under some protocols, with their runs.

    Attributes:
        variants: of each question, first under one protocol, then under the other, in the question's order; those that
            explain the answer come last.
        baselines: by protocol.
        left_out: the number of runs in the same folder on other data, as the questions are about MNIST.
        margin: two accuracies, as fractions, are the same within it.
        timed: the runs that `mnist-mlp time` has timed.
        differences: by identity, of every variant that is not a baseline.
    """

    questions: tuple[str, ...]
    protocols: tuple[str, ...]
    variants: tuple[Variant, ...]
    baselines: dict[str, Variant]
    left_out: dict[str, int] = field(default_factory=dict)
    margin: float = MARGIN
    timed: tuple[times.Row, ...] = ()
    differences: dict[str, Difference] = field(init=False)

    def __post_init__(self) -> None:
        others = {variant.id: variant for variant in self.variants if variant.changes}
        found = {name: difference(each, self.baselines[each.protocol]) for name, each in others.items()}
        object.__setattr__(self, "differences", found)

    @cached_property
    def judged(self) -> dict[str, Judgement]:
        """By identity: the judgement on test accuracy, in the family of all variants that the questions ask for."""
        return self._family([each for each in self.variants if not each.explains], "test")

    def judged_in(self, variant: Variant, of: Literal["test", "validation"] = "test") -> Judgement:
        """Judge a variant in the family of its question's under its protocol: of those asked for, or explaining."""
        family = [each for each in self.of(variant.question, variant.protocol, variant.explains) if each.changes]
        return self._family(family, of)[variant.id]

    def is_ranked(self, variant: Variant) -> bool:
        """Whether medians describe a variant better than means."""
        found = self.differences.get(variant.id)
        return variant.failed > 0 or (found is not None and isinstance(found.test.by, Ranked))

    def _family(self, variants: list[Variant], of: str) -> dict[str, Judgement]:
        comparisons = {each.id: getattr(self.differences[each.id], of) for each in variants if each.changes}
        return dict(zip(comparisons, judge(list(comparisons.values()), self.margin), strict=True))

    @cached_property
    def times(self) -> dict[str, times.Time]:
        """By identity: the time of each timed configuration."""
        return times.by_identity(self.timed)

    @property
    def compared(self) -> int:
        """The number of comparisons that could be made, which the report's p-values are adjusted for."""
        return sum(not math.isnan(each.p) for each in self.judged.values())

    @property
    def replicates(self) -> int:
        """The largest number of completed runs of a variant."""
        return max((len(each.completed) for each in self.variants), default=0)

    def of(self, question: str, protocol: str, explains: bool = False) -> list[Variant]:
        """List a question's variants under a protocol: those that are asked for, or those that explain."""
        wanted = (question, protocol, explains)
        return [each for each in self.variants if (each.question, each.protocol, each.explains) == wanted]

    def twin(self, variant: Variant, protocol: str) -> Variant:
        """Find the same network and training under another protocol."""
        there = [self.baselines[protocol], *self.variants]
        return next(each for each in there if (each.protocol, each.changes) == (protocol, variant.changes))

    def leak(self, variant: Variant) -> Comparison:
        """Compare a variant's validation accuracy under the notebook's protocol with that under the disjoint one."""
        leaking, disjoint = (self.twin(variant, protocol) for protocol in ("notebook", "disjoint"))
        normal = not (leaking.failed or disjoint.failed)
        return compare(leaking.values(on_validation), disjoint.values(on_validation), paired=False, normal=normal)

    @cached_property
    def distinct(self) -> list[Variant]:
        """The variants, each configuration once, by the name that comes first."""
        first: dict[str, Variant] = {}
        for variant in self.variants:
            first.setdefault(variant.id, variant)
        return list(first.values())

    def results(self) -> Iterator[Result]:
        """Return every record once."""
        for variant in self.distinct:
            yield from variant.results.values()

    def table(self) -> "pd.DataFrame":
        """Tabulate the runs, one row per run and question: losses in nats, accuracies as fractions, seconds."""
        import pandas as pd  # of the extra `report`, which an answer in the terminal does without

        rows = []
        for variant in self.variants:
            for seed, result in variant.results.items():
                last, test = result.epochs[-1] if result.epochs else None, result.test or {}
                measured = (last and last.val_accuracy, last and last.val_loss, test.get("accuracy"), test.get("loss"))
                names = (variant.question, variant.name, variant.explains, variant.protocol, seed, result.status)
                rows.append((*names, *measured, result.fit_seconds, result.id))
        return pd.DataFrame(rows, columns=COLUMNS)

    def epochs(self) -> "pd.DataFrame":
        """Tabulate the epochs of every run, one row each, with the folder and the seed of the run in `table`."""
        import pandas as pd

        rows = [
            {"folder": result.id, "seed": result.seed, **asdict(epoch)}
            for result in self.results()
            for epoch in result.epochs
        ]
        return pd.DataFrame(rows, columns=["folder", "seed", *(each.name for each in fields(Epoch))])


def gather(
    questions: Sequence[str] | None,
    protocols: Sequence[str] | None,
    seeds: Sequence[int] | None,
    runs_dir: str,
    overrides: Sequence[str] = (),
    margin: float = MARGIN,
    why: bool = False,
) -> Study:
    """Find the runs of some questions, and of the variants that explain their answers.

    Args:
        questions: q01 to q10; None takes those with runs other than the baseline's.
        protocols: disjoint or notebook; None takes those that have runs, and disjoint if none has.
        seeds: None takes all that have runs, for each protocol.
        runs_dir: the folder of the runs.
        overrides: further ones with which all runs were trained.
        margin: two accuracies, as fractions, are the same within it.
        why: also the explaining variants without runs.

    Raises:
        Problem: a name is unknown, the overrides cannot be composed, or the file of times is corrupt.
    """
    wrong = {"question": _("question {name}: it is one of {known}{hint}")}
    wrong["protocol"] = _("protocol {name}: it is one of {known}{hint}")
    for kind, names, known in (("question", questions, QUESTIONS), ("protocol", protocols, tuple(PROTOCOLS))):
        for name in names or ():
            if name not in known:
                raise Problem(wrong[kind].format(name=name, known=", ".join(known), hint=nearest(name, known)))
    for text in overrides:
        if text.partition("=")[0].lstrip("+~") == "data.dataset":
            said = _("{override}: the questions are about MNIST; mnist-mlp table tabulates runs on other data")
            raise Problem(said.format(override=text))
        if text.partition("=")[0].lstrip("+~") in OWN:
            raise Problem(_("{override}: set by the questions, --seeds and the other options").format(override=text))
    baseline = ["experiment=baseline", "seed=0", *overrides]
    with composing():
        check_shared(overrides)
        wanted = [(name, name, False) for name in questions or QUESTIONS]
        wanted += [(name, f"{name}_why", True) for name in questions or QUESTIONS if name in WHY]
        asked = [
            (name, explains, job)
            for name, file, explains in wanted
            for job in jobs([f"question={file}", "seed=0", *overrides])
        ]
        finder = Finder(runs_dir, seeds)
        baselines = {name: finder.variant("", name, baseline) for name in protocols or PROTOCOLS}
        variants = [
            replace(finder.variant(name, protocol, job), explains=explains)
            for protocol in baselines
            for name, explains, job in asked
        ]
    for record in sorted(finder.damaged):
        said = _("{record} is corrupt or made by another version, ignored; the command that trained it trains it again")
        log.warning(said.format(record=record))
    distinct: dict[tuple[str, str], Variant] = {}
    for each in variants:
        distinct.setdefault((each.question, each.id), each)  # what is asked for comes first
    variants = [
        replace(each, changes=differences(each.config, baselines[each.protocol].config)) for each in distinct.values()
    ]
    variants = [each for each in variants if why or each.results or not each.explains]
    there = [each for each in variants if each.changes and each.results and not each.explains]
    protocols = (
        protocols or [name for name in PROTOCOLS if any(each.protocol == name for each in there)] or ["disjoint"]
    )
    questions = questions or [name for name in QUESTIONS if any(each.question == name for each in there)]
    selected = [each for each in variants if each.protocol in protocols and each.question in questions]
    if seeds is None:  # a seed that one variant has is expected of all that are asked for
        for protocol in protocols:
            own = [each for each in selected if each.protocol == protocol]
            found = sorted({seed for each in own if each.changes and not each.explains for seed in each.results})
            baselines[protocol] = baselines[protocol].with_seeds(found)
            selected = [each if each not in own or each.explains else each.with_seeds(found) for each in selected]
    if not why:  # of a configuration that another question asks for, the seeds are those asked for
        of_asked = {each.id: each.seeds for each in selected if not each.explains}
        selected = [
            each.with_seeds(of_asked.get(each.id, sorted(each.results))) if each.explains else each for each in selected
        ]
    selected.sort(key=lambda each: (questions.index(each.question), protocols.index(each.protocol)))
    kept = {name: baselines[name] for name in protocols}
    others, timed = on_other_data(runs_dir), tuple(times.rows(runs_dir))
    return Study(tuple(questions), tuple(protocols), tuple(selected), kept, others, margin, timed)


def of_sweep(question: str, configs: Sequence[Config], margin: float = MARGIN) -> Study | None:
    """Make a study of the jobs of a question that were just launched; None if they do not compare with a baseline.

    Args:
        question: q01 to q10, or with _why the variants that explain its answer.
        configs: of the jobs.
        margin: two accuracies, as fractions, are the same within it.
    """
    by_identity: dict[str, dict[int, Config]] = {}
    for config in configs:
        by_identity.setdefault(identity(config), {})[config.seed] = config
    name, protocol = question.removesuffix("_why"), configs[0].data.protocol
    usual = reference(None)
    first = {own: next(iter(of_seeds.values())) for own, of_seeds in by_identity.items()}
    changed = {own: differences(config, usual) for own, config in first.items()}
    baseline = min(changed, key=lambda own: len(changed[own]))
    if len(changed) == 1 or not all(changed[baseline].items() <= changes.items() for changes in changed.values()):
        return None
    variants = []
    for own, of_seeds in by_identity.items():
        results = {seed: result for seed, config in of_seeds.items() if (result := Run(config).result()) is not None}
        experiment, changes = first[own].chosen["experiment"], differences(first[own], first[baseline])
        explains = question.endswith("_why") and experiment != name
        variants.append(
            Variant(name, protocol, experiment, "", first[own], changes, tuple(of_seeds), results, explains)
        )
    own_baseline = next(each for each in variants if not each.changes)
    return Study((name,), (protocol,), tuple(variants), {protocol: own_baseline}, margin=margin)


def on_other_data(runs_dir: str) -> dict[str, int]:
    """Count the records of runs on other data than MNIST, by the data set's name."""
    results = [read(path) for path in sorted(Path(runs_dir).glob(f"*/seed*/{RECORD}"))]
    names = (str(result.config.get("data", {}).get("dataset", "mnist")) for result in results if result)
    return dict(Counter(name for name in names if name != "mnist"))


def with_seed(config: Config, seed: int) -> Config:
    """Return the same configuration with another seed."""
    return replace(config, seed=seed, data=replace(config.data, seed=seed))


class Finder:
    """Finds the runs of jobs, composing a job that several questions share only once.

    Args:
        seeds: None finds all.

    Attributes:
        damaged: the unreadable records.
    """

    def __init__(self, runs_dir: str, seeds: Sequence[int] | None) -> None:
        self.runs_dir = runs_dir
        self.seeds = seeds
        self.variants: dict[tuple[str, ...], Variant] = {}
        self.damaged: set[Path] = set()

    def variant(self, question: str, protocol: str, job: list[str]) -> Variant:
        """Find the runs of a question's job under a protocol; `gather` adds the changes."""
        own = [text for text in job if not text.startswith("question=")]
        key = (f"data={PROTOCOLS[protocol]}", *sorted(own))
        if key not in self.variants:
            self.variants[key] = self._find(protocol, [*own, key[0]])
        found = self.variants[key]
        chosen = dict(found.config.chosen)
        if chosen["question"] == "none":  # it is the question's that launches it
            chosen["question"] = question
        return replace(found, question=question, config=replace(found.config, chosen=chosen))

    def _find(self, protocol: str, job: list[str]) -> Variant:
        try:
            config = replace(compose_run(job), runs_dir=self.runs_dir)
        except Problem as problem:
            raise Problem(f"{' '.join(job)}: {problem}") from problem
        experiment = config.chosen["experiment"] if config.chosen["experiment"] not in ("none", "baseline") else None
        changes = differences(config, reference(experiment))
        name = label(experiment, {key: value for key, value in changes.items() if key != "protocol"})
        seeds = _seeds_of(config) if self.seeds is None else self.seeds
        runs = {seed: Run(with_seed(config, seed)) for seed in seeds}
        results = {seed: result for seed, run in runs.items() if (result := run.result()) is not None}
        records = {run.folder / RECORD for seed, run in runs.items() if seed not in results}
        self.damaged |= {record for record in records if record.exists()}
        return Variant("", protocol, experiment, name, config, {}, tuple(seeds), results)


def _seeds_of(config: Config) -> list[int]:
    names = [path.name.removeprefix("seed") for path in Run(config).folder.parent.glob("seed*")]
    return sorted(int(name) for name in names if name.isdecimal())
