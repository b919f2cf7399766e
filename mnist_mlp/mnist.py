"""The bundled MNIST files, unpacked and verified, in torchvision's layout."""

import gzip
import hashlib
import json
import logging
import os
import shutil
import tempfile
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Int64, UInt8
from platformdirs import user_cache_path
from torch import Tensor

from mnist_mlp import files
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.language import _

log = logging.getLogger(__name__)


class IDXFile(NamedTuple):
    """The magic number, the size in bytes and the SHA-256 checksum of an uncompressed file."""

    magic: int
    size: int
    sha256: str


FILES = {
    "train-images-idx3-ubyte": IDXFile(
        2051, 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte": IDXFile(
        2049, 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte": IDXFile(
        2051, 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte": IDXFile(2049, 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
STAMP = "unpacked_by_mnist_mlp.json"
"""The file beside those that this module unpacked: the size and time of each when its SHA-256 was last verified."""


class Records(NamedTuple):
    """Images and labels, as the files have them."""

    images: UInt8[Tensor, "records 784"]
    labels: Int64[Tensor, " records"]


def default_directory() -> Path:
    """Return the directory that the files are unpacked to unless the configuration names another."""
    return Path(user_cache_path("mnist_mlp"))


def load(directory: Path, train: bool) -> Records:
    """Read the 60,000 training or the 10,000 test records, unpacking and verifying the files first if necessary.

    Torchvision reads them the first time; a copy of what it read, with checksums, serves later ones, as importing it
    takes longer than a short run.

    Args:
        directory: where `MNIST/raw` is, or will be.
        train: True for the training records, False for the test records.

    Raises:
        Problem: the user's own copy in `directory` is corrupt, or `directory` cannot be written to.
    """
    prepare(directory)
    if kept := read_kept(_kept(train)):
        return kept
    from torchvision.datasets import MNIST  # takes seconds to import

    read = MNIST(str(directory), train=train)
    records = Records(read.data.flatten(1), read.targets)
    keep(_kept(train), records)
    return records


def read_kept(path: Path) -> Records | None:
    """Read a copy of records and verify its checksums; None if there is no copy, or a corrupt one."""
    with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile), path.open("rb") as file, np.load(file) as copy:
        return Records(torch.from_numpy(copy["images"]), torch.from_numpy(copy["labels"]))
    return None


def keep(path: Path, records: Records) -> None:
    """Keep a copy of records, unless the cache cannot be written to."""
    with suppress(OSError):
        files.make_folder(path.parent)
        with files.replacing(path) as partial:
            np.savez(partial, images=records.images.numpy(), labels=records.labels.numpy())


def _kept(train: bool) -> Path:
    """Where the records are kept once torchvision has read them: those of any directory, as all have the same files."""
    name = "train-images-idx3-ubyte" if train else "t10k-images-idx3-ubyte"
    return default_directory() / f"{name}-{FILES[name].sha256[:8]}.npz"


def prepare(directory: Path) -> None:
    """Make sure that `directory` has the four files, verified, in torchvision's layout.

    A copy that this module unpacked is verified completely once, afterwards by the size and time of its files, and
    replaced if it is corrupt. A user's own copy is verified completely each time and never written to.

    Raises:
        Problem: the user's own copy is corrupt, or `directory` cannot be written to.
    """
    raw = directory / "MNIST" / "raw"
    try:
        if _matches_stamp(raw):
            return
        if _is_users_own(raw, directory):
            damage = _damage(raw)
            if damage:
                said = _("data.dir: {damage}; repair it, or move {folder} away to use the bundled files")
                raise Problem(said.format(damage=damage, folder=raw))
            return
        raw.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(raw.parent / ".lock"):
            if not _matches_stamp(raw):  # another process may have unpacked them meanwhile
                _unpack(raw)
    except OSError as error:
        said = _("data.dir: {folder} cannot hold the MNIST files: {reason}")
        raise Problem(said.format(folder=raw, reason=reason_of(error))) from error


def _is_users_own(raw: Path, directory: Path) -> bool:
    return (
        directory != default_directory() and not (raw / STAMP).exists() and any((raw / name).exists() for name in FILES)
    )


def _matches_stamp(raw: Path) -> bool:
    try:
        return json.loads((raw / STAMP).read_text(encoding="utf-8")) == _stamp(raw)
    except (OSError, ValueError):
        return False


def _stamp(raw: Path) -> dict[str, list[int]]:
    """The magic number, the size and the time of modification in nanoseconds of each file."""
    stamp = {}
    for name in FILES:
        with (raw / name).open("rb") as file:
            magic = int.from_bytes(file.read(4), "big")
            status = os.fstat(file.fileno())
        stamp[name] = [magic, status.st_size, status.st_mtime_ns]
    return stamp


def _damage(raw: Path) -> str | None:
    """Describe what is wrong with the first corrupt or missing file, if any is."""
    for name, expected in FILES.items():
        path = raw / name
        if not path.exists():
            return _("{name} is missing").format(name=path)
        content = path.read_bytes()
        if len(content) != expected.size:
            said = _("{path} is corrupt: it has {size} bytes, not {expected}")
            return said.format(path=path, size=len(content), expected=expected.size)
        magic = int.from_bytes(content[:4], "big")
        if magic != expected.magic:
            said = _("{path} is corrupt: it begins with the magic number {magic}, not {expected}")
            return said.format(path=path, magic=magic, expected=expected.magic)
        if hashlib.sha256(content).hexdigest() != expected.sha256:
            return _("{path} is corrupt: its SHA-256 sum is not that of MNIST's").format(path=path)
    return None


def _unpack(raw: Path) -> None:
    """Unpack the bundled files into a folder beside `raw`, verify them and move them there. The caller has the lock."""
    for leftover in raw.parent.glob(".unpacking-*"):  # of a process that was killed
        shutil.rmtree(leftover)
    if any((raw / name).exists() for name in FILES):
        damage = _damage(raw)
        if damage is None:  # only the times differ, as in a copied cache
            _write_stamp(raw)
            return
        log.warning(_("{damage}; the bundled copy replaces it").format(damage=damage))
    unpacking = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=raw.parent))
    unpacking.chmod(0o755)
    for name in FILES:
        packed = resources.files("mnist_mlp") / "mnist_files" / f"{name}.gz"
        with packed.open("rb") as file, gzip.open(file) as source, (unpacking / name).open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    damage = _damage(unpacking)
    if damage:
        raise Problem(_("the files bundled with mnist_mlp are corrupt ({damage}); reinstall it").format(damage=damage))
    _write_stamp(unpacking)
    if raw.exists():
        for path in (*(unpacking / name for name in FILES), unpacking / STAMP):
            path.replace(raw / path.name)
        unpacking.rmdir()
    else:
        unpacking.rename(raw)  # all at once: a copy without its stamp would pass for the user's own


def _write_stamp(raw: Path) -> None:
    files.write(raw / STAMP, json.dumps(_stamp(raw)))
