"""The winner of a search: its experiment file, and its accuracy with fresh seeds, each with its own split."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from mnist_mlp import files
from mnist_mlp.config.hydra_internals import options_of
from mnist_mlp.language import _, figure
from mnist_mlp.runs.folder import Run
from mnist_mlp.search.trials import Search, train
from mnist_mlp.statistics import Summary, summarize

FRESH_SEED = 1_000
"""The first of the seeds that no search uses."""


@dataclass(frozen=True)
class Confirmation:
    """Accuracies, as fractions, of the winner and of the reference: the same without what was searched for.

    Attributes:
        searched: the winner's on the validation images, with the search's seeds.
        fresh: the winner's on the validation images, with fresh seeds.
        fresh_test: the winner's on the test images, with fresh seeds.
        reference_searched: the reference's, like `searched`.
        reference_fresh: the reference's, like `fresh`.
        reference_fresh_test: the reference's, like `fresh_test`.
    """

    searched: Summary
    fresh: Summary
    fresh_test: Summary
    reference_searched: Summary
    reference_fresh: Summary
    reference_fresh_test: Summary

    @property
    def gain(self) -> float:
        """The winner's validation accuracy over the reference's, with the search's seeds."""
        return self.searched.mean - self.reference_searched.mean

    @property
    def fresh_gain(self) -> float:
        """The winner's validation accuracy over the reference's, with fresh seeds."""
        return self.fresh.mean - self.reference_fresh.mean

    @property
    def luck(self) -> float:
        """The part of the gain that is not confirmed by fresh seeds."""
        return self.gain - self.fresh_gain


def confirm(search: Search, seeds: int, threads: int, say: Callable[[str], object]) -> Confirmation:
    """Train and test the winner and the reference with fresh seeds.

    Args:
        search: with completed trials.
        seeds: the number of fresh seeds.
        threads: of each run.
        say: prints a line about each run.

    Raises:
        Problem: no trial is completed.
    """
    on_threads = f"trainer.threads={threads}"
    summaries = []
    for name, winning in ((_("winner"), search.best.user_attrs["overrides"]), (_("reference"), [])):
        configs = [search.space.config([*winning, on_threads], seed, search.folder) for seed in search.space.seeds]
        summaries.append(summarize([train(config, []) for config in configs]))
        validation, test = [], []
        for seed in range(FRESH_SEED, FRESH_SEED + seeds):
            config = search.space.config(
                [*winning, on_threads, "data.split_seed=null", "test=last"], seed, search.folder
            )
            validation.append(train(config, []))
            result = Run(config).result()
            test.append(result.test["accuracy"] if result and result.test else float("nan"))
            said = _("{label}, seed {seed}: validation {validation}, test {test}")
            figures = {"validation": figure(validation[-1], ".2%"), "test": figure(test[-1], ".2%")}
            say(said.format(label=name, seed=seed, **figures))
        summaries += [summarize(validation), summarize(test)]
    return Confirmation(*summaries)


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
