"""A search over configurations by validation accuracy: an Optuna study, kept in an SQLite file beside its runs."""

import math
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import lightning
import optuna
from lightning.pytorch.callbacks import Callback
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import FrozenTrial, TrialState

from mnist_mlp import command
from mnist_mlp.config import Config, label, nearest, problems, shown
from mnist_mlp.history import Stopped
from mnist_mlp.problem import Problem

SAMPLERS = ("tpe", "gp")
COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
HEARTBEAT = 30
"""Seconds between two signs of life of a trial; one that gives none for twice as long was killed, and is repeated."""

Choice = list[Any] | dict[str, Any]


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

    def suggest(self, trial: optuna.Trial) -> list[str]:
        """Draw a trial's overrides."""
        found = []
        for key, choice in self.space.items():
            value: Any
            if isinstance(choice, list):
                value = trial.suggest_categorical(key, choice)
            elif isinstance(choice["low"], int) and isinstance(choice["high"], int):
                value = trial.suggest_int(key, choice["low"], choice["high"], log=choice.get("log", False))
            else:
                value = trial.suggest_float(key, choice["low"], choice["high"], log=choice.get("log", False))
            found.append(f"{key}={shown(value)}")
        return found

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
        config = command.typed(command.compose([*quiet, *self.fixed, *overrides, f"seed={seed}"]))
        config.runs_dir = str(runs_dir)
        if found := problems(config):
            raise Problem(found[0])
        config.name = label(config, command.reference(None))
        return config


def read(name: str) -> Space:
    """Read a space by its name in conf/search, or by its path.

    Raises:
        Problem: there is none, or something in it is wrong; the message names it.
    """
    folder = command.CONF / "search"
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
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
    for key, choice in space.space.items():
        if problem := problem_of_choice(choice):
            raise Problem(f"{path}: space.{key}: {problem}")
    if space.sampler not in SAMPLERS:
        raise Problem(f"{path}: sampler={space.sampler}: sampler is one of {', '.join(SAMPLERS)}")
    return space


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


class Search:
    """A study of a space: its trials, resumable, in a folder of the runs' folder.

    Args:
        space: of the trials.
        runs_dir: the folder is `searches/NAME` in it.
    """

    def __init__(self, space: Space, runs_dir: Path) -> None:
        self.space = space
        self.folder = runs_dir / "searches" / space.name
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                f"sqlite:///{self.folder / 'study.db'}",
                engine_kwargs={"connect_args": {"timeout": 60}},  # seconds that a process waits for another
                heartbeat_interval=HEARTBEAT,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(
                    inherit_intermediate_values=True
                ),
            )
        self.study = optuna.create_study(
            storage=storage,
            study_name=space.name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=8, n_warmup_steps=2),
        )

    def run(self, trials: int, job: int, threads: int) -> None:
        """Go on with the study until it has so many trials, other processes' included.

        Args:
            trials: of which each is completed, pruned or diverged.
            job: the number of this process among those of the study.
            threads: of each run.
        """
        seed = 1_000 * job + len(self.study.trials)
        samplers: dict[str, Any] = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
        if len(self.done) >= trials:
            return
        self.study.sampler = samplers[self.space.sampler](seed=seed)
        self.study.optimize(
            lambda trial: self.value(trial, threads),
            callbacks=[optuna.study.MaxTrialsCallback(trials, states=COUNTED)],
        )

    def value(self, trial: optuna.Trial, threads: int) -> float:
        """Train a trial with every seed, and give its mean validation accuracy; the first seed may be pruned."""
        overrides = [*self.space.suggest(trial), f"trainer.threads={threads}"]
        trial.set_user_attr("overrides", overrides[:-1])
        found: list[float] = []
        for seed in self.space.seeds:
            config = self.space.config(overrides, seed, self.folder)
            accuracy = train(config, [] if found else [Pruning(trial)])
            if math.isnan(accuracy):
                trial.set_user_attr("diverged", True)
                raise optuna.TrialPruned
            found.append(accuracy)
        trial.set_user_attr("accuracies", found)
        return sum(found) / len(found)

    @property
    def done(self) -> list[FrozenTrial]:
        """The trials that are completed, pruned or diverged."""
        return self.study.get_trials(deepcopy=False, states=COUNTED)

    @property
    def completed(self) -> list[FrozenTrial]:
        """The trials that have a value."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))

    @property
    def best(self) -> FrozenTrial:
        """The trial with the best value.

        Raises:
            Problem: no trial is completed.
        """
        if not self.completed:
            raise Problem(f"{self.folder}: none of the {len(self.done)} trials was completed")
        return self.study.best_trial

    @property
    def hours(self) -> float:
        """What all trials took, one after the other."""
        spans = [trial.duration.total_seconds() for trial in self.done if trial.duration]
        return sum(spans) / 3600


class Pruning(Callback):
    """Tells a trial of each epoch, and ends the run if the trial is not worth more.

    Args:
        trial: with earlier ones to be compared with.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Report the validation accuracy."""
        self.trial.report(pl_module.metrics["val"].accuracy, trainer.current_epoch + 1)
        if self.trial.should_prune():
            raise Stopped("pruned")


def train(config: Config, callbacks: list[Callback]) -> float:
    """Train a run out of sight and give its last validation accuracy; NaN if it diverged.

    Raises:
        optuna.TrialPruned: a callback has ended it.
    """
    from mnist_mlp import training

    try:
        with redirect_stdout(None):
            accuracy = training.train(config, show=False, watchers=callbacks)
    except Stopped as stopped:
        raise optuna.TrialPruned(str(stopped)) from stopped
    return accuracy
