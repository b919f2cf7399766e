"""Tabulate the finished runs of some configurations in Markdown or LaTeX: a row for each, with means over its seeds.

mnist-mlp table experiment=beyond "experiment=beyond epochs=30"
mnist-mlp table width=100 "width=100 lr=0.01" --reference experiment=baseline --latex
"""

import os

from mnist_mlp import files
from mnist_mlp.cli.arguments import Parser, path, positive
from mnist_mlp.language import _
from mnist_mlp.report.comparison import find, latex, markdown, runs, table
from mnist_mlp.statistics import MARGIN


def main() -> None:
    """Parse the command line, collect the runs and print the table."""
    parser = Parser.of(
        _(
            "Tabulate the finished runs of some configurations in Markdown or LaTeX: a row for each, with means over "
            "its seeds."
        )
    )
    parser.add_argument("overrides", nargs="+", metavar="OVERRIDES", help=_("of train.py: one argument for each row"))
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    parser.add_argument("--csv", type=path, metavar="FILE", help=_("also write all runs to this file"))
    parser.add_argument("--latex", action="store_true", help=_("LaTeX, with the package booktabs"))
    reference = _("also the differences in test accuracy from this configuration, with verdicts")
    parser.add_argument("--reference", metavar="OVERRIDES", help=reference)
    margin = _("points within which accuracies count as the same (0.2)")
    parser.add_argument("--margin", type=positive, default=100 * MARGIN, help=margin)
    arguments = parser.parse_args()
    lines = arguments.overrides
    if arguments.reference is not None and arguments.reference not in lines:
        lines = [arguments.reference, *lines]
    found = find(lines, arguments.runs_dir)
    if arguments.csv:
        with files.saving(arguments.csv) as partial:
            runs(found).to_csv(partial, index=False)
    rows = table(found, arguments.reference, arguments.margin / 100)
    print(latex(rows) if arguments.latex else markdown(rows))
