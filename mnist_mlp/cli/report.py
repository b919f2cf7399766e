"""Make the report of the ten questions from all finished runs: tables, figures and answers.

    mnist-mlp report
    mnist-mlp report --questions q01,q05 --seeds 3 --protocol disjoint --language es

The overrides with which the runs were trained follow after `--`, as in `-- epochs=10`.
"""

import argparse
import os
import re
import sys
from pathlib import Path

from mnist_mlp.cli.arguments import Parser, one_of, path, positive, some_of, whole_number
from mnist_mlp.console import command_line
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.language import _
from mnist_mlp.report.study import PROTOCOLS, QUESTIONS, Study, gather
from mnist_mlp.report.write import counted, write
from mnist_mlp.statistics import MARGIN


def protocol(text: str) -> str:
    """Read a protocol, or both; version 0.1.0 called the disjoint one by the option that selects it, mnist."""
    return one_of((*PROTOCOLS, "both"))("disjoint" if text == "mnist" else text)


def override(text: str) -> str:
    """Read an override, for which a question may be mistaken.

    Raises:
        Problem: it is one.
    """
    if re.fullmatch(r"q\d+(,q\d+)*", text):
        raise Problem(_("{text}: not an override; write --questions {text}").format(text=text))
    return text


def parser(description: str, seeds: int | None) -> Parser:
    """Make the parser that report and reproduce share.

    Args:
        description: of the verb.
        seeds: the default number of seeds; None for all seeds with finished runs.
    """
    made = Parser.of(description)
    default = _("all with finished runs") if seeds is None else str(seeds)
    number = _("number of seeds, from 0 on ({default})").format(default=default)
    made.add_argument("--questions", type=some_of(QUESTIONS), help=_("as in q01,q05 (all)"))
    made.add_argument("--seeds", type=whole_number, default=seeds, help=number)
    margin = _("points within which accuracies count as the same (0.2)")
    made.add_argument("--margin", type=positive, default=100 * MARGIN, help=margin)
    made.add_argument("--protocol", type=protocol, help=_("disjoint, notebook or both"))
    made.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    made.add_argument("--out", type=path, help=_("folder of the report (report, in the folder of the runs)"))
    overrides = _("after --: overrides of train.py, the same for all runs")
    made.add_argument("overrides", metavar="OVERRIDES", nargs="*", type=override, help=overrides)
    return made


def protocols_of(arguments: argparse.Namespace) -> list[str] | None:
    """Return the protocols that the user asks for, or None."""
    return list(PROTOCOLS) if arguments.protocol == "both" else arguments.protocol and [arguments.protocol]


def make(study: Study, arguments: argparse.Namespace, verb: str) -> None:
    """Write the report and print its path.

    Raises:
        Problem: there are no runs to report, or the report cannot be written.
    """
    if study.left_out:
        said = _("left out, as the questions are about MNIST: runs on {others}; mnist-mlp table has them")
        print(said.format(others=counted(study.left_out)), file=sys.stderr)
    if not any(study.results()):
        if arguments.questions:
            said = _("{folder}: there are no runs of {questions}; mnist-mlp reproduce trains them")
        else:
            said = _("{folder}: there are no runs; mnist-mlp reproduce trains them")
        questions = ", ".join(arguments.questions or ())
        raise Problem(said.format(folder=arguments.runs_dir, questions=questions))
    folder = arguments.out or Path(arguments.runs_dir) / "report"
    try:
        write(study, folder, command_line(["mnist-mlp", verb, *sys.argv[1:]]))
    except OSError as error:
        said = _("{folder}: cannot write the report there: {reason}")
        raise Problem(said.format(folder=folder, reason=reason_of(error))) from error
    print(folder / "report.html")


def main() -> None:
    """Parse the command line, collect the runs and write the report."""
    description = _("Make the report of the ten questions from all finished runs: tables, figures and answers.")
    arguments = parser(description, seeds=None).parse_args()
    seeds = None if arguments.seeds is None else range(arguments.seeds)
    where = arguments.runs_dir, tuple(arguments.overrides), arguments.margin / 100
    study = gather(arguments.questions, protocols_of(arguments), seeds, *where)
    make(study, arguments, "report")
