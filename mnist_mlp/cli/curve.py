"""Train the runs of a curve, then write its figure, its table and what it shows.

    mnist-mlp curve width
    mnist-mlp curve lr --seeds 10 --out my/curves
    mnist-mlp curve batch -- epochs=10 trainer.threads=1

All runs are trained in this process, on the CPU unless an override such as `-- trainer=auto` says otherwise. Finished
runs are not trained again: the same command continues after an interruption.
"""

import os
import sys
from pathlib import Path

from mnist_mlp.cli.arguments import Parser, check_writable, one_of, path, whole_number
from mnist_mlp.console import command_line
from mnist_mlp.curves.curve import CURVES, jobs, table
from mnist_mlp.curves.page import write
from mnist_mlp.curves.text import at
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.interactive.jobs import train_missing
from mnist_mlp.language import _
from mnist_mlp.tracking import seed_means

SEEDS = 5


def main() -> None:
    """Parse the command line, train and write the files; exit with status 1 if a run has failed."""
    parser = Parser.of(_("Train the runs of a curve, then write its figure, its table and what it shows."))
    known = ", ".join(CURVES)
    number = _("number of seeds, from 0 on ({default})").format(default=SEEDS)
    parser.add_argument(
        "curve", metavar="CURVE", type=one_of(tuple(CURVES)), help=_("one of {names}").format(names=known)
    )
    parser.add_argument("--seeds", type=whole_number, default=SEEDS, help=number)
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    parser.add_argument("--out", type=path, help=_("folder of the files (curves, in the folder of the runs)"))
    parser.add_argument(
        "overrides", nargs="*", default=[], help=_("after --: overrides of train.py, the same for all runs")
    )
    typed = sys.argv[1:]
    dashes = typed.index("--") if "--" in typed else len(typed)
    arguments = parser.parse_args(typed[:dashes])  # which takes no overrides after options
    overrides = [*arguments.overrides, *typed[dashes + 1 :]]
    trainer = [] if any(text.startswith("trainer=") for text in overrides) else ["trainer=cpu"]
    out = arguments.out or Path(arguments.runs_dir) / "curves"
    check_writable("--runs-dir", arguments.runs_dir)
    check_writable("--out", out)
    curve = CURVES[arguments.curve]
    composed = jobs(curve, range(arguments.seeds), arguments.runs_dir, (*trainer, *overrides))
    names = [", ".join(map(at, curve.axes, place)) for place, config in composed]
    sweep = train_missing([config for place, config in composed], names)
    print(sweep.table())
    seed_means.write(sweep.configs)
    if not (table(curve, composed)["status"] == "completed").any():
        raise Problem(_("{curve}: no run has completed, so there is nothing to draw").format(curve=arguments.curve))
    try:
        command = command_line(["mnist-mlp", "curve", *typed])
        shown = write(arguments.curve, curve, composed, out, command)
    except OSError as error:
        said = _("{folder}: cannot write the curve there: {reason}")
        raise Problem(said.format(folder=out, reason=reason_of(error))) from error
    page = out / f"{arguments.curve}.md"
    print(f"{shown}\n{page}")
    sys.exit(0 if sweep.complete else 1)
