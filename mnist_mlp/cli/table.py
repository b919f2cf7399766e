"""Tabulate the runs there are of some configurations: one row for each, with the means over its seeds, as Markdown.

mnist-mlp table experiment=beyond "experiment=beyond epochs=30"
"""

import os
import sys

from mnist_mlp.cli.arguments import Parser, path
from mnist_mlp.errors import Problem
from mnist_mlp.report.comparison import find, markdown, runs


def main() -> None:
    """Read the command line, find the runs, write and print."""
    parser = Parser.of(__doc__)
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDES", help="of train.py, all of a row in one argument")
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    parser.add_argument("--csv", type=path, metavar="FILE", help="write every run there, too")
    arguments = parser.parse_args()
    try:
        found = find(arguments.overrides, arguments.runs_dir)
        if arguments.csv:
            from mnist_mlp.inference.export import whole  # which takes a while: it needs torch

            with whole(arguments.csv) as partial:
                runs(found).to_csv(partial, index=False)
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    print(markdown(found))
