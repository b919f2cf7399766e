"""Files and folders that several processes, and several people, share. Free of torch."""

import os
from pathlib import Path

from filelock import FileLock


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, with the permissions of the one that is there."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(folder.parent.stat().st_mode & 0o7777)


def lock(path: Path) -> FileLock:
    """Give a lock that whoever may write in its folder may take. The operating system frees it when a process dies."""
    make_folder(path.parent)
    return FileLock(path, mode=path.parent.stat().st_mode & 0o666 | 0o600)


def write(path: Path, text: str) -> None:
    """Write a file all at once: at any moment, the old text or the new one is on the disk."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
