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
from mnist_mlp.language import N_, _

UNSUPPORTED: dict[type[Callback], str] = {
    BaseFinetuning: N_("it freezes the backbone of a network, which a multilayer perceptron does not have"),
    BatchSizeFinder: N_("it would train with another batch size than the record says; set it, as in batch=1000"),
    LearningRateFinder: N_("it would train with another learning rate than the record says; set it, as in lr=0.01"),
    ModelPruning: N_("its masks are in no checkpoint, so that the run could not be resumed"),
    OnExceptionCheckpoint: N_(
        "Lightning would resume from its checkpoint; the same command resumes from the run's own"
    ),
    StochasticWeightAveraging: N_(
        "it averages after the last checkpoint, which would hold other weights than the tested; write ema=0.999, "
        "which averages them too"
    ),
}
METRICS = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
"""What callbacks can monitor."""


def problem_of(callback: Callback, config: Config) -> str | None:
    """Explain why a callback is not supported in a run, if it is not."""
    for kind, reason in UNSUPPORTED.items():
        if isinstance(callback, kind):
            return _("{callback} is not supported: {reason}").format(callback=type(callback).__name__, reason=_(reason))
    name = type(callback).__name__
    if isinstance(callback, (EarlyStopping, ModelCheckpoint)) and callback.monitor not in (None, *METRICS):
        monitor = callback.monitor
        said = _("monitor={monitor}: {callback} monitors one of {metrics}{hint}")
        metrics = ", ".join(METRICS)
        return said.format(monitor=monitor, callback=name, metrics=metrics, hint=nearest(monitor, METRICS))
    if isinstance(callback, DeviceStatsMonitor) and find_spec("psutil") is None:
        return _("{callback} needs psutil: pip install psutil").format(callback=name)
    if isinstance(callback, (DeviceStatsMonitor, LearningRateMonitor, ThroughputMonitor)) and not config.logger:
        return _("{callback} needs a logger, as in logger=tensorboard").format(callback=name)
    if isinstance(callback, GradientAccumulationScheduler) and config.scheduler:
        said = _(
            "{callback} changes the number of optimizer steps, by which scheduler= sets the learning rate; choose one"
        )
        return said.format(callback=name)
    return None
