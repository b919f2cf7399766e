"""Checkpoints read whole, without running what may be in them."""

import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch


class Damaged(Exception):
    """A checkpoint is not what was written, or it holds objects, of which unpickling could run any code."""


def read(path: Path) -> Any:
    """Read a checkpoint onto the CPU.

    Raises:
        OSError: there is none, or it cannot be read.
        Damaged: the file is not whole, or it holds more than weights and plain values.
    """
    content = path.read_bytes()
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:  # torch does not look at the checksums that it writes
            whole = archive.testzip() is None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'torch.load' received a zip file that looks like a TorchScript archive")
            found = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # reading garbage can end in anything
        raise Damaged(str(path)) from error
    if not whole:
        raise Damaged(str(path))
    return found
