"""Checkpoints, read with their checksums verified and without executing code."""

import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch


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
