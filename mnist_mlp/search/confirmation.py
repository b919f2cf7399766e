"""The winner of a search: its experiment file, and its worth on fresh seeds and a fresh split."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from mnist_mlp.config.compose import loader
from mnist_mlp.inference.export import whole
from mnist_mlp.runs.folder import Run
from mnist_mlp.search.trials import Search, train
from mnist_mlp.statistics import Summary, summarize

FRESH_SEED, FRESH_SPLIT = 1_000, 1
"""The first of the seeds, and the split, that no search trains with."""


@dataclass(frozen=True)
class Confirmation:
    """Accuracies, as fractions, of the winner and of the reference: the same without what was searched for.

    Attributes:
        searched: the winner's on the validation images, as the search saw it.
        fresh: the same with fresh seeds and a fresh split.
        fresh_test: on the test images.
        reference_searched: the reference's, with the search's seeds and split.
        reference_fresh: with the fresh ones.
        reference_fresh_test: on the test images.
    """

    searched: Summary
    fresh: Summary
    fresh_test: Summary
    reference_searched: Summary
    reference_fresh: Summary
    reference_fresh_test: Summary

    @property
    def luck(self) -> float:
        """The part of the search's gain over the reference that fresh seeds and a fresh split do not show."""
        searched = self.searched.mean - self.reference_searched.mean
        return searched - (self.fresh.mean - self.reference_fresh.mean)


def confirm(search: Search, seeds: int, threads: int, say: Callable[[str], object]) -> Confirmation:
    """Train the winner and the reference with so many fresh seeds and a fresh split, and test them.

    Raises:
        Problem: no trial is completed.
    """
    fresh = [f"data.split_seed={FRESH_SPLIT}", "test=last", f"trainer.threads={threads}"]
    found: dict[str, list[float]] = {}
    for who, overrides in (("winner", search.best.user_attrs["overrides"]), ("reference", [])):
        searched = [search.space.config([*overrides, *fresh[2:]], seed, search.folder) for seed in search.space.seeds]
        found[f"{who} searched"] = [train(config, []) for config in searched]
        found[f"{who} fresh"], found[f"{who} test"] = [], []
        for seed in range(FRESH_SEED, FRESH_SEED + seeds):
            config = search.space.config([*overrides, *fresh], seed, search.folder)
            found[f"{who} fresh"].append(train(config, []))
            result = Run(config).result()
            tested = result.test if result else None
            found[f"{who} test"].append(tested["accuracy"] if tested else float("nan"))
            say(f"{who}, seed {seed}: validation {found[f'{who} fresh'][-1]:.2%}, test {found[f'{who} test'][-1]:.2%}")
    summaries = {name: summarize(values) for name, values in found.items()}
    return Confirmation(
        summaries["winner searched"],
        summaries["winner fresh"],
        summaries["winner test"],
        summaries["reference searched"],
        summaries["reference fresh"],
        summaries["reference test"],
    )


def experiment(search: Search) -> Path:
    """Write the best trial as an experiment file, and give its path."""
    best, name = search.best, f"{search.space.name}_winner"
    overrides = OverridesParser.create().parse_overrides([*search.space.fixed, *best.user_attrs["overrides"]])
    defaults: list[Any] = []
    keys = OmegaConf.create({"name": name})
    for override in overrides:
        key, value = override.key_or_group, override.value()
        if key == "experiment":
            defaults.insert(0, value)
        elif loader().get_group_options(key):
            defaults.append({f"override /{key}": value})
        else:
            OmegaConf.update(keys, key, value, force_add=True)
    lines = [
        "# @package _global_",
        f"# Trial {best.number} of the search {search.space.name}: validation accuracy {best.value:.2%} there.",
        *([OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults}))] if defaults else []),
        OmegaConf.to_yaml(keys),
    ]
    path = search.folder / "experiment" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    with whole(path) as partial:
        partial.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return path
