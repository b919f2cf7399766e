"""Test a trained network again: loss, accuracy, confusion matrix, precision, recall and worst mistakes.

mnist-mlp evaluate q05/seed0
mnist-mlp evaluate best --json
mnist-mlp evaluate best drawings/
mnist-mlp evaluate runs/baseline-3f988a12/seed0/checkpoints/best.ckpt --picture mistakes.png

A folder of your own images takes the place of the test images. Each has its label in the name of its sub-folder, as in
drawings/7/a.png, or at the end of its own, as in a_7.png; what cannot be used is named, and the exit status is then 1.
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
    parser.add_argument("folder", metavar="FOLDER", nargs="?", type=path, help=_("of labelled images, as in 7/a.png"))
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    parser.add_argument("--json", action="store_true", help=_("print JSON instead of a table"))
    parser.add_argument("--picture", type=path, help=_("PNG of the worst mistakes (mistakes.png in the run's folder)"))
    arguments = parser.parse_args()
    from mnist_mlp.inference import evaluation
    from mnist_mlp.inference.load import load
    from mnist_mlp.inference.predict import printable

    network = load(arguments.run, arguments.runs_dir)
    usual = (network.folder or Path()) / "mistakes.png"
    if arguments.folder:
        usual = Path(f"{arguments.folder.absolute().name}-mistakes.png")
    picture = arguments.picture or usual
    if picture.suffix.lower() != ".png":
        raise Problem(_("{name}: the name of the picture has to end with .png").format(name=f"--picture {picture}"))
    left_out: list[Problem] = []
    if arguments.folder:
        import torch

        from mnist_mlp.inference import labelled

        images, views, labels, left_out = labelled.read(arguments.folder, network)
        own = torch.from_numpy(images), torch.from_numpy(labels)
        evaluated, recorded = evaluation.evaluate_on(network, network.logits(views), *own), None
    else:
        evaluated, recorded = evaluation.evaluate(network), network.recorded
    problem = write(evaluated, picture)
    if arguments.json:
        summary = evaluation.summary(network, evaluated, recorded) | {"picture": None if problem else str(picture)}
        print(json.dumps(summary, indent=1, allow_nan=False))
    else:
        print(evaluation.table(network, evaluated, recorded) + ("" if problem else f"\n\n{picture}"))
    if recorded and not evaluated.agrees(recorded):
        print(_("the figures differ from the recorded ones by more than float32 rounding"), file=sys.stderr)
    for each in [*left_out, *([problem] if problem else [])]:
        print(printable(str(each)), file=sys.stderr)
    if left_out or (problem and arguments.picture):
        sys.exit(1)


def write(evaluated: "Evaluation", picture: Path) -> Problem | None:
    """Write the picture, or return the reason why it cannot be written; the figures are useful without it."""
    from mnist_mlp.images import png

    try:
        with files.saving(picture) as partial:
            partial.write_bytes(png(evaluated.mistakes))
    except Problem as problem:
        return problem
    return None
