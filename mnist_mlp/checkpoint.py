"""Checkpoints read whole, without running what may be in them."""

import zipfile
from pathlib import Path
from typing import Any

import torch


class Damaged(Exception):
    """A checkpoint is not what was written, or holds more than weights and plain values."""


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Raises:
        FileNotFoundError: there is none.
        Damaged: the file is not whole, or loading it would have to run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not look at the checksums that it writes
            if (part := archive.testzip()) is not None:
                raise Damaged(f"{path} is damaged in {part}")
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, Damaged):
        raise
    except Exception as error:  # whatever reading and unpickling make of what is there
        raise Damaged(f"{path} is damaged, or holds more than weights and plain values") from error
    if not isinstance(found, dict):
        raise Damaged(f"{path} is not a checkpoint")
    return found
