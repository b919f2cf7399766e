"""The students of a class, with the folders and .zip archives that they handed in. Free of torch."""

import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mnist_mlp.errors import Problem
from mnist_mlp.language import _
from mnist_mlp.runs.record import RECORD

LARGEST = 2 * 1024**3
"""Bytes that an archive may unpack to."""


@dataclass(frozen=True)
class Student:
    """A student, who may have handed in several folders and archives."""

    name: str
    sources: list[Path] = field(default_factory=list)


class Unreadable(Exception):
    """An archive cannot be unpacked; the message says why."""


def find(folders: Iterable[Path]) -> tuple[list[Student], list[str]]:
    """List the students of some folders, and in one line each what is neither a folder nor an archive.

    Args:
        folders: of the runs of one student, named by the folder, or by the one above it if it is called runs; or with
            a folder or an archive for each student; or an archive.

    Raises:
        Problem: there is no such folder.
    """
    students: dict[str, Student] = {}
    left_out: list[str] = []
    for given in folders:
        if not given.exists():
            raise Problem(_("{folder}: there is no such folder").format(folder=given))
        parts = [given] if given.is_file() or is_of_one(given) else sorted(given.iterdir())
        for part in parts:
            if part.name.startswith((".", "__MACOSX")):
                continue
            if not part.is_dir() and not zipfile.is_zipfile(part):
                said = _("{path}: neither a folder nor a .zip archive")
                left_out.append(said.format(path=printable(str(part))))
                continue
            name = printable(name_of(part))
            students.setdefault(name, Student(name)).sources.append(part)
    return sorted(students.values(), key=lambda student: student.name.casefold()), left_out


def is_of_one(folder: Path) -> bool:
    """Whether a folder is that of the runs of one student, or has it in it under the name runs."""
    return any(any(each.glob(f"*-*/seed*/{name}")) for each in (folder, folder / "runs") for name in USED[:2])


def name_of(source: Path) -> str:
    """Name a student by a folder or an archive."""
    path = source.absolute()
    named = path.parent if path.name == "runs" else path
    return named.name if named.is_dir() else named.stem


def printable(text: str) -> str:
    """Replace what a terminal would obey, or not show, in a text of somebody else."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


USED = (RECORD, "config.yaml", "last.ckpt", "best.ckpt")
"""The files of a run that count here, beside the TensorBoard events."""


@contextmanager
def unpacked(student: Student) -> Iterator[tuple[list[Path], list[str]]]:
    """Yield the folders that a student handed in, archives unpacked, and in one line each what could not be."""
    with tempfile.TemporaryDirectory() as temporary:
        folders: list[Path] = []
        left_out: list[str] = []
        archives: list[Path] = []
        for source in student.sources:
            if source.is_dir():
                folders.append(source)
                archives += sorted(source.rglob("*.zip"))
            else:
                archives.append(source)
        for number, archive in enumerate(archives):
            try:
                unpack(archive, Path(temporary, str(number)))
                folders.append(Path(temporary, str(number)))
            except Unreadable as problem:
                left_out.append(f"{printable(str(archive))}: {problem}")
        yield folders, left_out


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the files of runs from an archive; `ZipFile.extract` lets none of them out of the folder.

    Raises:
        Unreadable: the archive is corrupt, encrypted or too large.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = []
            for member in file.infolist():
                member.filename = member.filename.replace("\\", "/")  # of archives that Windows made
                name = PurePosixPath(member.filename).name
                if name in USED or name.startswith("events.out.tfevents"):
                    members.append(member)
            if sum(member.file_size for member in members) > LARGEST:
                raise Unreadable(_("unpacks to more than {size} GiB").format(size=LARGEST // 1024**3))
            for member in members:
                file.extract(member, folder)
            folder.mkdir(exist_ok=True)
    except (OSError, zipfile.BadZipFile, RuntimeError, zlib.error, EOFError, ValueError) as error:
        raise Unreadable(_("cannot be unpacked: {reason}").format(reason=error)) from error


def runs_of(folder: Path) -> list[Path]:
    """List the folders of runs anywhere in a folder: those with a record, or with the configuration of a begun run."""
    found = {path.parent for name in USED[:2] for path in folder.rglob(name)}
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
