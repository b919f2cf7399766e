"""Tabulate the finished runs of some configurations in Markdown: a row for each, with means over its seeds.

mnist-mlp table experiment=beyond "experiment=beyond epochs=30"
"""

import os

from mnist_mlp import files
from mnist_mlp.cli.arguments import Parser, path
from mnist_mlp.language import _
from mnist_mlp.report.comparison import find, markdown, runs


def main() -> None:
    """Parse the command line, collect the runs and print the table."""
    parser = Parser.of(
        _("Tabulate the finished runs of some configurations in Markdown: a row for each, with means over its seeds.")
    )
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDES", help=_("of train.py: one argument for each row"))
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    parser.add_argument("--csv", type=path, metavar="FILE", help=_("also write all runs to this file"))
    arguments = parser.parse_args()
    rows = find(arguments.overrides, arguments.runs_dir)
    if arguments.csv:
        with files.saving(arguments.csv) as partial:
            runs(rows).to_csv(partial, index=False)
    print(markdown(rows))
