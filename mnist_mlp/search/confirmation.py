"""The winner of a search: its experiment file, and its accuracy with fresh seeds, each with its own split."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from mnist_mlp import files
from mnist_mlp.config.hydra_internals import options_of
from mnist_mlp.language import _, figure
from mnist_mlp.report.text import points
from mnist_mlp.runs.folder import Run
from mnist_mlp.search.trials import Search, train
from mnist_mlp.statistics import MARGIN, Normal, Summary, compare, failed, judge, summarize

FRESH_SEED = 1_000
"""The first of the seeds that no search uses."""


@dataclass(frozen=True)
class Confirmation:
    """Accuracies, as fractions by seed, of the winner and of the reference: the same without what was searched for.

    Attributes:
        searched: the winner's on the validation images, with the search's seeds.
        fresh: the winner's on the validation images, with fresh seeds.
        fresh_test: the winner's on the test images, with fresh seeds.
        reference_searched: the reference's, like `searched`.
        reference_fresh: the reference's, like `fresh`.
        reference_fresh_test: the reference's, like `fresh_test`.
    """

    searched: Mapping[int, float]
    fresh: Mapping[int, float]
    fresh_test: Mapping[int, float]
    reference_searched: Mapping[int, float]
    reference_fresh: Mapping[int, float]
    reference_fresh_test: Mapping[int, float]

    @property
    def gain(self) -> Summary:
        """The winner's validation accuracy over the reference's, with the search's seeds."""
        return _gain(self.searched, self.reference_searched)

    @property
    def fresh_gain(self) -> Summary:
        """The winner's validation accuracy over the reference's, with fresh seeds."""
        return _gain(self.fresh, self.reference_fresh)

    @property
    def luck(self) -> Normal:
        """The part of the gain that is not confirmed by fresh seeds.

        The gains of both have one standard deviation, estimated from all seeds, since a search often has a single seed.
        """
        gains = [gain for gain in (self.gain, self.fresh_gain) if gain.n]
        n, freedom = sum(gain.n for gain in gains), sum(gain.n - 1 for gain in gains)
        squares = sum((gain.n - 1) * gain.deviation**2 for gain in gains if gain.n > 1)
        error = math.sqrt(squares / freedom * sum(1 / gain.n for gain in gains)) if freedom else math.nan
        return Normal(n, self.gain.mean - self.fresh_gain.mean, error * math.sqrt(n), freedom)

    def conclusion(self) -> str:
        """Say whether the winner is better than the reference with fresh seeds, by test accuracy."""
        normal = not failed([*self.fresh_test.values(), *self.reference_fresh_test.values()])
        test = compare(self.fresh_test, self.reference_fresh_test, normal=normal)
        (judgement,) = judge([test])
        verdict = {
            "better": _("The winner is better than the reference with fresh seeds"),
            "worse": _("The winner is worse than the reference with fresh seeds"),
            "the same": _("With fresh seeds, the winner is the same as the reference within {margin} points"),
            "undecided": _("With fresh seeds, the winner is not shown to be better than the reference"),
            "too few": _("With so few fresh seeds, the winner is not shown to be better than the reference"),
        }
        said = verdict[judgement.verdict]
        if judgement.verdict in ("undecided", "too few") and test.difference < 0:
            said = _("With fresh seeds, the winner is below the reference, though not shown to be worse")
        form = _("{said}: {test} points of test accuracy, {validation} of validation accuracy, n = {n}.")
        return form.format(
            said=said.format(margin=figure(100 * MARGIN, "g")),
            test=points(test, judgement.level),
            validation=points(compare(self.fresh, self.reference_fresh, normal=normal)),
            n=test.n,
        )

    def runs(self) -> list[dict[str, object]]:
        """List the runs, a row for each."""
        parts = {
            "winner": (self.searched, self.fresh, self.fresh_test),
            "reference": (self.reference_searched, self.reference_fresh, self.reference_fresh_test),
        }
        return [
            {"configuration": name, "seeds": kind, "seed": seed, "val_accuracy": value, "test_accuracy": test.get(seed)}
            for name, (searched, fresh, tested) in parts.items()
            for kind, values, test in (("search", searched, {}), ("fresh", fresh, tested))
            for seed, value in values.items()
        ]


def _gain(winner: Mapping[int, float], reference: Mapping[int, float]) -> Summary:
    return summarize([winner[seed] - reference[seed] for seed in winner if seed in reference])


def confirm(search: Search, seeds: int, threads: int, say: Callable[[str], object]) -> Confirmation:
    """Train and test the winner and the reference with fresh seeds; a run that diverges has no accuracy.

    Args:
        search: with completed trials.
        seeds: the number of fresh seeds.
        threads: of each run.
        say: prints a line about each run.

    Raises:
        Problem: no trial is completed.
    """
    on_threads = f"trainer.threads={threads}"
    found: list[dict[int, float]] = []
    for name, winning in ((_("winner"), search.best.user_attrs["overrides"]), (_("reference"), [])):
        configs = {
            seed: search.space.config([*winning, on_threads], seed, search.folder) for seed in search.space.seeds
        }
        searched = {seed: train(config, []) for seed, config in configs.items()}
        validation, test = {}, {}
        for seed in range(FRESH_SEED, FRESH_SEED + seeds):
            config = search.space.config(
                [*winning, on_threads, "data.split_seed=null", "test=last"], seed, search.folder
            )
            validation[seed] = train(config, [])
            result = Run(config).result()
            test[seed] = result.test["accuracy"] if result and result.test else math.nan
            said = _("{label}, seed {seed}: validation {validation}, test {test}")
            figures = {"validation": figure(validation[seed], ".2%"), "test": figure(test[seed], ".2%")}
            say(said.format(label=name, seed=seed, **figures))
        found += [
            {seed: value for seed, value in each.items() if not math.isnan(value)}
            for each in (searched, validation, test)
        ]
    return Confirmation(*found)


def experiment(search: Search) -> Path:
    """Write the best trial as an experiment file; return its path.

    Raises:
        Problem: no trial is completed.
        OSError: the file cannot be written.
    """
    best, name = search.best, f"{search.space.name}_winner"
    overrides = OverridesParser.create().parse_overrides([*search.space.fixed, *best.user_attrs["overrides"]])
    defaults: list[Any] = []
    keys = OmegaConf.create({"name": name})
    for override in overrides:
        key, value = override.key_or_group, override.value()
        if key == "experiment":
            defaults.insert(0, value)
        elif options_of(key):
            defaults.append({f"override /{key}": value})
        else:
            OmegaConf.update(keys, key, value, force_add=True)
    lines = [
        "# @package _global_",
        f"# Trial {best.number} of the search {search.space.name}, with a validation accuracy of {best.value:.2%}.",
        *([OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults}))] if defaults else []),
        OmegaConf.to_yaml(keys),
    ]
    path = search.folder / "experiment" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    files.write(path, "\n".join(lines).rstrip() + "\n")
    return path
