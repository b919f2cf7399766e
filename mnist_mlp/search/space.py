"""The space of a search: a file of conf/search, read and checked. Free of torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp.config.checks import problems
from mnist_mlp.config.compose import CONF, compose, reference, typed
from mnist_mlp.config.identity import label
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import SEED, nearest, shown
from mnist_mlp.errors import Problem

SAMPLERS = ("tpe", "gp")
RESERVED = ("name", "seed", "test", "runs_dir", "overwrite", "question", "logger", "callbacks", "data.split_seed")
"""What a search sets itself."""


@dataclass
class Space:
    """What a file of conf/search says.

    Attributes:
        space: by keys or groups of the command line, a list of values, or a range: `low` and `high`, both included,
            whole where both are, with `log: true` by their logarithm.
        fixed: overrides that all trials share.
        seeds: that a trial is trained with; its value is their mean.
        sampler: Optuna's `tpe` or `gp`.
        trials: how many, unless the command line says so.
        name: of the file.
    """

    space: dict[str, Any]
    fixed: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [100])
    sampler: str = "tpe"
    trials: int = 50
    name: str = ""

    def check(self, runs_dir: Path) -> None:
        """Compose each key's values, or the ends of its range, by themselves.

        Raises:
            Problem: one cannot be composed, or is out of range.
        """
        self.config([], self.seeds[0], runs_dir)
        for key, choice in self.space.items():
            for value in choice if isinstance(choice, list) else (choice["low"], choice["high"]):
                self.config([f"{key}={shown(value)}"], self.seeds[0], runs_dir)

    def config(self, overrides: Sequence[str], seed: int, runs_dir: Path) -> Config:
        """Compose a run's configuration, which looks at no test image.

        Raises:
            Problem: it cannot be composed, or a value is out of range.
        """
        quiet = ["logger=none", "callbacks=none", "test=none"]
        config = typed(compose([*quiet, *self.fixed, *overrides, f"seed={seed}"]))
        config.runs_dir = str(runs_dir)
        if found := problems(config):
            raise Problem(found[0])
        config.name = label(config, reference(None))
        return config


def read(name: str) -> Space:
    """Read a space by its name in conf/search, or by its path.

    Raises:
        Problem: there is none, or something in it is wrong; the message names it.
    """
    folder = CONF / "search"
    path = Path(os.path.expanduser(name)) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(each.stem for each in folder.glob("*.yaml"))
        raise Problem(f"{name}: there is no such search; there are {', '.join(names)}{nearest(name, names)}")
    try:
        given = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OmegaConfBaseException, ValueError, OSError) as error:
        raise Problem(f"{path}: {str(error).splitlines()[0]}") from error
    except Exception as error:  # yaml's own, of several lines
        raise Problem(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    known = [each.name for each in fields(Space) if each.name != "name"]
    if not isinstance(given, dict) or not isinstance(given.get("space"), dict) or not given["space"]:
        raise Problem(f"{path}: it needs a space, as in space: {{width: {{low: 50, high: 500}}}}")
    for key in map(str, given):
        if key not in known:
            raise Problem(f"{path}: there is no key {key}; there are {', '.join(known)}{nearest(key, known)}")
    space = Space(**given, name=path.stem)  # type: ignore[arg-type] # its keys have been looked at
    if problem := problem_of(space):
        raise Problem(f"{path}: {problem}")
    return space


def problem_of(space: Space) -> str | None:
    """Say what is wrong with a space, if anything is."""
    if not isinstance(space.fixed, list) or not all(isinstance(text, str) and "=" in text for text in space.fixed):
        return "fixed is a list of overrides, as in [epochs=10]"
    for key in [*space.space, *(text.partition("=")[0] for text in space.fixed)]:
        if key in RESERVED:
            return f"{key} is not searched for, nor fixed: a search sets {', '.join(RESERVED)} itself"
    for key, choice in space.space.items():
        if problem := problem_of_choice(choice):
            return f"space.{key}: {problem}"
    if not isinstance(space.seeds, list) or not space.seeds or any(seed not in SEED for seed in space.seeds):
        return f"seeds is a list of numbers, each {SEED}"
    if type(space.trials) is not int or space.trials < 1:
        return "trials is a whole number of at least 1"
    if space.sampler not in SAMPLERS:
        return f"sampler={space.sampler}: sampler is one of {', '.join(SAMPLERS)}{nearest(space.sampler, SAMPLERS)}"
    return None


def problem_of_choice(choice: Any) -> str | None:
    """Say what is wrong with a key's values."""
    if isinstance(choice, list):
        return None if choice else "a list names at least one value"
    if not isinstance(choice, dict) or not {"low", "high"} <= choice.keys() <= {"low", "high", "log"}:
        return "a list of values, or a range as in {low: 0.0001, high: 0.01, log: true}"
    low, high = choice["low"], choice["high"]
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high)):
        return "low and high are numbers, as in 0.0001"
    if low > high:
        return f"low is {low}, above high, {high}"
    return "log: true needs a low above 0" if choice.get("log") and low <= 0 else None
