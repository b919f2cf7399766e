"""Tabulate the runs there are of some configurations: one row for each, with the means over its seeds, as Markdown.

python scripts/table.py experiment=beyond "experiment=beyond epochs=30"
"""

import os
import sys

try:
    from mnist_mlp.arguments import Parser, path, read_or_not
    from mnist_mlp.problem import Problem
    from mnist_mlp.table import find, markdown, runs
except ModuleNotFoundError as error:
    print(f"{error.name} is not installed: pip install -e .[report]", file=sys.stderr)
    sys.exit(2)


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
            from mnist_mlp.export import whole  # which takes a while: it needs torch

            with whole(arguments.csv) as partial:
                runs(found).to_csv(partial, index=False)
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    print(markdown(found))


if __name__ == "__main__":
    with read_or_not():
        main()
