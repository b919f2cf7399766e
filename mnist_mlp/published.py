"""Published data sets in MNIST's form: fetched once, verified, and kept as tensors."""

import gzip
import hashlib
import logging
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import numpy as np
import torch
from jaxtyping import UInt8

from mnist_mlp import files, mnist
from mnist_mlp.console import progress
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.images import DIGITS, SIDE
from mnist_mlp.language import _, figure

log = logging.getLogger(__name__)

TIMEOUT = 30
"""Seconds without a byte after which a server does not answer."""


class DataSet(NamedTuple):
    """A published data set.

    Attributes:
        torchvision: the class of torchvision.datasets that has the addresses and MD5 sums of its files.
        classes: in the order of the labels.
        records: of the training and of the test file.
        parts: the names of these two, in the names of the files.
        every: one image in so many of each class is taken, in the order of the file.
        transposed: whether the files have the columns of each image first.
    """

    torchvision: str
    classes: tuple[str, ...]
    records: tuple[int, int] = (60_000, 10_000)
    parts: tuple[str, str] = ("train", "t10k")
    every: int = 1
    transposed: bool = False


DATA_SETS = {
    "fashion": DataSet(
        "FashionMNIST",
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
    ),
    "kmnist": DataSet("KMNIST", ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")),
    # Each class has 24,000 training and 4,000 test images (Cohen et al. 2017, arXiv 1702.05373): a quarter of each is
    # as many as MNIST has, stays balanced, comes from the whole file, and leaves test images among test images.
    "emnist_digits": DataSet(
        "EMNIST",
        tuple(map(str, range(DIGITS))),
        (240_000, 40_000),
        ("emnist-digits-train", "emnist-digits-test"),
        every=4,
        transposed=True,
    ),
}
"""By the value of `data.dataset`."""


class Download(NamedTuple):
    """A file on the network: its name, its MD5 sum, and its addresses, the first that answers being used."""

    name: str
    md5: str
    addresses: list[str]


def load(name: str, directory: Path, train: bool) -> mnist.Records:
    """Read the training or the test records, fetching the files first if necessary.

    Args:
        name: of the data set, in `DATA_SETS`.
        directory: where the files are, or will be, in torchvision's layout.
        train: True for the training records, False for the test records.

    Raises:
        Problem: the files cannot be fetched, `directory` cannot be written to, or a file is corrupt.
    """
    return mnist.read_kept(_kept(name, train)) or _read(name, directory)[not train]


def prepare(name: str, directory: Path) -> None:
    """Make sure that the records can be loaded without the network.

    Raises:
        Problem: the files cannot be fetched, `directory` cannot be written to, or a file is corrupt.
    """
    if not all(_kept(name, train).exists() for train in (True, False)):
        _read(name, directory)


def _kept(name: str, train: bool) -> Path:
    return mnist.default_directory() / f"{name}-{'train' if train else 'test'}.npz"


def _read(name: str, directory: Path) -> list[mnist.Records]:
    # The training and the test records, of which copies are kept.
    data_set = DATA_SETS[name]
    raw = directory / data_set.torchvision / "raw"
    downloads = _downloads(data_set)
    _fetch_missing(name, downloads, raw)
    both = []
    for part, records, train in zip(data_set.parts, data_set.records, (True, False), strict=True):
        images = _unpack(raw, downloads, f"{part}-images-idx3-ubyte.gz", (records, SIDE, SIDE))
        labels = _unpack(raw, downloads, f"{part}-labels-idx1-ubyte.gz", (records,))
        if labels.max() >= DIGITS:
            said = _("data={name}: {folder} has a label {label}; labels are from 0 to {greatest}")
            raise Problem(said.format(name=name, folder=raw, label=labels.max(), greatest=DIGITS - 1))
        if data_set.transposed:
            images = images.swapaxes(1, 2)
        if data_set.every > 1:
            rows = np.concatenate([np.flatnonzero(labels == label)[:: data_set.every] for label in range(DIGITS)])
            rows.sort()
            images, labels = images[rows], labels[rows]
        pixels = images.reshape(len(images), -1).copy()
        both.append(mnist.Records(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64))))
        mnist.keep(_kept(name, train), both[-1])
    return both


def _downloads(data_set: DataSet) -> list[Download]:
    from torchvision import datasets  # takes seconds to import

    published = getattr(datasets, data_set.torchvision)
    if address := getattr(published, "url", None):  # an archive of all
        return [Download(address.rpartition("/")[2], published.md5, [address])]
    return [Download(name, md5, [server + name for server in published.mirrors]) for name, md5 in published.resources]


def _fetch_missing(name: str, downloads: list[Download], raw: Path) -> None:
    if all((raw / download.name).exists() for download in downloads):
        for download in downloads:
            _verify(raw / download.name, download.md5)
        return
    try:
        files.make_folder(raw)
        with files.lock(raw / ".lock"):  # of parallel first runs, one fetches
            for download in downloads:
                path = raw / download.name
                if path.exists():
                    _verify(path, download.md5)
                elif reason := _fetch(download, path):
                    names = ", ".join(each.name for each in downloads)
                    server = download.addresses[-1].rpartition("/")[0]
                    said = _(
                        "data={name}: {address} cannot be fetched ({reason}); put {files} from {server} into {folder}"
                    )
                    places = {"address": download.addresses[-1], "reason": reason, "server": f"{server}/"}
                    raise Problem(said.format(name=name, files=names, folder=raw, **places))
    except OSError as error:
        said = _("data.dir: {folder} cannot hold the files of data={name}: {reason}")
        raise Problem(said.format(folder=raw, name=name, reason=reason_of(error))) from error


def _verify(path: Path, md5: str) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() != md5:
            said = _("data.dir: {path} is corrupt: its MD5 sum is not the published one; delete it")
            raise Problem(said.format(path=path))


def _fetch(download: Download, path: Path) -> str | None:
    # Returns why a file cannot be fetched from the last of its addresses, if it cannot from any.
    reason = None
    for address in download.addresses:
        log.info(_("fetching %s"), address)
        try:
            with files.replacing(path) as partial:
                reason = _copy(address, partial, download.md5)
                if reason is None:
                    return None
                raise ConnectionError(reason)
        except (OSError, HTTPException) as error:
            if isinstance(error, HTTPError):
                error.close()
            cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, OSError) else error
            reason = reason_of(cause) or type(cause).__name__
    return reason


def _copy(address: str, path: Path, md5: str) -> str | None:
    # Returns what is wrong with the answer, if anything is.
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn

    found = hashlib.md5(usedforsecurity=False)
    request = Request(address, headers={"User-Agent": "mnist_mlp"})
    shown = progress(TextColumn(path.name), BarColumn(30), DownloadColumn(), TimeRemainingColumn())
    with urlopen(request, timeout=TIMEOUT) as answer, path.open("wb") as file, shown as bar:
        expected = int(answer.headers.get("Content-Length") or 0)
        task = bar.add_task("", total=expected or None)
        while part := answer.read(1 << 16):
            file.write(part)
            found.update(part)
            bar.advance(task, len(part))
        if file.tell() < expected:
            said = _("it ended after {bytes} of {expected} bytes")
            return said.format(bytes=figure(file.tell(), ","), expected=figure(expected, ","))
    return None if found.hexdigest() == md5 else _("its MD5 sum is not the published one")


def _unpack(raw: Path, downloads: list[Download], name: str, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    single = any(download.name == name for download in downloads)
    path = raw / (name if single else downloads[0].name)
    try:
        if single:
            packed = path.read_bytes()
        else:
            with zipfile.ZipFile(path) as archive:
                packed = archive.read(f"gzip/{name}")
        return read_idx(gzip.decompress(packed), shape)
    except (OSError, EOFError, KeyError, ValueError, zlib.error, zipfile.BadZipFile) as error:
        said = _("data.dir: {path} cannot be used: {name}: {reason}")
        raise Problem(said.format(path=path, name=name, reason=reason_of(error))) from error


def read_idx(content: bytes, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """Read bytes in the IDX format of http://yann.lecun.com/exdb/mnist, in which the shape stands before them.

    Raises:
        ValueError: they have another shape, or are more or fewer.
    """
    header = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    if content[: len(header)] != header:
        said = _("it does not begin as {shape} bytes in the IDX format")
        raise ValueError(said.format(shape=" x ".join(map(str, shape))))
    expected = len(header) + int(np.prod(shape))
    if len(content) != expected:
        said = _("it has {bytes} bytes, not {expected}")
        raise ValueError(said.format(bytes=figure(len(content), ","), expected=figure(expected, ",")))
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)
