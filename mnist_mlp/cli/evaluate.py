"""Test a trained network again: loss, accuracy, confusion matrix, precision, recall and worst mistakes.

mnist-mlp evaluate q05/seed0
mnist-mlp evaluate best --json
mnist-mlp evaluate runs/baseline-3f988a12/seed0/checkpoints/best.ckpt --picture mistakes.png
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_mlp import files
from mnist_mlp.cli.arguments import RUN, Parser, path
from mnist_mlp.errors import Problem
from mnist_mlp.language import _

if TYPE_CHECKING:
    from mnist_mlp.inference.evaluation import Evaluation


def main() -> None:
    """Evaluate, print the figures and write the picture; exit with status 1 if --picture cannot be written."""
    parser = Parser.of(
        _("Test a trained network again: loss, accuracy, confusion matrix, precision, recall and worst mistakes.")
    )
    parser.add_argument("run", metavar="RUN", help=_(RUN))
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    parser.add_argument("--json", action="store_true", help=_("print JSON instead of a table"))
    parser.add_argument("--picture", type=path, help=_("PNG of the worst mistakes (mistakes.png in the run's folder)"))
    arguments = parser.parse_args()
    from mnist_mlp.inference import evaluation
    from mnist_mlp.inference.load import load

    network = load(arguments.run, arguments.runs_dir)
    picture = arguments.picture or (network.folder or Path()) / "mistakes.png"
    if picture.suffix.lower() != ".png":
        raise Problem(_("{name}: the name of the picture has to end with .png").format(name=f"--picture {picture}"))
    evaluated = evaluation.evaluate(network)
    problem = write(evaluated, picture)
    if arguments.json:
        summary = evaluation.summary(network, evaluated) | {"picture": None if problem else str(picture)}
        print(json.dumps(summary, indent=1, allow_nan=False))
    else:
        print(evaluation.table(network, evaluated) + ("" if problem else f"\n\n{picture}"))
    if network.recorded and not evaluated.agrees(network.recorded):
        print(_("the figures differ from the recorded ones by more than float32 rounding"), file=sys.stderr)
    if problem:
        print(problem, file=sys.stderr)
        sys.exit(1 if arguments.picture else 0)


def write(evaluated: "Evaluation", picture: Path) -> Problem | None:
    """Write the picture, or return the reason why it cannot be written; the figures are useful without it."""
    from mnist_mlp.images import png

    try:
        with files.saving(picture) as partial:
            partial.write_bytes(png(evaluated.mistakes))
    except Problem as problem:
        return problem
    return None
