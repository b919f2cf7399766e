"""The callback that draws the curves of a run, over epochs and over optimizer steps."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

POINTS_AN_EPOCH = 20


class Curves(Callback):
    """Logs loss and accuracy to every logger.

    `loss/train`, `loss/val`, `accuracy/train` and `accuracy/val` stand over epochs; `by_step/loss`, the loss of single
    batches some 20 times an epoch, and `by_step/val_accuracy` over optimizer steps; `test/loss` and `test/accuracy` at
    the last epoch.
    """

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Note the optimizer steps before."""
        self._steps_before = trainer.global_step

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the loss of an optimizer step now and then."""
        batches: Any = trainer.train_dataloader
        end, losses, every = trainer.global_step, outputs["losses"], max(1, batches.steps // POINTS_AN_EPOCH)
        for step in range(end - len(losses), end):
            if (step - self._steps_before) % every == 0:
                self._log(trainer, {"by_step/loss": float(losses[step - end])}, step + 1)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Log the means of the epoch."""
        metrics = pl_module.metrics
        over_epochs = {
            f"{name}/{stage}": value for stage in ("train", "val") for name, value in metrics[stage]._asdict().items()
        }
        self._log(trainer, over_epochs, trainer.current_epoch + 1)
        self._log(trainer, {"by_step/val_accuracy": metrics["val"].accuracy}, trainer.global_step)

    def on_test_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Log the test's means."""
        tested = pl_module.metrics["test"]._asdict()
        self._log(trainer, {f"test/{name}": value for name, value in tested.items()}, trainer.current_epoch)

    @staticmethod
    def _log(trainer: lightning.Trainer, values: dict[str, float], step: int) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(values, step)
