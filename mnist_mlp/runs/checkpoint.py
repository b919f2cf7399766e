"""Checkpoints, read with their checksums verified and without executing code."""

import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from mnist_mlp import files

KEPT = (
    *("epoch", "global_step", "pytorch-lightning_version", "state_dict", "hparams_name", "hyper_parameters"),
    "data_set",
)
"""What a finished run's checkpoints keep, beside the record of its epochs: a third of what resuming needs."""


class Damaged(Exception):
    """A checkpoint is corrupt, or contains objects whose unpickling could execute code."""


def read(path: Path) -> Any:
    """Read a checkpoint onto the CPU.

    Raises:
        OSError: it does not exist, or cannot be read.
        Damaged: it is corrupt, or contains more than weights and plain values.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:  # torch does not verify the checksums that it writes
            intact = archive.testzip() is None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'torch.load' received a zip file that looks like a TorchScript archive")
            found = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # reading garbage can end in anything
        raise Damaged(str(path)) from error
    if not intact:
        raise Damaged(str(path))
    return found


def is_resumable(content: dict[str, Any]) -> bool:
    """Whether a run can resume from a checkpoint's content."""
    return "optimizer_states" in content


def strip(path: Path) -> None:
    """Remove from a finished run's checkpoint what only resuming needs, such as the optimizer's moments.

    Raises:
        OSError: it cannot be read or written; it stays as it was.
        Damaged: it contains more than weights and plain values.
    """
    content = read(path)
    kept = {name: content[name] for name in KEPT if name in content}
    kept["callbacks"] = {name: state for name, state in content["callbacks"].items() if name == "History"}
    with files.replacing(path) as partial:
        torch.save(kept, partial)
