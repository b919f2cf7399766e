"""A search over configurations by validation accuracy: an Optuna study, kept in an SQLite file beside its runs."""

import math
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import lightning
import optuna
from lightning.pytorch.callbacks import Callback
from optuna.trial import FrozenTrial, TrialState

from mnist_mlp.callbacks.history import Stopped
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import shown
from mnist_mlp.database import sqlite
from mnist_mlp.errors import Problem
from mnist_mlp.search.space import Space

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
HEARTBEAT = 30
"""Seconds between two signs of life of a trial; one that gives none for twice as long was killed, and is repeated."""


class Search:
    """A study of a space: its trials, resumable, in a folder of the runs' folder.

    Args:
        space: of the trials.
        runs_dir: the folder is `searches/NAME` in it.

    Raises:
        Problem: the study cannot be opened, or is of another space.
    """

    def __init__(self, space: Space, runs_dir: Path) -> None:
        self.space = space
        self.folder = runs_dir / "searches" / space.name
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file = self.folder / "study.db"
        try:
            self.study = self._open(file)
        except Exception as error:  # of Optuna, of its database layer or of SQLite
            raise Problem(f"{file}: it cannot be opened as a study: {str(error).splitlines()[0]}") from error
        searched = {"space": space.space, "fixed": space.fixed, "seeds": space.seeds}
        if self.study.user_attrs and self.study.user_attrs != searched:
            raise Problem(
                f"{file}: a study of another space, fixed or seeds; move its folder, or rename the file of yours"
            )
        for name, value in searched.items():
            self.study.set_user_attr(name, value)

    def _open(self, file: Path) -> optuna.Study:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                sqlite(file),
                engine_kwargs={"connect_args": {"timeout": 60}},  # seconds that a process waits for another
                heartbeat_interval=HEARTBEAT,
                heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(
                    inherit_intermediate_values=True
                ),
            )
        return optuna.create_study(
            storage=storage,
            study_name=self.space.name,
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
        overrides = [*suggest(trial, self.space), f"trainer.threads={threads}"]
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
    """Tells a trial of each tenth of its epochs, and ends the run if the trial is not worth more.

    Trials are compared when the same part of them is done: after as many epochs, a long one with large batches would
    always be behind.

    Args:
        trial: with earlier ones to be compared with.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Report the validation accuracy, where another tenth is done."""
        assert trainer.max_epochs
        before, tenths = (
            10 * epoch // trainer.max_epochs for epoch in (trainer.current_epoch, trainer.current_epoch + 1)
        )
        if tenths == before:
            return
        self.trial.report(pl_module.metrics["val"].accuracy, tenths)
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


def suggest(trial: optuna.Trial, space: Space) -> list[str]:
    """Draw a trial's overrides."""
    found = []
    for key, choice in space.space.items():
        value: Any
        if isinstance(choice, list):
            value = trial.suggest_categorical(key, choice)
        elif isinstance(choice["low"], int) and isinstance(choice["high"], int):
            value = trial.suggest_int(key, choice["low"], choice["high"], log=choice.get("log", False))
        else:
            value = trial.suggest_float(key, choice["low"], choice["high"], log=choice.get("log", False))
        found.append(f"{key}={shown(value)}")
    return found
