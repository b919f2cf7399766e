"""Digits in images and arrays, as a trained network reads them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mnist_mlp.errors import Problem

if TYPE_CHECKING:
    from mnist_mlp.inference.preprocess import Digit


class Prediction(NamedTuple):
    """What a network sees in an image.

    Attributes:
        name: of the image: its file, and its place in it if there are several.
        digit: what the network was given.
        probabilities: of the ten digits.
    """

    name: str
    digit: "Digit"
    probabilities: list[float]

    def best(self) -> list[int]:
        """The digits, the most probable one first."""
        return sorted(range(10), key=lambda digit: -self.probabilities[digit])


def printable(path: Path | str) -> str:
    """Give a file's name without what would break a line or the terminal's encoding."""
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    return name if name.isprintable() else ascii(name)[1:-1]


def probabilities(model: Any, digits: "list[Digit]") -> list[list[float]]:
    """Give the ten probabilities of each digit.

    Args:
        model: an `MNISTClassifier`.
        digits: images in MNIST's form.
    """
    import numpy as np
    import torch

    with torch.inference_mode():
        logits = model(torch.from_numpy(np.stack(digits)))
    found: list[list[float]] = logits.double().softmax(dim=1).tolist()
    return found


def files_of(path: Path) -> list[Path]:
    """Give the images of a folder in the order of their names, and anything else as it is.

    Raises:
        Problem: there are none in the folder, or it cannot be read.
    """
    from mnist_mlp.inference.preprocess import SUFFIXES

    try:
        if not path.is_dir():
            return [path]
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    except (OSError, ValueError) as error:
        raise Problem(f"{path}: it cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise Problem(f"{path}: there is no image in this folder")
    return found


def digits_of(path: Path) -> "tuple[list[tuple[str, Digit]], list[Problem]]":
    """Give the digits of a file with their names, and what was wrong with the others."""
    from mnist_mlp.inference import preprocess as digit

    digits, problems = [], []
    try:
        images = digit.read(path)
    except Problem as problem:
        return [], [problem]
    for place, image in enumerate(images):
        name = printable(path) + (f"[{place}]" if len(images) > 1 else "")
        try:
            digits.append((name, digit.normalise(image)))
        except Problem as problem:
            problems.append(Problem(f"{name}: {problem}"))
    return digits, problems


def table(predictions: list[Prediction]) -> str:
    """Write the guesses as a table."""
    wide = max(4, *(len(prediction.name) for prediction in predictions))
    lines = [f"{'file':{wide}}  guess  probability  second guess"]
    for prediction in predictions:
        first, second, *_ = prediction.best()
        chances = prediction.probabilities
        lines.append(f"{prediction.name:{wide}}  {first:>5}  {chances[first]:>11.1%}  {second} ({chances[second]:.1%})")
    return "\n".join(lines)


def picture(predictions: list[Prediction], path: Path) -> None:
    """Save what the network saw, each image beside the guess.

    Raises:
        Problem: it cannot be written.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    side, width, space = 112, 260, 8
    columns = min(4, len(predictions))
    rows = -(-len(predictions) // columns)
    sheet = Image.new("L", (columns * (width + space) + space, rows * (side + space) + space), 255)
    draw = ImageDraw.Draw(sheet)
    for place, prediction in enumerate(predictions):
        x, y = space + place % columns * (width + space), space + place // columns * (side + space)
        seen = Image.fromarray((prediction.digit * 255).round().astype(np.uint8))
        sheet.paste(seen.resize((side, side), Image.Resampling.NEAREST), (x, y))
        first, second, *_ = prediction.best()
        chances = prediction.probabilities
        draw.text((x + side + space, y), str(first), fill=0, font=ImageFont.load_default(48))
        below = f"{chances[first]:.1%}\nthen {second}: {chances[second]:.1%}\n{prediction.name[-22:]}"
        draw.text((x + side + space, y + 58), below, fill=0, font=ImageFont.load_default(12))
    try:
        sheet.save(path, "PNG")
    except OSError as error:
        raise Problem(f"{path}: the picture cannot be written there: {error.strerror or error}") from error
