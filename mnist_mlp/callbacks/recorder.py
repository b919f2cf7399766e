"""The recorder of a run: writes what has become of it, and on which machine."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Timer

from mnist_mlp.callbacks.history import History
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.identity import further_arguments
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import formatted
from mnist_mlp.runs import machine
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import SCHEMA, Result, Status, packed

LIMITS: dict[str, float] = {
    "check_val_every_n_epoch": 1,
    "fast_dev_run": 0,
    "limit_test_batches": 1.0,
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "overfit_batches": 0,
}
"""Arguments of `lightning.Trainer` that leave out some of the images, and their values that leave out none."""


class Recorder:
    """Writes the record of a run that starts now.

    Args:
        run: whose `result.json` is written.
        history: of its epochs.
        writes: whether this process does, which only one of several is to do.
        classes: their names.
    """

    def __init__(self, run: Run, history: History, writes: bool, classes: Sequence[str]) -> None:
        self.run = run
        self.history = history
        self.writes = writes
        self.classes = list(classes)
        self.started = datetime.now(UTC).isoformat(timespec="seconds")

    def record_end(self, trainer: lightning.Trainer, model: MNISTClassifier, test: dict[str, float] | None) -> Result:
        """Record a run that ended by itself: completed, or limited by an argument of the Trainer or by a callback."""
        limit = limit_of(self.run.config, trainer, self.history)
        return self.record(trainer, model, "limited" if limit else "completed", limit, test)

    def record(
        self,
        trainer: lightning.Trainer,
        model: MNISTClassifier,
        status: Status,
        reason: str | None = None,
        test: dict[str, float] | None = None,
    ) -> Result:
        """Record the run as it is now."""
        config = self.run.config
        result = Result(
            schema=SCHEMA,
            id=self.run.id,
            label=self.run.label,
            status=status,
            reason=reason,
            seed=config.seed,
            config=asdict(config),
            epochs=self.history.epochs,
            test=test,
            fit_seconds=sum((epoch.seconds for epoch in self.history.epochs), 0.0),
            optimizer_steps=trainer.global_step,
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            hardware=_hardware(trainer, model),
            versions=machine.versions(),
            started=self.started,
            git=machine.commit(),
            experiment=config.chosen["experiment"],
            question=config.chosen["question"],
            protocol=config.data.protocol,
            classes=self.classes,
            correct=None if test is None or model.right is None else packed(model.right.cpu().numpy()),
            temperature=model.temperature,
        )
        if self.writes:
            self.run.write(result)
        return result


def limit_of(config: Config, trainer: lightning.Trainer, history: History) -> str | None:
    """Say what cut a run short: an argument of the Trainer, or a callback that stopped it within an epoch."""
    arguments = further_arguments(config)
    for name, unlimited in LIMITS.items():
        value = arguments.get(name, unlimited)
        if value != unlimited or (name.startswith("limit_") and isinstance(value, int)):  # 1 is one batch, 1.0 all
            return f"{name}={formatted(value)}"
    ended_an_epoch = trainer.is_last_batch or not history.epochs
    if len(history.epochs) == config.epochs and ended_an_epoch:
        return None
    if 0 <= trainer.max_steps <= trainer.global_step:
        return f"max_steps={trainer.max_steps}"
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    if any(left is not None and left <= 0 for left in (timer.time_remaining() for timer in timers)):
        return "the time is over"
    if not history.epochs:
        return "stopped before its first epoch"
    return None if ended_an_epoch else f"stopped within epoch {len(history.epochs)}"


def _hardware(trainer: lightning.Trainer, model: MNISTClassifier) -> dict[str, Any]:
    device = trainer.strategy.root_device
    return {
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cpu": machine.processor(),
        "instructions": model.instructions if device.type == "cpu" else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": trainer.world_size,
        "steps_by": model.steps_by,
    }
