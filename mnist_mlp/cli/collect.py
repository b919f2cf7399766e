"""Collect the runs of a class: who has which question, what is missing, and which runs to look at.

    mnist-mlp collect class/
    mnist-mlp collect ana/runs luis.zip --questions q01,q02 --seeds 3 --out collected
    mnist-mlp collect class/ --rerun

A FOLDER has a folder or a .zip archive for each student, or is that of one student's runs. No code of the students is
run. The exit status is 0 however much is missing or to be looked at.
"""

import argparse
import sys
from pathlib import Path

from mnist_mlp.cli.arguments import Parser, check_writable, path, some_of, whole_number
from mnist_mlp.cli.report import protocol, protocols_of
from mnist_mlp.console import showing
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.language import _
from mnist_mlp.report.study import QUESTIONS


def seed(text: str) -> int:
    """Parse the seed of the draw."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(_("{text} is not a whole number of at least 0").format(text=text))
    return int(text)


def parser() -> Parser:
    """Make the parser."""
    made = Parser.of(
        _("Collect the runs of a class: who has which question, what is missing, and which runs to look at.")
    )
    made.add_argument(
        "folders", metavar="FOLDER", nargs="+", type=path, help=_("of a class, or of a student; or a .zip")
    )
    made.add_argument("--questions", type=some_of(QUESTIONS), help=_("as in q01,q05 (all)"))
    made.add_argument("--seeds", type=whole_number, default=3, help=_("seeds that each variant is to have, any (3)"))
    made.add_argument("--protocol", type=protocol, default="disjoint", help=_("disjoint, notebook or both (disjoint)"))
    made.add_argument("--out", type=path, default=Path("collection"), help=_("folder of the tables (collection)"))
    made.add_argument("--rerun", action="store_true", help=_("train one drawn run of each student again, and compare"))
    made.add_argument("--seed", type=seed, default=0, help=_("of the draw (0)"))
    made.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help=_("as the class had to train"))
    return made


def main() -> None:
    """Parse the command line, examine the runs, print the tables and write them."""
    arguments = parser().parse_args()
    check_writable("--out", arguments.out)
    doing = [_("loading PyTorch …")]
    with showing(lambda: doing[-1]):
        from mnist_mlp.collection import classroom, write

        collection = classroom.collect(
            arguments.folders,
            arguments.questions,
            protocols_of(arguments) or [],
            arguments.seeds,
            arguments.set,
            arguments.seed if arguments.rerun else None,
            doing.append,
        )
    for line in collection.left_out:
        print(_("left out: {reason}").format(reason=line), file=sys.stderr)
    print(write.table(collection))
    if lines := collection.lines():
        print("\n" + "\n".join(lines))
    try:
        write.write(collection, arguments.out)
    except OSError as error:
        said = _("{folder}: cannot write the tables there: {reason}")
        raise Problem(said.format(folder=arguments.out, reason=reason_of(error))) from error
    print(f"\n{arguments.out / 'collection.html'}")
