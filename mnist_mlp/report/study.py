"""A study: the variants of the questions with their runs, compared with the baseline. Free of torch."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from mnist_mlp.config.compose import CONF, compose_run, composing, jobs, reference
from mnist_mlp.config.identity import differences, identity, label
from mnist_mlp.config.overrides import parse
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem
from mnist_mlp.language import _
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.launch import check
from mnist_mlp.runs.record import RECORD, Result, read
from mnist_mlp.statistics import Comparison, Summary, Verdict, compare, holm, summarize, verdict

log = logging.getLogger(__name__)

QUESTIONS = tuple(sorted(path.stem for path in (CONF / "question").glob("*.yaml")))
PROTOCOLS = {"disjoint": "mnist", "notebook": "notebook"}
"""The option of the group `data` that selects each."""

COLUMNS = [
    *("question", "variant", "protocol", "seed", "status", "val_accuracy", "val_loss", "test_accuracy", "test_loss"),
    *("seconds", "folder"),
]
OWN = ("question", "experiment", "seed", "data", "data.protocol", "data.seed", "runs_dir", "overwrite")
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
    """

    question: str
    protocol: str
    experiment: str | None
    name: str
    config: Config
    changes: dict[str, str]
    seeds: tuple[int, ...]
    results: dict[int, Result]

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
    """A variant beside the baseline of its protocol, on the seeds that both have; accuracies as fractions.

    Attributes:
        p: of the test accuracy's comparison, adjusted over all variants of the study (Holm).
        verdict: on test accuracy.
    """

    test: Comparison
    validation: Comparison
    p: float
    verdict: Verdict


@dataclass(frozen=True)
class Study:
    """Some questions under some protocols, with their runs.

    Attributes:
        variants: of each question, first under one protocol, then under the other, in the question's order.
        baselines: by protocol.
        left_out: the number of runs in the same folder on other data, as the questions are about MNIST.
        differences: by identity, of every variant that is not a baseline.
    """

    questions: tuple[str, ...]
    protocols: tuple[str, ...]
    variants: tuple[Variant, ...]
    baselines: dict[str, Variant]
    left_out: dict[str, int] = field(default_factory=dict)
    differences: dict[str, Difference] = field(init=False)

    def __post_init__(self) -> None:
        others = {variant.id: variant for variant in self.variants if variant.changes}
        pairs = [(variant, self.baselines[variant.protocol]) for variant in others.values()]
        tests, validations = (
            [compare(variant.values(of), baseline.values(of)) for variant, baseline in pairs]
            for of in (on_test, on_validation)
        )
        adjusted = holm([comparison.p for comparison in tests])
        found = {
            name: Difference(test, validation, p, verdict(test.difference, p))
            for name, test, validation, p in zip(others, tests, validations, adjusted, strict=True)
        }
        object.__setattr__(self, "differences", found)

    @property
    def compared(self) -> int:
        """The number of comparisons that could be made, which the p-values are adjusted for."""
        return sum(not math.isnan(difference.p) for difference in self.differences.values())

    def of(self, question: str, protocol: str) -> list[Variant]:
        """List a question's variants under a protocol."""
        return [each for each in self.variants if (each.question, each.protocol) == (question, protocol)]

    def twin(self, variant: Variant, protocol: str) -> Variant:
        """Find the same network and training under another protocol."""
        there = [self.baselines[protocol], *self.variants]
        return next(each for each in there if (each.protocol, each.changes) == (protocol, variant.changes))

    def results(self) -> Iterator[Result]:
        """Return every record once."""
        distinct = {variant.id: variant for variant in self.variants}
        for variant in distinct.values():
            yield from variant.results.values()

    def table(self) -> pd.DataFrame:
        """Tabulate the runs, one row per run and question: losses in nats, accuracies as fractions, seconds."""
        rows = []
        for variant in self.variants:
            for seed, result in variant.results.items():
                last, test = result.epochs[-1] if result.epochs else None, result.test or {}
                measured = (last and last.val_accuracy, last and last.val_loss, test.get("accuracy"), test.get("loss"))
                names = (variant.question, variant.name, variant.protocol, seed, result.status)
                rows.append((*names, *measured, result.fit_seconds, result.id))
        return pd.DataFrame(rows, columns=COLUMNS)


def gather(
    questions: Sequence[str] | None,
    protocols: Sequence[str] | None,
    seeds: Sequence[int] | None,
    runs_dir: str,
    overrides: Sequence[str] = (),
) -> Study:
    """Find the runs of some questions.

    Args:
        questions: q01 to q10; None takes those with runs other than the baseline's.
        protocols: disjoint or notebook; None takes those that have runs, and disjoint if none has.
        seeds: None takes all that have runs, for each protocol.
        runs_dir: the folder of the runs.
        overrides: further ones with which all runs were trained.

    Raises:
        Problem: a name is unknown, or the overrides cannot be composed.
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
        for text in overrides:
            override = parse(text)[0]
            if override and override.is_sweep_override():
                raise Problem(_("{override}: give a single value, which all runs share").format(override=text))
        if problems := check(overrides).problems:
            raise Problem("\n".join(problems))
        asked = {name: jobs([f"question={name}", "seed=0", *overrides]) for name in questions or QUESTIONS}
        finder = Finder(runs_dir, seeds)
        baselines = {name: finder.variant("", name, baseline) for name in protocols or PROTOCOLS}
        variants = [
            finder.variant(name, protocol, job)
            for protocol in baselines
            for name, its_jobs in asked.items()
            for job in its_jobs
        ]
    for record in sorted(finder.damaged):
        said = _("{record} is corrupt or made by another version, ignored; the command that trained it trains it again")
        log.warning(said.format(record=record))
    distinct = {(each.question, each.id): each for each in variants}
    variants = [
        replace(each, changes=differences(each.config, baselines[each.protocol].config)) for each in distinct.values()
    ]
    there = [each for each in variants if each.changes and each.results]
    protocols = (
        protocols or [name for name in PROTOCOLS if any(each.protocol == name for each in there)] or ["disjoint"]
    )
    questions = questions or [name for name in QUESTIONS if any(each.question == name for each in there)]
    selected = [each for each in variants if each.protocol in protocols and each.question in questions]
    if seeds is None:  # a seed that one variant has is expected of all
        for protocol in protocols:
            found = sorted(
                {seed for each in selected if each.protocol == protocol and each.changes for seed in each.results}
            )
            baselines[protocol] = baselines[protocol].with_seeds(found)
            selected = [each.with_seeds(found) if each.protocol == protocol else each for each in selected]
    selected.sort(key=lambda each: (questions.index(each.question), protocols.index(each.protocol)))
    kept = {name: baselines[name] for name in protocols}
    return Study(tuple(questions), tuple(protocols), tuple(selected), kept, on_other_data(runs_dir))


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
