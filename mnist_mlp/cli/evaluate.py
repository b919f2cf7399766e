"""Test a trained network again: loss, accuracy, confusion matrix, precision and recall, and its surest mistakes.

mnist-mlp evaluate q05/seed0
mnist-mlp evaluate best --json
mnist-mlp evaluate runs/baseline-acf8c16a/seed0/checkpoints/best.ckpt --picture mistakes.png
"""

import json
import os
import sys
from pathlib import Path

from mnist_mlp.cli.arguments import Parser, path
from mnist_mlp.errors import Problem
from mnist_mlp.images import png
from mnist_mlp.inference import evaluation
from mnist_mlp.inference import load as trained
from mnist_mlp.inference.export import whole


def main() -> None:
    """Read the command line, evaluate, print, write the picture; exit with status 1 if --picture cannot be."""
    parser = Parser.of(__doc__)
    parser.add_argument("run", metavar="RUN", help="a run's folder, LABEL, LABEL/seedN, a checkpoint's file, or best")
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--picture", type=path, help="PNG of the surest mistakes (mistakes.png in the run's folder)")
    arguments = parser.parse_args()
    try:
        network = trained.load(arguments.run, arguments.runs_dir)
        picture = arguments.picture or (network.folder or Path()) / "mistakes.png"
        if picture.suffix.lower() != ".png":
            raise Problem(f"--picture {picture}: a picture's name ends in .png")
        found = evaluation.evaluate(network)
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    not_written = write(found, picture)
    if arguments.json:
        shown = {"picture": None if not_written else str(picture)}
        print(json.dumps(evaluation.summary(network, found) | shown, indent=1, allow_nan=False))
    else:
        print(evaluation.table(network, found) + ("" if not_written else f"\n\n{picture}"))
    if network.recorded and not found.agrees(network.recorded):
        print("the figures differ from the recorded ones by more than the rounding of float32", file=sys.stderr)
    if not_written:
        print(not_written, file=sys.stderr)
        sys.exit(1 if arguments.picture else 0)


def write(found: evaluation.Evaluation, picture: Path) -> Problem | None:
    """Write the picture, or give the reason why it cannot be written: the figures are worth having all the same."""
    try:
        with whole(picture) as partial:
            partial.write_bytes(png(found.mistakes))
    except Problem as problem:
        return problem
    return None
