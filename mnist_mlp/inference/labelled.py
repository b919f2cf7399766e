"""A folder of labelled images, to test a network on: the digits that a class has written or drawn."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from mnist_mlp.errors import Problem
from mnist_mlp.inference.load import Trained
from mnist_mlp.inference.predict import digits_of, files_of, printable
from mnist_mlp.inference.preprocess import Converted, Views
from mnist_mlp.language import _


class Labelled(NamedTuple):
    """The images of a folder in the format of a network's data.

    Attributes:
        images: with values in [0, 1].
        views: of each image, which the network classifies.
        labels: the numbers of their classes.
        problems: with the files that are left out.
    """

    images: Float32[np.ndarray, "samples 28 28"]
    views: list[Views]
    labels: Int64[np.ndarray, " samples"]
    problems: list[Problem]


def read(folder: Path, network: Trained) -> Labelled:
    """Read a folder in which the label of an image is the name of its sub-folder, or its name's end as in name_7.png.

    A label is the number or the name of a class.

    Raises:
        Problem: there is no such folder, or no labelled image in it.
    """
    if not folder.is_dir():
        raise Problem(_("{path}: there is no such folder").format(path=folder))
    found: list[Converted] = []
    labels, problems = [], []
    for path in files_of(folder):
        inside = path.is_dir()
        label = _label(path.name if inside else path.stem.rpartition("_")[2], network.classes)
        if label is None:
            said = _("{path}: without a label; a sub-folder's name is one, as in 7/name.png, or name_7.png has it")
            problems.append(Problem(said.format(path=path)))
            continue
        for file in _files_of(path) if inside else [path]:
            digits, wrong = digits_of(file, network.dataset)
            found += [image for name, image in digits]
            labels += [label] * len(digits)
            problems += wrong
    if not found:
        reason = printable(str(problems[0])) if problems else _("it is empty")
        raise Problem(_("{path}: there is no labelled image ({reason})").format(path=folder, reason=reason))
    images, views = np.stack([each.digit for each in found]), [each.views for each in found]
    return Labelled(images, views, np.array(labels, np.int64), problems)


def _files_of(folder: Path) -> list[Path]:
    try:
        return files_of(folder)
    except Problem:  # of a class without images
        return []


def _label(text: str, classes: list[str]) -> int | None:
    if text in classes:
        return classes.index(text)
    return int(text) if re.fullmatch("[0-9]", text) else None
