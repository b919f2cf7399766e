"""The callback that logs the curves of a run, over epochs and over optimizer steps."""

from typing import Any

import lightning
import torch
from jaxtyping import Float
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor
from typing_extensions import override

from mnist_mlp.callbacks.history import History
from mnist_mlp.language import _
from mnist_mlp.tracking import probe
from mnist_mlp.tracking import seed_means as means

POINTS_PER_EPOCH = 20


def layout() -> dict[str, dict[str, Any]]:
    """Return the charts of TensorBoard's Custom scalars by category; a margin chart has a mean and its bounds."""
    return {
        _("over epochs"): {
            _("loss, training beside validation"): ("Multiline", ["loss/train", "loss/val"]),
            _("accuracy, training beside validation"): ("Multiline", ["accuracy/train", "accuracy/val"]),
        },
        _("over optimizer steps"): {
            _("loss, training beside validation (steps)"): ("Multiline", ["loss_by_step/train", "loss_by_step/val"]),
            _("accuracy, training beside validation (steps)"): (
                "Multiline",
                ["accuracy_by_step/train", "accuracy_by_step/val"],
            ),
        },
        _("means over two seeds or more, with their 95% intervals"): {
            title: ("Margin", [means.mean(tag), means.low(tag), means.high(tag)])
            for tag, title in (
                # TensorBoard shows them in reverse order.
                ("loss/train", _("loss, training")),
                ("accuracy/train", _("accuracy, training")),
                ("loss/val", _("loss, validation")),
                ("accuracy/val", _("accuracy, validation")),
            )
        },
    }


class Curves(Callback):
    """Logs the curves of a run to every logger.

    Over epochs: `loss/train`, `loss/val`, `accuracy/train`, `accuracy/val`; `optimizer/learning_rate` and
    `optimizer/gradient_norm` (of the loss of some training images); `time/seconds` since the start of the run,
    `time/epoch_seconds` and `time/samples_per_second`; `test/loss` and `test/accuracy` at the last epoch.

    Over optimizer steps: `loss_by_step/*` and `accuracy_by_step/*`; in training about 20 points an epoch, each the mean
    over the steps since the point before.

    Args:
        gradient_norm: whether to compute and log it.
    """

    def __init__(self, gradient_norm: bool = True) -> None:
        self.gradient_norm = gradient_norm

    @override
    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_custom_scalars(layout())

    @override
    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self._pending: Float[Tensor, "2 steps"] = torch.empty(2, 0)

    @override
    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        batches: Any = trainer.train_dataloader
        every = max(1, batches.steps // POINTS_PER_EPOCH)
        of_steps = torch.stack([outputs["losses"], outputs["accuracies"]]).cpu()
        self._pending = torch.cat([self._pending, of_steps], dim=1)
        while self._pending.shape[1] >= every:
            window, self._pending = self._pending[:, :every], self._pending[:, every:]
            loss, accuracy = window.mean(dim=1).tolist()
            step = trainer.global_step - self._pending.shape[1]
            _log(trainer, {"loss_by_step/train": loss, "accuracy_by_step/train": accuracy}, step)

    @override
    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        train, val = pl_module.metrics["train"], pl_module.metrics.get("val")
        callbacks = trainer.callbacks  # type: ignore[attr-defined] # Lightning sets it
        epochs = next(callback for callback in callbacks if isinstance(callback, History)).epochs
        batches: Any = trainer.train_dataloader
        part = trainer.num_training_batches / len(batches)  # less than 1 if an argument of the Trainer limits them
        over_epochs = {
            "loss/train": train.loss,
            "accuracy/train": train.accuracy,
            "optimizer/learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "time/seconds": sum(epoch.seconds for epoch in epochs),
            "time/epoch_seconds": epochs[-1].seconds,
            "time/samples_per_second": batches.samples * part / epochs[-1].seconds,
        }
        if val is not None:
            over_epochs |= {"loss/val": val.loss, "accuracy/val": val.accuracy}
        if self.gradient_norm:
            gradients = probe.gradients(pl_module, *probe.training_images(trainer, pl_module))
            over_epochs["optimizer/gradient_norm"] = probe.norm(gradients)
        _log(trainer, over_epochs, trainer.current_epoch + 1)
        if val is not None:
            over_steps = {"loss_by_step/val": val.loss, "accuracy_by_step/val": val.accuracy}
            _log(trainer, over_steps, trainer.global_step)

    @override
    def on_test_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        metrics = pl_module.metrics["test"]._asdict()
        _log(trainer, {f"test/{name}": value for name, value in metrics.items()}, trainer.current_epoch)


def _log(trainer: lightning.Trainer, values: dict[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(values, step)
