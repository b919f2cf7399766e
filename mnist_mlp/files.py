"""Files and folders that several processes, and several people, share. Free of torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.language import _

if TYPE_CHECKING:
    from filelock import FileLock


def make_folder(folder: Path) -> None:
    """Make a folder and the missing ones above it, all with the permissions of the nearest existing one."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(folder.parent.stat().st_mode & 0o7777)


def unwritable(folder: Path) -> Path | None:
    """Return the existing path, the folder or the nearest above it, that keeps it from being made or written to.

    It is tried, as the permissions of /proc and of network drives do not tell.
    """
    folder = folder.expanduser().absolute()
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
    except (OSError, ValueError):  # a name that is too long, or has a null character
        return folder
    try:
        with TemporaryDirectory(prefix=".writing-", dir=there):
            return None
    except OSError:
        return there


def lock(path: Path) -> "FileLock":
    """Return a lock for everyone who may write to its folder. The operating system releases it if a process dies."""
    from filelock import FileLock

    make_folder(path.parent)
    return FileLock(path, mode=path.parent.stat().st_mode & 0o666 | 0o600)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path; what is written there replaces `path` at the end, so that no one ever reads a part of it.

    If an exception ends the block, `path` stays as it was.

    Raises:
        OSError: the file cannot be written.
    """
    with TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        partial = Path(folder) / path.name
        yield partial
        with partial.open("r+b") as file:
            os.fsync(file.fileno())  # on the disk before it gets its name, in case the machine fails
        partial.replace(path)


@contextmanager
def saving(path: Path) -> Iterator[Path]:
    """As `replacing`, for a file that the user asked for.

    Raises:
        Problem: the file cannot be written.
    """
    try:
        with replacing(path) as partial:
            yield partial
    except OSError as error:
        raise Problem(_("{path}: cannot be written: {reason}").format(path=path, reason=reason_of(error))) from error


def write(path: Path, content: str | bytes) -> None:
    """Replace a file by new content; text is written as UTF-8.

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
