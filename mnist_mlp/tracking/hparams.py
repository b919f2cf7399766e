"""The callback that logs a run's hyperparameters, for TensorBoard's HParams, with its configuration and question."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from typing_extensions import override

from mnist_mlp.config.schema import Config
from mnist_mlp.lab import questions
from mnist_mlp.language import N_, _
from mnist_mlp.runs.folder import Run

METRICS = {
    "accuracy/val": N_("validation accuracy"),
    "test/accuracy": N_("test accuracy"),
    "loss/val": N_("validation loss"),
    "test/loss": N_("test loss"),
    "time/seconds": N_("seconds"),
}
"""The curves whose last points are columns in HParams, and the titles of these columns."""

VISIBLE = ("activation", "batch", "hidden_sizes", "lr", "protocol")
"""The five columns that HParams shows at first."""


class Hyperparameters(Callback):
    """Logs the hyperparameters, the configuration and the question of a run before its first optimizer step.

    All runs have the same columns, with the same types, and the same metrics: TensorBoard hides runs if a column mixes
    numbers and words, or if some runs lack it. The values of the metrics come from the curves.

    Args:
        config: of the run.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    @override
    def setup(self, trainer: lightning.Trainer, pl_module: Any, stage: str) -> None:
        if stage != "fit":
            return
        row = columns(self.config)
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(row)
            elif trainer.is_global_zero:
                logger.hparams.update(row)
                run = Run(self.config)
                writer = logger.experiment.file_writer
                writer.add_summary(_table(row))
                writer.add_summary(hparams_pb(row, trial_id=f"seed{self.config.seed} {run.label} {run.id}"))
                for name, text in texts(self.config).items():
                    logger.experiment.add_text(name, text)


def columns(config: Config) -> dict[str, str | float]:
    """Return the hyperparameters of a run, words and numbers; every run has the same ones."""
    activation = config.model.activation
    sizes, data = config.model.hidden_sizes, config.data.dataset
    return {
        "question": config.chosen["question"],
        "model": config.chosen["model"],
        "hidden_sizes": "-".join(str(size) for size in sizes) if not config.network else "none",
        "width": max(sizes, default=0),
        "depth": len(sizes),
        "activation": "none"
        if config.network
        else "-".join(activation)
        if isinstance(activation, list)
        else activation,
        "optimizer": config.optimizer["_target_"].rsplit(".", 1)[-1],
        "lr": float(config.optimizer["lr"]),
        "batch": config.data.batch,
        "epochs": config.epochs,
        # Not in a column of its own, which earlier runs lack.
        "protocol": ", ".join([config.data.protocol, *([] if data == "mnist" else [data])]),
        "seed": config.seed,
    }


def texts(config: Config) -> dict[str, str]:
    """Return the resolved configuration, and the text of the question that it belongs to, if any, as Markdown."""
    markdown = {"configuration": f"```yaml\n{Run(config).configuration()}```"}
    if question := questions().get(config.chosen["question"]):
        markdown["question"] = f"**{_(question['title'])}.** {_(question['asks'])}"
    return markdown


def _table(row: dict[str, str | float]) -> Summary:
    columns = [
        api_pb2.HParamInfo(
            name=name,
            type=api_pb2.DATA_TYPE_STRING if isinstance(value, str) else api_pb2.DATA_TYPE_FLOAT64,
            differs=name in VISIBLE,  # by which TensorBoard chooses the columns to show
        )
        for name, value in row.items()
    ]
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=_(title)) for tag, title in METRICS.items()
    ]
    content = HParamsPluginData(experiment=api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics))
    summary_metadata = metadata.create_summary_metadata(content)
    value = Summary.Value(tag=metadata.EXPERIMENT_TAG, metadata=summary_metadata, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])
