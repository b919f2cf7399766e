"""A folder of images with a sub-folder for each class: its files, their split, and a hash of all. Free of torch."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.language import _, ngettext

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".avif")
"""The suffixes of image files."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")
"""The formats that Pillow may read, whatever a file's name: none for which it starts another program."""

CLASSES = 10
"""The maximum number of classes: the outputs of a network."""

SEVENTH = 7
"""One image in so many of a class is a test image, as MNIST has 60,000 and 10,000."""

TENTH = 10
"""One training record in so many validates, as in MNIST 6,000 of 60,000."""

OF_THE_SYSTEM = ("thumbs.db", "desktop.ini")
"""Files that Windows adds to folders. They are ignored, as are names that begin with a dot."""


Entries = list[os.DirEntry[str]]
"""What a folder has, sorted by name. Tens of thousands of paths would take seconds."""


class ImageFile(NamedTuple):
    """An image: its file, the SHA-256 sum of the file and the number of its class."""

    sha256: str
    label: int
    path: Path


@dataclass(frozen=True)
class ImageFolder:
    """The images of a folder.

    Attributes:
        classes: the names of the sub-folders, sorted.
        training: the images that train and validate, in the order of their hashes, which mixes the classes.
        test: the others, in the same order.
        content: 16 hexadecimal digits of a hash of all images, their classes and their split, whatever their names.
    """

    classes: tuple[str, ...]
    training: tuple[ImageFile, ...]
    test: tuple[ImageFile, ...]
    content: str

    @property
    def trained(self) -> int:
        """The number of images that train, without those that validate."""
        return len(self.training) - len(self.training) // TENTH


_known: dict[Path, tuple[list[tuple[str, int, int, int]], ImageFolder]] = {}
"""The folders that this process has read, with the names, sizes and times of their files then."""


def read(directory: str) -> ImageFolder:
    """List the images of a folder and hash them; a second time in a process only if a size or a time has changed.

    The folder has `train` and `test`, each with a sub-folder for each class, or only the sub-folders of the classes. A
    seventh of each class, those with the smallest hashes, are then the test images: the same ones for every seed,
    whatever the files are called.

    Raises:
        Problem: it has another form, a file cannot be read, or there are too few images.
    """
    folder = Path(directory).expanduser().absolute()
    try:
        files = _list(folder)
        state = [_state(entry) for entries in files.values() for entry in entries]
        if folder not in _known or _known[folder][0] != state:
            _known[folder] = state, _hash(folder, files)
    except OSError as error:
        said = _("data.dir: {path} cannot be read: {reason}")
        raise Problem(said.format(path=error.filename or folder, reason=reason_of(error))) from error
    return _known[folder][1]


def _list(folder: Path) -> dict[tuple[str, str], Entries]:
    # The files by subset ("train", "test", or "" where the folder has none) and class.
    names = [path.name for path in _folders(folder)]
    subsets = sorted({"train", "test"} & set(names))
    if subsets and sorted(names) != ["test", "train"]:
        said = _("data.dir: {folder} has a folder {name}; it needs train and test alone, or neither")
        raise Problem(said.format(folder=folder, name=subsets[0]))
    files = {(subset, path.name): _images(path) for subset in subsets or [""] for path in _folders(folder / subset)}
    classes = {subset: {name for of, name in files if of == subset} for subset in subsets or [""]}
    for name in sorted(classes.get("train", set()) ^ classes.get("test", set())):
        only = "train" if name in classes["train"] else "test"
        said = _("data.dir: {path} is a class of {subset} alone; train and test have the same ones")
        raise Problem(said.format(path=folder / only / name, subset=only))
    number = len(next(iter(classes.values())))
    if number > CLASSES:
        said = _("data.dir: {folder} has {classes} classes; the networks have {outputs} outputs")
        raise Problem(said.format(folder=folder, classes=number, outputs=CLASSES))
    if number < 2:
        raise Problem(_("data.dir: {folder} has fewer than 2 folders of classes").format(folder=folder))
    return files


def _visible(folder: Path) -> Entries:
    with os.scandir(folder) as entries:
        visible = [each for each in entries if not each.name.startswith(".") and each.name.lower() not in OF_THE_SYSTEM]
    return sorted(visible, key=lambda entry: entry.name)


def _folders(folder: Path) -> list[Path]:
    entries = _visible(folder)
    for entry in entries:
        if not entry.is_dir():
            said = _("data.dir: {path} is a file beside the folders of the classes; move it elsewhere")
            raise Problem(said.format(path=entry.path))
        if not entry.name.isprintable():
            said = _("data.dir: {name} in {folder} cannot be printed, which the name of a class has to be")
            raise Problem(said.format(name=ascii(entry.name), folder=folder))
    return [Path(entry) for entry in entries]


def _images(folder: Path) -> Entries:
    entries = _visible(folder)
    for entry in entries:
        if entry.is_dir():
            said = _("data.dir: {path} is a folder within a class; a class has images alone")
            raise Problem(said.format(path=entry.path))
        if not entry.name.lower().endswith(SUFFIXES):
            said = _("data.dir: {path} is not an image ({suffixes}); move it elsewhere")
            raise Problem(said.format(path=entry.path, suffixes=", ".join(SUFFIXES)))
    if not entries:
        raise Problem(_("data.dir: {folder} has no images").format(folder=folder))
    return entries


def _state(entry: os.DirEntry[str]) -> tuple[str, int, int, int]:
    status = entry.stat()
    return entry.path, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _hash(folder: Path, files: dict[tuple[str, str], Entries]) -> ImageFolder:
    classes = sorted({of[1] for of in files})
    training: list[ImageFile] = []
    test: list[ImageFile] = []
    for (subset, name), entries in files.items():
        label = classes.index(name)
        paths = [Path(entry) for entry in entries]
        images = sorted(ImageFile(hashlib.sha256(path.read_bytes()).hexdigest(), label, path) for path in paths)
        tests = {"train": 0, "test": len(images), "": round(len(images) / SEVENTH)}[subset]
        if subset == "" and tests == 0:
            said = ngettext(
                "data.dir: {folder} has {images} image; a class needs at least {least}",
                "data.dir: {folder} has {images} images; a class needs at least {least}",
                len(images),
            )
            raise Problem(said.format(folder=folder / name, images=len(images), least=SEVENTH // 2 + 1))
        test += images[:tests]
        training += images[tests:]
    if len(training) < TENTH:
        said = ngettext(
            "data.dir: {folder} has {images} image to train on; at least {least} are needed",
            "data.dir: {folder} has {images} images to train on; at least {least} are needed",
            len(training),
        )
        raise Problem(said.format(folder=folder, images=len(training), least=TENTH))
    training.sort()
    test.sort()
    lines = [
        f"{subset} {image.label} {image.sha256}" for subset, of in (("train", training), ("test", test)) for image in of
    ]
    text = "\n".join(["mnist_mlp image folder 1", *map(ascii, classes), *lines])
    return ImageFolder(tuple(classes), tuple(training), tuple(test), hashlib.sha256(text.encode()).hexdigest()[:16])
