"""A study: the questions' variants with the runs there are, and how each differs from the baseline. Free of torch."""

import logging
import math
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp.config.checks import problems
from mnist_mlp.config.compose import (
    CONF,
    compose,
    composing,
    jobs,
    problem_of_composition,
    question_of,
    reference,
    typed,
)
from mnist_mlp.config.identity import differences, identity, label
from mnist_mlp.config.overrides import parse
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.launch import check
from mnist_mlp.runs.record import RECORD, Result
from mnist_mlp.statistics import Comparison, Summary, Verdict, compare, holm, summarize, verdict

log = logging.getLogger(__name__)

QUESTIONS = tuple(sorted(path.stem for path in (CONF / "question").glob("*.yaml")))
PROTOCOLS = ("mnist", "notebook")
"""The options of the group `data`, the sound one first."""

COLUMNS = [
    *("question", "variant", "protocol", "seed", "status", "val_accuracy", "val_loss", "test_accuracy", "test_loss"),
    *("seconds", "folder"),
]
OWN = ("question", "experiment", "seed", "data", "data.protocol", "data.seed", "runs_dir", "overwrite")
"""Keys that a study sets itself."""


@dataclass(frozen=True)
class Variant:
    """A configuration that a question compares, with its runs.

    Attributes:
        protocol: mnist or notebook, as in `data=`.
        name: the run folder's label without the protocol, so that it is the same under both.
        config: as composed, with the first of the seeds.
        changes: what differs from the baseline, as `key=value`; empty for the baseline itself.
        seeds: those that are asked for.
        results: the records there are of these seeds, whatever their status.
    """

    question: str
    protocol: str
    name: str
    config: Config
    changes: tuple[str, ...]
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
        """The seeds without a run that ended by itself."""
        return [seed for seed in self.seeds if seed not in self.completed and seed not in self.diverged]

    def asked(self, seeds: Sequence[int]) -> "Variant":
        """Give the variant with these seeds, and what there is of them."""
        there = {seed: self.results[seed] for seed in seeds if seed in self.results}
        return replace(self, seeds=tuple(seeds), results=there)

    def values(self, of: Callable[[Result], float]) -> dict[int, float]:
        """Give a figure of each completed run, by seed."""
        return {seed: of(result) for seed, result in self.completed.items()}

    def summary(self, of: Callable[[Result], float]) -> Summary:
        """Summarize a figure over the completed runs."""
        return summarize(list(self.values(of).values()))


def on_test(result: Result) -> float:
    """Give a completed run's test accuracy as a fraction."""
    assert result.test is not None
    return result.test["accuracy"]


def on_validation(result: Result) -> float:
    """Give the validation accuracy of the last epoch as a fraction."""
    accuracy = result.epochs[-1].val_accuracy
    assert accuracy is not None
    return accuracy


def seconds(result: Result) -> float:
    """Give the time of all epochs, in seconds."""
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
    """What the runs say of some questions under some protocols.

    Attributes:
        variants: of each question, first under one protocol, then under the other, in the question's order.
        baselines: by protocol.
        differences: by identity, of every variant that is not a baseline.
    """

    questions: tuple[str, ...]
    protocols: tuple[str, ...]
    variants: tuple[Variant, ...]
    baselines: dict[str, Variant]
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
        """Give every record once."""
        distinct = {variant.id: variant for variant in self.variants}
        for variant in distinct.values():
            yield from variant.results.values()

    def table(self) -> pd.DataFrame:
        """Tabulate the runs there are, one row a run and question: losses in nats, accuracies as fractions, seconds."""
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
        questions: q01 to q10; None takes those of which there are runs, the baseline's aside.
        protocols: mnist or notebook; None takes those of which there are runs, and mnist if there are none.
        seeds: None takes those found, for each protocol.
        runs_dir: the folder of the runs.
        overrides: more of the command line that trained the runs, the same for all.

    Raises:
        Problem: a name is unknown, or the overrides cannot be composed.
    """
    for kind, names, known in (("question", questions, QUESTIONS), ("protocol", protocols, PROTOCOLS)):
        for name in names or ():
            if name not in known:
                raise Problem(f"{kind} {name}: it is one of {', '.join(known)}{nearest(name, known)}")
    for text in overrides:
        if text.partition("=")[0].lstrip("+~") in OWN:
            raise Problem(f"{text}: the questions, --seeds and the other options set it")
    baseline = ["experiment=baseline", "seed=0", *overrides]
    with composing():
        for text in overrides:
            override, _ = parse(text)
            if override and override.is_sweep_override():
                raise Problem(f"{text}: give one value, the same for all runs")
        if wrong := check(Namespace(overrides=list(overrides), multirun=False)).problems:
            raise Problem("\n".join(wrong))
        try:
            asked = {name: jobs([f"question={name}", "seed=0", *overrides], False) for name in questions or QUESTIONS}
            finder = Finder(runs_dir, seeds)
            baselines = {name: finder.variant("", name, baseline) for name in protocols or PROTOCOLS}
            variants = [
                finder.variant(name, protocol, job)
                for protocol in baselines
                for name, its_jobs in asked.items()
                for job in its_jobs
            ]
        except (HydraException, OmegaConfBaseException) as error:
            raise Problem(problem_of_composition(error)) from error
    for record in sorted(finder.damaged):
        log.warning("%s is corrupt or of another version: left out; the command that trained it does so again", record)
    distinct = {(each.question, each.id): each for each in variants}
    variants = [
        replace(each, changes=tuple(differences(each.config, baselines[each.protocol].config)))
        for each in distinct.values()
    ]
    there = [each for each in variants if each.changes and each.results]
    protocols = protocols or [name for name in PROTOCOLS if any(each.protocol == name for each in there)] or ["mnist"]
    questions = questions or [name for name in QUESTIONS if any(each.question == name for each in there)]
    shown = [each for each in variants if each.protocol in protocols and each.question in questions]
    if seeds is None:  # a seed that one variant has is asked of all
        for protocol in protocols:
            found = sorted(
                {seed for each in shown if each.protocol == protocol and each.changes for seed in each.results}
            )
            baselines[protocol] = baselines[protocol].asked(found)
            shown = [each.asked(found) if each.protocol == protocol else each for each in shown]
    shown.sort(key=lambda each: (questions.index(each.question), protocols.index(each.protocol)))
    return Study(tuple(questions), tuple(protocols), tuple(shown), {name: baselines[name] for name in protocols})


def with_seed(config: Config, seed: int) -> Config:
    """Give the same configuration with another seed."""
    return replace(config, seed=seed, data=replace(config.data, seed=seed))


class Finder:
    """Finds the runs of jobs; a job that several questions have is composed once.

    Args:
        seeds: None finds all there are.

    Attributes:
        damaged: records that could not be read.
    """

    def __init__(self, runs_dir: str, seeds: Sequence[int] | None) -> None:
        self.runs_dir = runs_dir
        self.seeds = seeds
        self.found: dict[tuple[str, ...], Variant] = {}
        self.damaged: set[Path] = set()

    def variant(self, question: str, protocol: str, job: list[str]) -> Variant:
        """Find the runs of a question's job under a protocol, what it changes left open."""
        own = [text for text in job if not text.startswith("question=")]
        key = (f"data={protocol}", *sorted(own))
        if key not in self.found:
            self.found[key] = self._find(protocol, [*own, key[0]])
        found = self.found[key]
        chosen = found.config.chosen | {"question": question_of(found.config.name or "", question)}
        return replace(found, question=question, config=replace(found.config, chosen=chosen))

    def _find(self, protocol: str, job: list[str]) -> Variant:
        experiment = next((text.partition("=")[2] for text in job if text.startswith("experiment=")), None)
        composed, usual = compose(job), reference(experiment)
        config = replace(typed(composed), runs_dir=self.runs_dir)
        if wrong := problems(config):
            raise Problem(f"{' '.join(job)}: {wrong[0]}")
        sound = replace(config, data=replace(config.data, protocol="disjoint"))
        name, config.name = label(sound, usual), label(config, usual)
        config.chosen = {"model": composed.hydra.runtime.choices["model"]}
        seeds = _seeds_of(config) if self.seeds is None else self.seeds
        runs = {seed: Run(with_seed(config, seed)) for seed in seeds}
        results = {seed: result for seed, run in runs.items() if (result := run.result()) is not None}
        records = {run.folder / RECORD for seed, run in runs.items() if seed not in results}
        self.damaged |= {record for record in records if record.exists()}
        return Variant("", protocol, name, config, (), tuple(seeds), results)


def _seeds_of(config: Config) -> list[int]:
    names = [path.name.removeprefix("seed") for path in Run(config).folder.parent.glob("seed*")]
    return sorted(int(name) for name in names if name.isdecimal())
