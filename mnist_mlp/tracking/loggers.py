"""The loggers for a run's curves and hyperparameters; each has a file in `conf/logger`."""

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
from typing_extensions import override

from mnist_mlp import files
from mnist_mlp.errors import Problem
from mnist_mlp.runs.folder import Run


def tensorboard(run: Run) -> TensorBoardLogger:
    """Make a logger that writes TensorBoard event files into the run's folder."""
    return TensorBoardLogger(save_dir=str(run.folder), name="", version="", default_hp_metric=False)


def csv(run: Run) -> CSVLogger:
    """Make a logger that writes `metrics.csv` into the run's folder."""
    return CSVLogger(save_dir=str(run.folder), name="", version="")


def mlflow(run: Run, experiment: str = "mnist_mlp", tracking_uri: str | None = None) -> MLFlowLogger:
    """Make a logger for MLflow.

    Args:
        run: the run to log. If it resumes, its MLflow run continues.
        experiment: MLflow's name for a set of runs.
        tracking_uri: of a server or a database; None for the SQLite database `mlflow.db` beside the runs.

    Raises:
        Problem: MLflow cannot open the server or database.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # no data leaves the machine unless the user asks for it
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    from mnist_mlp.runs.database import sqlite

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it reports every new database
    here = run.runs_dir.absolute()
    uri = tracking_uri or sqlite(here / "mlflow.db")
    artifacts = None if tracking_uri else (here / "mlflow").as_uri()
    tag = f"{run.id}-seed{run.config.seed}"
    try:
        with files.lock(here / ".locks" / "mlflow"):  # so that only one of several parallel jobs creates the experiment
            client = MlflowClient(uri)
            existing = client.get_experiment_by_name(experiment)
            number = existing.experiment_id if existing else client.create_experiment(experiment, artifacts)
        before = client.search_runs([number], f"tags.run = '{tag}'", max_results=1) if _resumes(run) else []
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
    """Make a logger for Weights & Biases.

    Args:
        run: the run to log. If it resumes, its Weights & Biases run continues.
        project: its name in Weights & Biases.
        offline: whether to only write files into the run's folder, which `wandb sync` can upload later.
    """
    return Wandb(
        run.folder,
        offline,
        project=project,
        id=f"{run.id}-seed{run.config.seed}",
        resume="allow" if _resumes(run) else None,  # None replaces an earlier run with this id
        name=f"{run.label} seed{run.config.seed}",
        group=run.label,
    )


def _resumes(run: Run) -> bool:
    return (run.checkpoints / "last.ckpt").exists()


class MLflow(MLFlowLogger):
    """Lightning's logger, but it can continue a run, and writes to the database in batches, as each write takes 20 ms.

    Args:
        run_id: of the run to continue; None for a new run.
        arguments: of Lightning's logger.
    """

    def __init__(self, run_id: str | None, **arguments: Any) -> None:
        super().__init__(run_id=run_id, **arguments)
        self.resumes = run_id is not None
        self.buffer: list[Any] = []

    @override
    def log_hyperparams(self, params: Any) -> None:
        if not self.resumes:  # MLflow does not allow them to change
            super().log_hyperparams(params)

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values; those of training over optimizer steps are written together with the next others."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.buffer += [Metric(name, value, now, step or 0) for name, value in metrics.items()]
        if not all(name.endswith("_by_step/train") for name in metrics):
            self._flush()

    @override
    @rank_zero_only
    def finalize(self, status: str = "success") -> None:
        self._flush()
        super().finalize(status)

    def _flush(self) -> None:
        if self.buffer:
            self.experiment.log_batch(self.run_id, metrics=self.buffer)
            self.buffer = []


class Wandb(WandbLogger):
    """Lightning's logger, but silent, and with separate axes for epochs and optimizer steps.

    Args:
        folder: for its files.
        offline: whether to only write files.
        arguments: of `wandb.init`.
    """

    def __init__(self, folder: Path, offline: bool, **arguments: Any) -> None:
        super().__init__(save_dir=folder, offline=offline, **arguments)
        self.mode: Literal["offline", "online"] = "offline" if offline else "online"
        self.arguments = {"dir": str(folder), **arguments}
        self.defined: set[str] = set()
        self.begun: Any = None

    @property
    @override
    @rank_zero_experiment
    def experiment(self) -> Any:
        import wandb

        if self.begun is None:
            settings = wandb.Settings(mode=self.mode, silent=True, console="off")
            wandb.setup(settings)  # for the whole process: otherwise even offline runs send usage statistics
            try:
                self.begun = wandb.init(**self.arguments, settings=settings)
            except wandb.Error as error:
                raise Problem(f"logger.wandb: {str(error).strip().splitlines()[0]}") from error
        return self.begun

    @override
    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at an optimizer step if their names have `_by_step/`, or else at an epoch."""
        axis = "optimizer_step" if all("_by_step/" in name for name in metrics) else "epoch"
        for name in metrics.keys() - self.defined:  # full names, because patterns would overlap
            self.experiment.define_metric(name, step_metric=axis)
            self.defined.add(name)
        self.experiment.log({axis: step, **metrics})

    def finish(self, failed: bool) -> None:
        """End the run, which would otherwise last until the process ends."""
        if self.begun is not None:
            self.begun.finish(exit_code=int(failed))


@contextmanager
def closing(loggers: list[Logger]) -> Iterator[None]:
    """End the run in Weights & Biases, and in MLflow if it is interrupted: Lightning does neither."""
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
