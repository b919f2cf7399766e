"""The callback that records the epochs of a run and stops a run that diverges."""

import math
import time
from dataclasses import asdict
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from mnist_mlp.runs.record import Epoch


class Diverged(Exception):
    """A loss became NaN or infinite."""


class Stopped(Exception):
    """A callback ended the run, which can be resumed later."""


class History(Callback):
    """Records each epoch, also in the checkpoint.

    Raises:
        Diverged: in training, when a training or validation loss becomes NaN or infinite.
    """

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self._epoch_started = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Note the time."""
        self._epoch_started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the run if the loss of an optimizer step is not a number."""
        finite = outputs["losses"].isfinite()
        if not finite.all():
            first = int((~finite).int().argmax())
            step = trainer.global_step - len(finite) + first + 1
            raise Diverged(f"the training loss became {float(outputs['losses'][first])} at optimizer step {step}")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Add the epoch, after its validation."""
        train, val = pl_module.metrics["train"], pl_module.metrics.get("val")
        if val is not None and not math.isfinite(val.loss):
            raise Diverged(f"the validation loss became {val.loss} in epoch {trainer.current_epoch + 1}")
        seconds = time.perf_counter() - self._epoch_started
        self.epochs.append(Epoch(trainer.current_epoch + 1, seconds, *train, *(val or (None, None))))

    def state_dict(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the record of a run that goes on."""
        self.epochs = [Epoch(**epoch) for epoch in state_dict["epochs"]]
