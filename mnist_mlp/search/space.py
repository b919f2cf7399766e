"""The space of a search: reads and checks a file of `spaces/`. Free of torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp.config.compose import compose_run, no_such_option
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import SEED, formatted, nearest
from mnist_mlp.errors import Problem
from mnist_mlp.language import _

SAMPLERS = ("tpe", "gp")
SPACES = {path.stem: path for path in sorted((Path(__file__).parent / "spaces").glob("*.yaml"))}
RESERVED = ("name", "seed", "test", "runs_dir", "overwrite", "question", "logger", "callbacks", "data.split_seed")
"""The keys that a search itself sets."""


@dataclass
class Space:
    """The content of a file of `spaces/`.

    Attributes:
        space: for each key or group, a list of values, or a range with `low` and `high`, both included: of whole
            numbers if both are whole, and logarithmic with `log: true`.
        fixed: overrides of all trials.
        seeds: with which to train each trial; its value is the mean over them.
        sampler: Optuna's `tpe` or `gp`.
        trials: their number, unless the command line has another.
        name: of the file.
    """

    space: dict[str, Any]
    fixed: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [100])
    sampler: str = "tpe"
    trials: int = 50
    name: str = ""

    def check(self, runs_dir: Path) -> None:
        """Check each value, or both ends of each range, separately.

        Raises:
            Problem: a value is not valid.
        """
        self.config([], self.seeds[0], runs_dir)
        for key, choice in self.space.items():
            for value in choice if isinstance(choice, list) else (choice["low"], choice["high"]):
                self.config([f"{key}={formatted(value)}"], self.seeds[0], runs_dir)

    def config(self, overrides: Sequence[str], seed: int, runs_dir: Path) -> Config:
        """Compose a run's configuration, which looks at no test image and has the split that all trials share.

        Raises:
            Problem: it cannot be composed, or a value is out of range.
        """
        quiet = ["logger=none", "callbacks=none", "test=none", "data.split_seed=0"]
        config = compose_run([*quiet, *self.fixed, *overrides, f"seed={seed}"])
        config.runs_dir = str(runs_dir)
        return config


def read(name: str) -> Space:
    """Read a space by its name in `SPACES`, or by its path.

    Raises:
        Problem: there is none, or something in it is wrong; the message names it.
    """
    path = Path(os.path.expanduser(name)) if name.endswith((".yaml", ".yml")) else SPACES.get(name)
    if path is None or not path.is_file():
        said = _("{name}: there is no such search; there are {names}{hint}")
        raise Problem(said.format(name=name, names=", ".join(SPACES), hint=nearest(name, SPACES)))
    try:
        given = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OmegaConfBaseException, ValueError, OSError) as error:
        raise Problem(f"{path}: {str(error).splitlines()[0]}") from error
    except Exception as error:  # yaml's own, of several lines
        raise Problem(_("{path}: not YAML: {reason}").format(path=path, reason=" ".join(str(error).split()))) from error
    known = [each.name for each in fields(Space) if each.name != "name"]
    if not isinstance(given, dict) or not isinstance(given.get("space"), dict) or not given["space"]:
        said = _("{path}: the key space is missing; write it as in space: {example}")
        raise Problem(said.format(path=path, example="{width: {low: 50, high: 500}}"))
    for key in map(str, given):
        if key not in known:
            said = _("{path}: there is no key {key}; there are {keys}{hint}")
            raise Problem(said.format(path=path, key=key, keys=", ".join(known), hint=nearest(key, known)))
    space = Space(**given, name=path.stem)  # type: ignore[arg-type] # its keys are checked above
    if problem := problem_of(space):
        raise Problem(f"{path}: {problem}")
    return space


def problem_of(space: Space) -> str | None:
    """Describe what is wrong with a space; None if nothing is."""
    if not isinstance(space.fixed, list) or not all(isinstance(text, str) and "=" in text for text in space.fixed):
        return _("fixed is a list of overrides, as in [epochs=10]")
    for key in [*space.space, *(text.partition("=")[0] for text in space.fixed)]:
        if key in RESERVED:
            said = _("{key} can be neither searched for nor fixed: a search sets {keys} itself")
            return said.format(key=key, keys=", ".join(RESERVED))
    for key, choice in space.space.items():
        if problem := problem_of_choice(choice):
            return f"space.{key}: {problem}"
    if not isinstance(space.seeds, list) or not space.seeds or any(seed not in SEED for seed in space.seeds):
        return _("seeds is a list of numbers, each {valid}").format(valid=SEED)
    if type(space.trials) is not int or space.trials < 1:
        return _("trials is a whole number of at least 1")
    if space.sampler not in SAMPLERS:
        return no_such_option("sampler", space.sampler, SAMPLERS)
    return None


def problem_of_choice(choice: Any) -> str | None:
    """Describe what is wrong with the values of a key; None if nothing is."""
    if isinstance(choice, list):
        return None if choice else _("the list is empty; give at least one value")
    if not isinstance(choice, dict) or not {"low", "high"} <= choice.keys() <= {"low", "high", "log"}:
        said = _("give a list of values, or a range as in {example}")
        return said.format(example="{low: 0.0001, high: 0.01, log: true}")
    low, high = choice["low"], choice["high"]
    if not all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high)):
        return _("low and high are numbers, as in 0.0001")
    if low > high:
        return _("low, {low}, is greater than high, {high}").format(low=low, high=high)
    return _("log: true requires that low is greater than 0") if choice.get("log") and low <= 0 else None
