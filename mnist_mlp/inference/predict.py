"""The predictions of a trained network for the digits in images and arrays."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mnist_mlp import files
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.language import _, figure

if TYPE_CHECKING:
    from mnist_mlp.inference.load import Trained
    from mnist_mlp.inference.preprocess import Converted


class Prediction(NamedTuple):
    """The prediction of a network for an image.

    Attributes:
        name: of the image: its file, and its index if the file has several images.
        image: in the format of the network's data.
        probabilities: of the ten digits.
    """

    name: str
    image: "Converted"
    probabilities: list[float]

    def best(self) -> list[int]:
        """Return the numbers of the classes, the most probable one first."""
        return sorted(range(len(self.probabilities)), key=lambda digit: -self.probabilities[digit])


def printable(path: Path | str) -> str:
    """Return a file's name, escaped if it has line breaks or other characters that cannot be printed."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    return name if name.isprintable() else ascii(name)[1:-1]


def probabilities(network: "Trained", images: "list[Converted]") -> list[list[float]]:
    """Compute the ten probabilities for each image.

    Args:
        network: that classifies.
        images: in its data's format.
    """
    of_each: list[list[float]] = network.calibrated(network.logits([each.views for each in images])).tolist()
    return of_each


def files_of(path: Path) -> list[Path]:
    """Return what a folder has, sorted by name, whether it is an image or not; of anything else, the path itself.

    Raises:
        Problem: the folder is empty but for files of the system, or cannot be read.
    """
    from mnist_mlp.image_folder import OF_THE_SYSTEM

    try:
        if not path.is_dir():
            return [path]
        images = sorted(
            file for file in path.iterdir() if not (file.name.startswith(".") or file.name.lower() in OF_THE_SYSTEM)
        )
    except (OSError, ValueError) as error:
        raise Problem(_("{path}: cannot be read: {reason}").format(path=path, reason=reason_of(error))) from error
    if not images:
        raise Problem(_("{path}: there are no images in this folder").format(path=path))
    return images


def digits_of(path: Path, dataset: str) -> "tuple[list[tuple[str, Converted]], list[Problem]]":
    """Return the images of a file in the format of a data set, each with its name, and the problems with the others."""
    from mnist_mlp.inference import preprocess, reader

    digits, problems = [], []
    try:
        images = reader.read(path)
    except Problem as problem:
        return [], [problem]
    for place, image in enumerate(images):
        name = printable(path) + (f"[{place}]" if len(images) > 1 else "")
        try:
            digits.append((name, preprocess.converted(image, dataset)))
        except Problem as problem:
            problems.append(Problem(f"{name}: {problem}"))
    return digits, problems


def table(predictions: list[Prediction], classes: Sequence[str]) -> str:
    """Format predictions as a table, with the names of the classes."""
    header = (_("file"), _("guess"), _("probability"), _("second guess"))
    width = max(len(header[0]), *(len(prediction.name) for prediction in predictions))
    guess, chance = max(map(len, (header[1], *(classes[each.best()[0]] for each in predictions)))), len(header[2])
    lines = [f"{header[0]:{width}}  {header[1]:>{guess}}  {'  '.join(header[2:])}"]
    for prediction in predictions:
        first, second = prediction.best()[:2]
        likely, less = (figure(prediction.probabilities[digit], ".1%") for digit in (first, second))
        named = f"{prediction.name:{width}}  {classes[first]:>{guess}}"
        lines.append(f"{named}  {likely:>{chance}}  {classes[second]} ({less})")
    return "\n".join(lines)


def picture(predictions: list[Prediction], path: Path, classes: Sequence[str]) -> None:
    """Save a picture of the images as the network saw them, each beside its prediction.

    Raises:
        Problem: the picture cannot be written.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    from mnist_mlp.images import CLASSES, drawn, names_of

    names = names_of(classes) or CLASSES

    side, width, space = 112, 260, 8
    columns = min(4, len(predictions))
    rows = -(-len(predictions) // columns)
    sheet = Image.new("L", (columns * (width + space) + space, rows * (side + space) + space), 255)
    draw = ImageDraw.Draw(sheet)
    for place, prediction in enumerate(predictions):
        x, y = space + place % columns * (width + space), space + place // columns * (side + space)
        seen = Image.fromarray((prediction.image.digit * 255).round().astype(np.uint8))
        sheet.paste(seen.resize((side, side), Image.Resampling.NEAREST), (x, y))
        first, second = prediction.best()[:2]
        chances = [drawn(figure(each, ".1%")) for each in prediction.probabilities]
        size = 48 if len(names[first]) == 1 else 20
        draw.text((x + side + space, y), names[first][:12], fill=0, font=ImageFont.load_default(size))
        then = _("then {digit}: {probability}").format(digit=names[second], probability=chances[second])
        below = f"{chances[first]}\n{then}\n{drawn(prediction.name)[-22:]}"
        draw.text((x + side + space, y + 58), below, fill=0, font=ImageFont.load_default(12))
    with files.saving(path) as partial:
        sheet.save(partial, "PNG")
