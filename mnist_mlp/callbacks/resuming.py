"""The callback that adds to a checkpoint what a run needs to resume and Lightning leaves out."""

import os
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class Resuming(Callback):
    """Saves the decision to stop, and adapts paths if the run's folder was moved or copied.

    Lightning restores a callback's count of bad epochs but not its decision, and `ModelCheckpoint` forgets its best
    score where the checkpoint names another folder.
    """

    def on_save_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Add the decision and the folder."""
        checkpoint["should_stop"] = trainer.should_stop
        checkpoint["folder"] = os.path.realpath(trainer.default_root_dir)

    def on_load_checkpoint(self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Restore the decision, and name the folder of today in the states of all callbacks."""
        states = checkpoint["callbacks"]
        stopped = any(state.get("stopped_epoch") for state in states.values())  # in checkpoints of version 0.1.0
        trainer.should_stop = checkpoint.get("should_stop", stopped)
        folders = [str(Path(state["dirpath"]).parent) for state in states.values() if "dirpath" in state]
        before = checkpoint.get("folder") or folders[0]  # the latter in checkpoints of version 0.1.0
        checkpoint["callbacks"] = moved(states, before, os.path.realpath(trainer.default_root_dir))


def moved(value: Any, before: str, now: str) -> Any:
    """Return plain values with the paths within one folder moved into another."""
    if isinstance(value, dict):
        return {moved(key, before, now): moved(part, before, now) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(moved(part, before, now) for part in value)
    within = isinstance(value, str) and (value + os.sep).startswith(before + os.sep)
    return now + value[len(before) :] if within else value
