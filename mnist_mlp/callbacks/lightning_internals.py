"""Everything this project takes from Lightning that is not documented, and that any release may move."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import AveragedModel


def count_optimizer_steps(trainer: lightning.Trainer, steps: int) -> None:
    """Count optimizer steps for `trainer.global_step`, which sees one in a training step, however many it takes."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for count in (progress.total, progress.current):
        count.ready += steps
        count.completed += steps


def count_finished_epochs(trainer: lightning.Trainer) -> None:
    """Count the last epoch for `trainer.current_epoch`, as Lightning does, except in a resumed run that had stopped."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    epochs.completed = epochs.processed


def average_of(callback: WeightAveraging) -> AveragedModel:
    """Return the average that a callback keeps, which it updates by itself only where Lightning takes the steps."""
    assert callback._average_model is not None
    return callback._average_model
