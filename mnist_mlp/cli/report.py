"""Make the report of the ten questions from the runs there are: tables, figures and answers.

    mnist-mlp report
    mnist-mlp report --questions q01,q05 --seeds 3 --protocol mnist --language es

Overrides that the runs were trained with follow after `--`, as in `-- epochs=10`.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from mnist_mlp.cli.arguments import Parser, one_of, path, some_of, whole_number
from mnist_mlp.errors import Problem
from mnist_mlp.report.study import PROTOCOLS, QUESTIONS, Study, gather
from mnist_mlp.report.text import LANGUAGES
from mnist_mlp.report.write import write


def parser(documentation: str | None, seeds: int | None) -> Parser:
    """Make the parser that report.py and reproduce.py share.

    Args:
        documentation: of the script.
        seeds: how many there are if the user does not say; None means those found.
    """
    made = Parser.of(documentation)
    found = "those there are" if seeds is None else str(seeds)
    made.add_argument("--questions", type=some_of(QUESTIONS), help="as in q01,q05; all if it is not given")
    made.add_argument("--seeds", type=whole_number, default=seeds, help=f"their number, from seed 0 on ({found})")
    made.add_argument("--protocol", type=one_of((*PROTOCOLS, "both")), help="mnist, notebook or both")
    made.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    made.add_argument("--out", type=path, help="folder of the report (report, in the folder of the runs)")
    made.add_argument("--language", type=one_of(LANGUAGES), default="en", help="en or es (en)")
    made.add_argument("overrides", nargs="*", help="after --: overrides of train.py, the same for all runs")
    return made


def protocols_of(arguments: argparse.Namespace) -> list[str] | None:
    """Give the protocols that are asked for; None if none is."""
    return list(PROTOCOLS) if arguments.protocol == "both" else arguments.protocol and [arguments.protocol]


def make(study: Study, arguments: argparse.Namespace, script: str) -> None:
    """Write the report and say where it is.

    Raises:
        Problem: there is nothing to report, or it cannot be written.
    """
    if not any(study.results()):
        asked = f" of {', '.join(arguments.questions)}" if arguments.questions else ""
        raise Problem(f"{arguments.runs_dir}: there are no runs{asked}; mnist-mlp reproduce trains them")
    folder = arguments.out or Path(arguments.runs_dir) / "report"
    try:
        write(study, folder, shlex.join(["python", f"scripts/{script}", *sys.argv[1:]]), arguments.language)
    except OSError as error:
        raise Problem(f"{folder}: the report cannot be written there: {error.strerror}") from error
    print(folder / "report.html")


def main() -> None:
    """Read the command line, find the runs, write."""
    arguments = parser(__doc__, seeds=None).parse_args()
    seeds = None if arguments.seeds is None else range(arguments.seeds)
    try:
        study = gather(
            arguments.questions, protocols_of(arguments), seeds, arguments.runs_dir, tuple(arguments.overrides)
        )
        make(study, arguments, "report.py")
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
