"""A search over configurations by validation accuracy: an Optuna study in an SQLite file beside its runs."""

import math
import warnings
from contextlib import redirect_stdout
from io import StringIO
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any

import lightning
import optuna
from lightning.pytorch.callbacks import Callback
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from mnist_mlp.callbacks.history import Stopped
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import formatted
from mnist_mlp.errors import Problem
from mnist_mlp.language import _
from mnist_mlp.runs.database import sqlite
from mnist_mlp.search.space import Space

COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
HEARTBEAT = 30
"""Seconds between the heartbeats of a trial; one without a heartbeat for twice as long was killed, and is repeated."""


class Search:
    """A resumable study of a space, in the folder `searches/NAME` of the runs' folder.

    Args:
        space: of the trials.
        runs_dir: the runs' folder.

    Raises:
        Problem: the study cannot be opened, or is of another space.
    """

    def __init__(self, space: Space, runs_dir: Path) -> None:
        self.space = space
        self.folder = runs_dir / "searches" / space.name
        self.folder.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # a Ctrl-C is a warning with a traceback
        file = self.folder / "study.db"
        try:
            self.study = self._open(file)
        except Exception as error:  # of Optuna, SQLAlchemy or SQLite
            said = _("{file}: cannot be opened as a study: {reason}")
            raise Problem(said.format(file=file, reason=str(error).splitlines()[0])) from error
        attributes = {"space": space.space, "fixed": space.fixed, "seeds": space.seeds}
        if self.study.user_attrs and self.study.user_attrs != attributes:
            raise Problem(
                _(
                    "{file}: a study with another space, fixed or seeds; move its folder, or rename your search file"
                ).format(file=file)
            )
        for name, value in attributes.items():
            self.study.set_user_attr(name, value)

    def _open(self, file: Path) -> optuna.Study:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                sqlite(file),
                engine_kwargs={"connect_args": {"timeout": 60}},  # seconds to wait for other processes
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

    def run(self, trials: int, job: int, threads: int, begun: Semaphore | None = None) -> None:
        """Run trials until the study has a given number of them, including those of other processes.

        Args:
            trials: the number of completed, pruned or diverged trials.
            job: the number of this process, which is different in each process of the study.
            threads: of each run.
            begun: counts down the trials that the processes have yet to begin, so that no trial begins in two.
        """
        seed = 1_000 * job + len(self.study.trials)
        samplers: dict[str, Any] = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
        self.study.sampler = samplers[self.space.sampler](seed=seed)
        while len(self.done) < trials and (begun is None or begun.acquire(block=False)):
            self.study.optimize(lambda trial: self.value(trial, threads), n_trials=1)

    def value(self, trial: optuna.Trial, threads: int) -> float:
        """Train a trial with every seed and return its mean validation accuracy.

        Raises:
            optuna.TrialPruned: the run with the first seed is pruned, or a run diverges.
        """
        overrides = suggest(trial, self.space)
        trial.set_user_attr("overrides", overrides)
        accuracies: list[float] = []
        for seed in self.space.seeds:
            config = self.space.config([*overrides, f"trainer.threads={threads}"], seed, self.folder)
            accuracy = train(config, [] if accuracies else [Pruning(trial)])
            if math.isnan(accuracy):
                trial.set_user_attr("diverged", True)
                raise optuna.TrialPruned
            accuracies.append(accuracy)
        trial.set_user_attr("accuracies", accuracies)
        return sum(accuracies) / len(accuracies)

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
            said = _("{folder}: none of the {number} trials is completed")
            raise Problem(said.format(folder=self.folder, number=len(self.done)))
        return self.study.best_trial

    @property
    def hours(self) -> float:
        """The sum of the durations of all trials."""
        spans = [trial.duration.total_seconds() for trial in self.done if trial.duration]
        return sum(spans) / 3600


class Pruning(Callback):
    """Reports a trial's validation accuracy after each tenth of its epochs, and ends the run if the trial is pruned.

    Trials are compared after the same fraction of their epochs: after the same number of epochs, a long trial with
    large batches would always be behind.

    Args:
        trial: of the run.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    @override
    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
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
    """Train a run without output and return its final validation accuracy; NaN if it diverged.

    Raises:
        optuna.TrialPruned: a callback ended the run.
    """
    from mnist_mlp import training

    try:
        with redirect_stdout(StringIO()):
            accuracy = training.train(config, show=False, watchers=callbacks)
    except Stopped as stopped:
        raise optuna.TrialPruned(str(stopped)) from stopped
    return accuracy


def suggest(trial: optuna.Trial, space: Space) -> list[str]:
    """Choose a trial's overrides."""
    overrides = []
    for key, choice in space.space.items():
        value: Any
        if isinstance(choice, list):
            value = trial.suggest_categorical(key, choice)
        elif isinstance(choice["low"], int) and isinstance(choice["high"], int):
            value = trial.suggest_int(key, choice["low"], choice["high"], log=choice.get("log", False))
        else:
            value = trial.suggest_float(key, choice["low"], choice["high"], log=choice.get("log", False))
        overrides.append(f"{key}={formatted(value)}")
    return overrides
