"""The data sets by name: where their records come from, and what their classes are called."""

import hashlib
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps

from mnist_mlp import image_folder, mnist, published
from mnist_mlp.console import progress
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.images import CLASSES, PIXELS, fitted
from mnist_mlp.language import _, figure

log = logging.getLogger(__name__)


class Bundled:
    """MNIST, which is bundled: its records, and the names of its classes in the order of the labels.

    Args:
        directory: of the unpacked files.
    """

    classes = CLASSES

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def prepare(self) -> None:
        """Unpack and verify the files."""
        mnist.prepare(self.directory)

    def load(self, train: bool) -> mnist.Records:
        """Read the 60,000 training or the 10,000 test records."""
        return mnist.load(self.directory, train)


class Fetched:
    """A data set of `published.DATA_SETS`.

    Args:
        name: of the data set.
        directory: of the files, as fetched.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.classes = published.DATA_SETS[name].classes

    def prepare(self) -> None:
        """Fetch and verify the files."""
        published.prepare(self.name, self.directory)

    def load(self, train: bool) -> mnist.Records:
        """Read the 60,000 training or the 10,000 test records."""
        return published.load(self.name, self.directory, train)


class OwnImages:
    """A folder of the user's own images; once they were read, copies serve, found by the hash of the folder's content.

    Args:
        directory: of the images.
        content: the hash that the folder must have, as it had it when a run began; None takes what it has.

    Raises:
        Problem: `content` is None, and the folder does not have the form that `image_folder.read` describes.
    """

    def __init__(self, directory: str, content: str | None) -> None:
        self.directory = directory
        self.content = content or image_folder.read(directory).content

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the sub-folders."""
        return self._folder().classes

    def prepare(self) -> None:
        """Read the images, unless copies are kept."""
        if not all(self._kept(train).exists() for train in (True, False)):
            self._read()

    def load(self, train: bool) -> mnist.Records:
        """Read the records of training and validation, or those of the test."""
        return mnist.read_kept(self._kept(train)) or self._read()[not train]

    def _kept(self, train: bool) -> Path:
        return mnist.default_directory() / f"folder-{self.content}-{'train' if train else 'test'}.npz"

    def _folder(self) -> image_folder.ImageFolder:
        folder = image_folder.read(self.directory)
        if folder.content != self.content:
            said = _(
                "data.dir: the images in {folder} are not those of the run any more: their hash {hash} was {before}"
            )
            raise Problem(said.format(folder=self.directory, hash=folder.content, before=self.content))
        return folder

    def _read(self) -> list[mnist.Records]:
        folder = self._folder()
        number = figure(len(folder.training) + len(folder.test), ",")
        log.info(_("reading %s images in %s"), number, self.directory)
        both = []
        for train, images in ((True, folder.training), (False, folder.test)):
            pixels = np.empty((len(images), PIXELS), np.uint8)
            with progress() as bar:
                for row, image in enumerate(bar.track(images, description=_("reading"))):
                    pixels[row] = _pixels(image)
            labels = torch.tensor([image.label for image in images])
            both.append(mnist.Records(torch.from_numpy(pixels), labels))
            mnist.keep(self._kept(train), both[-1])
        return both


def _pixels(image: image_folder.ImageFile) -> UInt8[np.ndarray, " 784"]:
    try:
        content = image.path.read_bytes()
    except OSError as error:
        said = _("data.dir: {path} cannot be read: {reason}")
        raise Problem(said.format(path=image.path, reason=reason_of(error))) from error
    if hashlib.sha256(content).hexdigest() != image.sha256:
        said = _("data.dir: {path} has changed while the images were read; start again")
        raise Problem(said.format(path=image.path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a file's metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content), formats=image_folder.FORMATS) as opened:
                problem = _problem_of(opened)
                gray = None if problem else ImageOps.exif_transpose(opened).convert("RGB").convert("L")
        except Exception as error:  # Pillow can raise any on invalid data
            said = _("data.dir: {path} is corrupt, or not an image in a supported format")
            raise Problem(said.format(path=image.path)) from error
    if problem or gray is None:
        raise Problem(str(problem).format(path=image.path))
    return np.asarray(fitted(gray)).reshape(PIXELS)


def _problem_of(opened: Image.Image) -> str | None:
    if getattr(opened, "n_frames", 1) > 1:
        return _("data.dir: {path} has several frames; save one of them")
    if opened.mode.startswith(("I", "F")):
        return _("data.dir: {path} has more than 8 bits a pixel; save it with 8")
    if opened.has_transparency_data and opened.convert("RGBA").getextrema()[3] != (255, 255):
        return _("data.dir: {path} is transparent in places; save it on a black background")
    return None


Source = Bundled | Fetched | OwnImages


def source(dataset: str, directory: str | None, content: str | None) -> Source:
    """Return the data set of a name, the values being those of the keys `data.dataset`, `.dir` and `.content`.

    Raises:
        Problem: a folder of images is not as it should be.
    """
    if dataset == "folder":
        if directory is None:
            raise Problem(_("data=folder: the folder of the images is missing; write data.dir=FOLDER"))
        return OwnImages(directory, content)
    place = Path(directory).expanduser() if directory else mnist.default_directory()
    return Bundled(place) if dataset == "mnist" else Fetched(dataset, place)
