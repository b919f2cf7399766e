"""The callback that keeps in a checkpoint what a run needs to resume, and Lightning leaves out."""

import os
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Resuming(Callback):
    """Keeps the decision to stop, and follows a run's folder that was moved or copied.

    Lightning restores a callback's count of bad epochs but not what it decided, and `ModelCheckpoint` forgets its best
    score where the checkpoint names another folder.
    """

    def on_save_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add the decision and the folder."""
        checkpoint["should_stop"] = trainer.should_stop
        checkpoint["folder"] = os.path.realpath(trainer.default_root_dir)

    def on_load_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Restore the decision, and name the folder of today in the states of all callbacks."""
        trainer.should_stop = checkpoint.get("should_stop", False)
        states = checkpoint["callbacks"]
        folders = [str(Path(state["dirpath"]).parent) for state in states.values() if "dirpath" in state]
        before = checkpoint.get("folder") or folders[0]  # the latter in checkpoints of version 0.1.0
        checkpoint["callbacks"] = moved(states, before, os.path.realpath(trainer.default_root_dir))


def moved(value: Any, before: str, now: str) -> Any:
    """Give plain values in which all paths within one folder lie within another."""
    if isinstance(value, dict):
        return {moved(key, before, now): moved(part, before, now) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(moved(part, before, now) for part in value)
    within = isinstance(value, str) and (value + os.sep).startswith(before + os.sep)
    return now + value[len(before) :] if within else value
