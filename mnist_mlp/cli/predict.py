"""Say which digits a trained network sees in photographs, drawings and arrays.

    mnist-mlp predict baseline digit.png photographs/
    mnist-mlp predict best digits.npy --show seen.png
    mnist-mlp predict runs/baseline-acf8c16a/seed0 digit.jpg --json

RUN is the folder of a run, a label as in `q05` or `q05/seed0`, a checkpoint's file, or `best`. Each image is brought to
the form of MNIST's first. The exit status is 1 if some of the files could not be used, and 2 if none could."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_mlp.cli.arguments import Parser
from mnist_mlp.errors import Problem
from mnist_mlp.inference.predict import Prediction, digits_of, files_of, picture, printable, probabilities, table

if TYPE_CHECKING:
    from mnist_mlp.inference.preprocess import Digit


SHOWN = 400
"""The most images that --show puts in its picture."""


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
    from mnist_mlp.inference import load as trained

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
