"""Callbacks of Lightning that are not supported, and why."""

from importlib.util import find_spec

from lightning.pytorch.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    Callback,
    DeviceStatsMonitor,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
    ModelPruning,
    OnExceptionCheckpoint,
    StochasticWeightAveraging,
    ThroughputMonitor,
)

from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import nearest

UNSUPPORTED: dict[type[Callback], str] = {
    BaseFinetuning: "it freezes the backbone of a network, which a multilayer perceptron does not have",
    BatchSizeFinder: "it would train with another batch size than the record says; set it, as in batch=1000",
    LearningRateFinder: "it would train with another learning rate than the record says; set it, as in lr=0.01",
    ModelPruning: "its masks are in no checkpoint, so that the run could not be resumed",
    OnExceptionCheckpoint: "Lightning would resume from its checkpoint; the same command resumes from the run's own",
    StochasticWeightAveraging: "it averages after the last checkpoint, which would hold other weights than the tested; "
    "write ema=0.999, which averages them too",
}
METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""What callbacks can monitor."""


def problem_of(callback: Callback, config: Config) -> str | None:
    """Explain why a callback is not supported in a run, if it is not."""
    for kind, reason in UNSUPPORTED.items():
        if isinstance(callback, kind):
            return f"{type(callback).__name__} is not supported: {reason}"
    name = type(callback).__name__
    if isinstance(callback, (EarlyStopping, ModelCheckpoint)) and callback.monitor not in (None, *METRICS):
        monitor = callback.monitor
        return f"monitor={monitor}: {name} monitors one of {', '.join(METRICS)}{nearest(monitor, METRICS)}"
    if isinstance(callback, DeviceStatsMonitor) and find_spec("psutil") is None:
        return f"{name} needs psutil: pip install psutil"
    if isinstance(callback, (DeviceStatsMonitor, LearningRateMonitor, ThroughputMonitor)) and not config.logger:
        return f"{name} needs a logger, as in logger=tensorboard"
    if isinstance(callback, GradientAccumulationScheduler) and config.scheduler:
        return f"{name} changes the number of optimizer steps, by which scheduler= sets the learning rate; choose one"
    return None
