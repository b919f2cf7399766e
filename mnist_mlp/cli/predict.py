"""Classify the digits in photographs, drawings and arrays with a trained network.

    mnist-mlp predict baseline digit.png photographs/
    mnist-mlp predict best digits.npy --show seen.png
    mnist-mlp predict runs/baseline-3f988a12/seed0 digit.jpg --json

RUN is the folder of a run, a label as in `q05` or `q05/seed0`, a checkpoint file, or `best`. Each image is first
converted to MNIST's format, or to that of the data that the network was trained on. The exit status is 1 if some of the
files could not be used, and 2 if none could."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_mlp.cli.arguments import RUN, Parser
from mnist_mlp.errors import Problem
from mnist_mlp.inference.predict import Prediction, digits_of, files_of, picture, printable, probabilities, table
from mnist_mlp.language import _

if TYPE_CHECKING:
    from mnist_mlp.inference.preprocess import Converted


MAXIMUM = 400
"""The maximum number of images in the picture of --show."""


def png(text: str) -> Path:
    """Parse the name of a picture to be written."""
    path = Path(os.path.expanduser(text))
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(_("{name}: the name of the picture has to end with .png").format(name=text))
    if path.is_dir():
        raise argparse.ArgumentTypeError(_("{path}: is a folder").format(path=text))
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(_("{path}: its folder does not exist").format(path=text))
    return path


def predict(arguments: argparse.Namespace) -> int:
    """Print the predictions, and on stderr the problems with files; return the exit status.

    Raises:
        Problem: there is no such run, or the picture cannot be written.
    """
    from mnist_mlp.inference.load import load

    network = load(arguments.run, arguments.runs_dir)
    found: list[tuple[str, Converted]] = []
    failed = False
    for given in arguments.images:
        try:
            files = files_of(Path(given).expanduser())
        except (Problem, RuntimeError) as problem:  # RuntimeError: ~ of an unknown user
            files, failed = [], True
            print(printable(str(problem)), file=sys.stderr)
        for file in files:
            digits, problems = digits_of(file, network.dataset)
            found += digits
            for problem in problems:
                failed = True
                print(printable(str(problem)), file=sys.stderr)
    if not found:
        return 2
    chances = probabilities(network, [image for name, image in found])
    predictions = [Prediction(*each, chance) for each, chance in zip(found, chances, strict=True)]
    if arguments.json:
        images = [
            {
                "file": each.name,
                "guess": each.best()[0],
                "probabilities": each.probabilities,
                "ink": (ink := each.image.ink) and {"dark": ink.dark, "box": ink.box, "cut": ink.cut},
                "views": len(each.image.views),
            }
            for each in predictions
        ]
        known = {"run": network.name, "classes": network.classes, "temperature": network.temperature}
        print(json.dumps(known | {"images": images}, indent=1))
    else:
        print(table(predictions, network.classes))
    if arguments.show:
        picture(predictions[:MAXIMUM], arguments.show, network.classes)
        if len(predictions) > MAXIMUM:
            said = _("{path}: only the first {shown} of {total} images")
            print(said.format(path=arguments.show, shown=MAXIMUM, total=len(predictions)), file=sys.stderr)
    return 1 if failed else 0


def main() -> None:
    """Parse the command line and classify the images."""
    parser = Parser.of(_("Classify the digits in photographs, drawings and arrays with a trained network."))
    parser.add_argument("run", metavar="RUN", help=_(RUN))
    parser.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        type=os.path.expanduser,
        help=_("an image, a folder of images, or a .npy array"),
    )
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    parser.add_argument("--json", action="store_true", help=_("print all ten probabilities as JSON"))
    parser.add_argument("--show", metavar="FILE.png", type=png, help=_("write a picture of the images as classified"))
    sys.exit(predict(parser.parse_args()))
