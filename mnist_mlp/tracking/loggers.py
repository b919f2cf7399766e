"""The loggers that a run's curves and hyperparameters can go to; each has a file in `conf/logger`."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from mnist_mlp import files
from mnist_mlp.errors import Problem
from mnist_mlp.runs.folder import Run


def tensorboard(run: Run) -> TensorBoardLogger:
    """Write TensorBoard's events into the run's folder."""
    return TensorBoardLogger(save_dir=str(run.folder), name="", version="", default_hp_metric=False)


def csv(run: Run) -> CSVLogger:
    """Write `metrics.csv` into the run's folder."""
    return CSVLogger(save_dir=str(run.folder), name="", version="")


def mlflow(run: Run, experiment: str = "mnist_mlp", tracking_uri: str | None = None) -> MLFlowLogger:
    """Keep the run in MLflow.

    Args:
        run: what is kept. If it goes on, so does its record.
        experiment: MLflow's name for a set of runs.
        tracking_uri: of a server or a database; None is the SQLite database `mlflow.db` beside the runs.

    Raises:
        Problem: MLflow cannot be reached there.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves the machine unasked
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    from mnist_mlp.database import sqlite

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it reports every new database
    here = run.runs_dir.absolute()
    uri = tracking_uri or sqlite(here / "mlflow.db")
    artifacts = None if tracking_uri else (here / "mlflow").as_uri()
    tag = f"{run.id}-seed{run.config.seed}"
    try:
        with files.lock(here / ".locks" / "mlflow"):  # of jobs beside each other, the first makes the experiment
            client = MlflowClient(uri)
            found = client.get_experiment_by_name(experiment)
            number = found.experiment_id if found else client.create_experiment(experiment, artifacts)
        before = client.search_runs([number], f"tags.run = '{tag}'", max_results=1) if _goes_on(run) else []
    except (MlflowException, SQLAlchemyError) as error:
        raise Problem(f"logger.mlflow: {str(error).strip().splitlines()[0]}") from error
    return MLflow(
        experiment_name=experiment,
        run_name=f"{run.label} seed{run.config.seed}",
        run_id=before[0].info.run_id if before else None,
        tracking_uri=uri,
        tags={"run": tag},
    )


def wandb(run: Run, project: str = "mnist_mlp", offline: bool = True) -> WandbLogger:
    """Keep the run in Weights & Biases.

    Args:
        run: what is kept. If it goes on, so does its record.
        project: its name there.
        offline: only write the files, in the run's folder, which `wandb sync` can send later.
    """
    return Wandb(
        run.folder,
        offline,
        project=project,
        id=f"{run.id}-seed{run.config.seed}",
        resume="allow" if _goes_on(run) else None,  # without it, an earlier run of this name is replaced
        name=f"{run.label} seed{run.config.seed}",
        group=run.label,
    )


def _goes_on(run: Run) -> bool:
    return (run.checkpoints / "last.ckpt").exists()


class MLflow(MLFlowLogger):
    """Lightning's logger, for runs that may go on, and with few writings into the database, each of which takes 20 ms.

    Args:
        run_id: of a run that goes on.
        arguments: of Lightning's logger.
    """

    def __init__(self, run_id: str | None, **arguments: Any) -> None:
        super().__init__(run_id=run_id, **arguments)
        self.goes_on = run_id is not None
        self.waiting: list[Any] = []

    def log_hyperparams(self, params: Any) -> None:
        """Log them, unless the run has them: MLflow lets none change."""
        if not self.goes_on:
            super().log_hyperparams(params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values; those of training by optimizer steps wait for the next others."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.waiting += [Metric(name, value, now, step or 0) for name, value in metrics.items()]
        if not all(name.endswith("_by_step/train") for name in metrics):
            self._write()

    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        """Log what waits, and end the run."""
        self._write()
        super().finalize(status)

    def _write(self) -> None:
        if self.waiting:
            self.experiment.log_batch(self.run_id, metrics=self.waiting)
            self.waiting = []


class Wandb(WandbLogger):
    """Lightning's logger, but with epochs and optimizer steps as axes of their own, and silent.

    Args:
        folder: for its files.
        offline: only write these.
        arguments: of `wandb.init`.
    """

    def __init__(self, folder: Path, offline: bool, **arguments: Any) -> None:
        super().__init__(save_dir=folder, offline=offline, **arguments)
        self.mode: Literal["offline", "online"] = "offline" if offline else "online"
        self.arguments = {"dir": str(folder), **arguments}
        self.defined: set[str] = set()

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run in Weights & Biases."""
        import wandb

        if self._experiment is None:
            settings = wandb.Settings(mode=self.mode, silent=True, console="off")
            wandb.setup(settings)  # of the process too, which otherwise sends statistics of use even from offline runs
            try:
                self._experiment = wandb.init(**self.arguments, settings=settings)
            except wandb.Error as error:
                raise Problem(f"logger.wandb: {str(error).strip().splitlines()[0]}") from error
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at an epoch or, those that are named so, at an optimizer step."""
        axis = "optimizer_step" if all("_by_step/" in name for name in metrics) else "epoch"
        for name in metrics.keys() - self.defined:  # by full names: of patterns that overlap, any may be taken
            self.experiment.define_metric(name, step_metric=axis)
            self.defined.add(name)
        self.experiment.log({axis: step, **metrics})

    def finish(self, failed: bool) -> None:
        """End the run, which would go on until the process ends."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(failed))


@contextmanager
def closing(loggers: list[Logger]) -> Iterator[None]:
    """Tell Weights & Biases when a run ends and MLflow when it is interrupted, as Lightning does not."""
    failed = True
    try:
        yield
        failed = False
    except KeyboardInterrupt:
        for logger in loggers:
            if isinstance(logger, MLflow):
                logger.finalize("KILLED")
        raise
    finally:
        for logger in loggers:
            if isinstance(logger, Wandb):
                logger.finish(failed)
