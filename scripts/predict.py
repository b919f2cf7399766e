"""Say which digits a trained network sees in photographs, drawings and arrays.

    python scripts/predict.py baseline digit.png photographs/
    python scripts/predict.py best digits.npy --show seen.png
    python scripts/predict.py runs/baseline-acf8c16a/seed0 digit.jpg --json

RUN is the folder of a run, a label as in `q05` or `q05/seed0`, a checkpoint's file, or `best`. Each image is brought to
the form of MNIST's first. The exit status is 1 if some of the files could not be used, and 2 if none could.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mnist_mlp.arguments import Parser, read_or_not
from mnist_mlp.problem import Problem

if TYPE_CHECKING:
    from mnist_mlp.digit import Digit

SHOWN = 400
"""The most images that --show puts in its picture."""


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
    from mnist_mlp.digit import SUFFIXES

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
    from mnist_mlp import digit

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


def png(text: str) -> Path:
    """Read the name of a picture to be written."""
    path = Path(os.path.expanduser(text))
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text}: its name has to end with .png")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: there is no folder to write it in, or it is one")
    return path


def predict(arguments: argparse.Namespace) -> int:
    """Print the guesses, and on stderr what is wrong with a file; give the exit status.

    Raises:
        Problem: there is no such run, or the picture cannot be written.
    """
    from mnist_mlp import trained

    network = trained.load(arguments.run, arguments.runs_dir)
    found: list[tuple[str, Digit]] = []
    failed = False
    for given in arguments.images:
        try:
            files = files_of(Path(given).expanduser())
        except (Problem, RuntimeError) as problem:  # RuntimeError: ~ of an unknown user
            files, failed = [], True
            print(printable(str(problem)), file=sys.stderr)
        for file in files:
            digits, problems = digits_of(file)
            found += digits
            for problem in problems:
                failed = True
                print(printable(str(problem)), file=sys.stderr)
    if not found:
        return 2
    chances = probabilities(network.model, [digit for _, digit in found])
    predictions = [Prediction(name, digit, chance) for (name, digit), chance in zip(found, chances, strict=True)]
    if arguments.json:
        images = [
            {"file": each.name, "guess": each.best()[0], "probabilities": each.probabilities} for each in predictions
        ]
        print(json.dumps({"run": network.name, "images": images}, indent=1))
    else:
        print(table(predictions))
    if arguments.show:
        picture(predictions[:SHOWN], arguments.show)
        if len(predictions) > SHOWN:
            print(f"{arguments.show}: the first {SHOWN} of {len(predictions)} images", file=sys.stderr)
    return 1 if failed else 0


def main() -> None:
    """Read the command line, load the network, look at the images."""
    parser = Parser.of(__doc__)
    parser.add_argument("run", metavar="RUN", help="folder of a run, its label, a checkpoint, or best")
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        type=os.path.expanduser,
        help="an image, a folder of images, or a .npy array",
    )
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    parser.add_argument("--json", action="store_true", help="print all ten probabilities as JSON")
    parser.add_argument("--show", metavar="FILE.png", type=png, help="write a picture of what the network saw")
    arguments = parser.parse_args()
    try:
        sys.exit(predict(arguments))
    except Problem as problem:
        print(printable(str(problem)), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    with read_or_not():
        main()
