"""Make the report of the ten questions from all finished runs: tables, figures and answers.

    mnist-mlp report
    mnist-mlp report --questions q01,q05 --seeds 3 --protocol disjoint --language es

The overrides with which the runs were trained follow after `--`, as in `-- epochs=10`.
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


def protocol(text: str) -> str:
    """Read a protocol, or both; version 0.1.0 called the disjoint one by the option that selects it, mnist."""
    return one_of((*PROTOCOLS, "both"))("disjoint" if text == "mnist" else text)


def parser(documentation: str | None, seeds: int | None) -> Parser:
    """Make the parser that report and reproduce share.

    Args:
        documentation: of the verb's module.
        seeds: the default number of seeds; None for all seeds with finished runs.
    """
    made = Parser.of(documentation)
    default = "all with finished runs" if seeds is None else str(seeds)
    made.add_argument("--questions", type=some_of(QUESTIONS), help="as in q01,q05 (all)")
    made.add_argument("--seeds", type=whole_number, default=seeds, help=f"number of seeds, from 0 on ({default})")
    made.add_argument("--protocol", type=protocol, help="disjoint, notebook or both")
    made.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    made.add_argument("--out", type=path, help="folder of the report (report, in the folder of the runs)")
    made.add_argument("--language", type=one_of(LANGUAGES), default="en", help="en or es (en)")
    made.add_argument("overrides", nargs="*", help="after --: overrides of train.py, the same for all runs")
    return made


def protocols_of(arguments: argparse.Namespace) -> list[str] | None:
    """Return the protocols that the user asks for, or None."""
    return list(PROTOCOLS) if arguments.protocol == "both" else arguments.protocol and [arguments.protocol]


def make(study: Study, arguments: argparse.Namespace, verb: str) -> None:
    """Write the report and print its path.

    Raises:
        Problem: there are no runs to report, or the report cannot be written.
    """
    if not any(study.results()):
        asked = f" of {', '.join(arguments.questions)}" if arguments.questions else ""
        raise Problem(f"{arguments.runs_dir}: there are no runs{asked}; mnist-mlp reproduce trains them")
    folder = arguments.out or Path(arguments.runs_dir) / "report"
    try:
        write(study, folder, shlex.join(["mnist-mlp", verb, *sys.argv[1:]]), arguments.language)
    except OSError as error:
        raise Problem(f"{folder}: cannot write the report there: {error.strerror}") from error
    print(folder / "report.html")


def main() -> None:
    """Parse the command line, collect the runs and write the report."""
    arguments = parser(__doc__, seeds=None).parse_args()
    seeds = None if arguments.seeds is None else range(arguments.seeds)
    study = gather(arguments.questions, protocols_of(arguments), seeds, arguments.runs_dir, tuple(arguments.overrides))
    make(study, arguments, "report")
