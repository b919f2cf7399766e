"""A table of configurations, with the means over their runs and differences from one of them. Free of torch."""

import shlex
from collections.abc import Mapping, Sequence

import pandas as pd

from mnist_mlp.config.compose import composing
from mnist_mlp.errors import Problem
from mnist_mlp.language import N_, _, figure
from mnist_mlp.report.study import on_test, on_validation
from mnist_mlp.report.text import MINUS, Words, accuracies, number, points
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.launch import check
from mnist_mlp.runs.record import Result, completed
from mnist_mlp.statistics import MARGIN, Comparison, compare, failed, judge, summarize

HEADER = (
    *(N_("command"), N_("n"), N_("parameters"), N_("validation %"), N_("lowest"), N_("test %"), N_("lowest")),
    *(N_("minutes (rough)"), N_("threads")),
)
OF_BATCHES = ("batch", "seed", "steps_per_epoch")
"""The keys of `data` that change neither the images nor their split."""
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "'": r"\textquotesingle{}"}
    | {"±": r"$\pm$", MINUS: "$-$", "…": r"\dots{}", "<": "$<$", ">": "$>$", "\N{NO-BREAK SPACE}": "~"}
)


def find(lines: Sequence[str], runs_dir: str) -> dict[str, list[Result]]:
    """Return the completed runs of configurations, in the order of their seeds.

    Args:
        lines: overrides of train.py's command line, those of a configuration in one string.
        runs_dir: the folder of the runs.

    Raises:
        Problem: overrides are wrong or name several configurations, or there are no runs of them.
    """
    with composing():
        return {line: _runs_of(line, runs_dir) for line in lines}


def table(found: Mapping[str, list[Result]], reference: str | None = None, margin: float = MARGIN) -> list[list[str]]:
    """Tabulate configurations: the titles, then a row for each.

    Validation accuracy is of the last epoch; ± is half the 95% t-interval of a mean, which the median and the range
    replace if a run failed; lowest is of the worst seed; minutes are a mean per run, whatever else the machine did.
    Test accuracy is empty for runs that were not tested.

    Args:
        found: the completed runs of each.
        reference: one of them, whose test accuracy the others are compared with, in one family.
        margin: two accuracies, as fractions, are the same within it.

    Raises:
        Problem: the test images of one are others than the reference's.
    """
    rows = [[*map(_, HEADER)], *([f"python train.py {line}", *_cells(results)] for line, results in found.items())]
    if reference is None:
        return rows
    others = [line for line in found if line != reference]
    for line in others:
        if _data_set(found[line]) != _data_set(found[reference]):
            said = _("{line}: tested on other images than {reference}; compare configurations of one data set")
            raise Problem(said.format(line=line, reference=reference))
    comparisons = [_difference(found[line], found[reference]) for line in others]
    words, cells = Words(), {reference: ["", _("reference")]}
    for line, comparison, judgement in zip(others, comparisons, judge(comparisons, margin), strict=True):
        cells[line] = [points(comparison, judgement.level), words.verdict(judgement)]
    verdict = _("verdict (the same: within {margin} points)").format(margin=figure(100 * margin, "g"))
    added = [[_("difference in test, points"), verdict], *(cells[line] for line in found)]
    return [row + more for row, more in zip(rows, added, strict=True)]


def markdown(rows: Sequence[list[str]]) -> str:
    """Write a table in Markdown."""
    header, *others = rows
    ruler = ["---", *["---:"] * (len(header) - 1)]
    commands = ([f"`{command}`", *cells] for command, *cells in others)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ruler, *commands])


def latex(rows: Sequence[list[str]]) -> str:
    """Write a table in LaTeX."""
    header, *others = ([cell.translate(LATEX) for cell in row] for row in rows)
    commands = ([rf"\texttt{{{command}}}", *cells] for command, *cells in others)
    title, *lines = (rf"{' & '.join(row)} \\" for row in [header, *commands])
    start = ["% \\usepackage{booktabs,textcomp}", rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule"]
    return "\n".join([*start, title, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}"])


def runs(found: Mapping[str, list[Result]]) -> pd.DataFrame:
    """Tabulate every run: losses in nats, accuracies as fractions, the time of the epochs in seconds.

    A run's last digits depend on the instruction set; it is empty on a GPU and in the records of older versions.
    """
    return pd.DataFrame(
        {
            "command": f"python train.py {line}",
            "seed": result.seed,
            "parameters": result.parameters,
            "val_accuracy": on_validation(result),
            "val_loss": result.epochs[-1].val_loss,
            "test_accuracy": result.test and result.test["accuracy"],
            "test_loss": result.test and result.test["loss"],
            "seconds": result.fit_seconds,
            "threads": result.hardware.get("threads"),
            "instructions": result.hardware.get("instructions"),
            "folder": result.id,
            "git": result.git,
        }
        for line, results in found.items()
        for result in results
    )


def _runs_of(line: str, runs_dir: str) -> list[Result]:
    try:
        overrides = shlex.split(line)
    except ValueError as error:
        raise Problem(f"{line}: {error}") from error
    launch = check([*overrides, f"runs_dir={runs_dir}"])
    if launch.problems:
        raise Problem("\n".join(launch.problems))
    if launch.sweeps or any(override.startswith("seed=") for override in overrides):
        said = _("{line}: an argument is one configuration and makes one row, over all its seeds")
        raise Problem(said.format(line=line))
    results = completed(Run(launch.configs[0]).folder.parent).values()
    if not results:
        raise Problem(_("{line}: no completed runs in {folder}").format(line=line, folder=runs_dir))
    return sorted(results, key=lambda result: result.seed)


def _data_set(results: list[Result]) -> tuple[object, object]:
    data = results[0].config["data"]
    return data.get("dataset", "mnist"), data.get("content")  # which earlier records lack


def _difference(own: list[Result], reference: list[Result]) -> Comparison:
    """Compare test accuracies, in pairs where each replicate has a split of its own, which both share."""
    kinds = [
        {key: value for key, value in results[0].config["data"].items() if key not in OF_BATCHES}
        for results in (own, reference)
    ]
    paired = kinds[0] == kinds[1] and kinds[0]["split_seed"] is None
    variant, baseline = (
        {result.seed: on_test(result) for result in results if result.test} for results in (own, reference)
    )
    return compare(variant, baseline, paired, normal=not failed([*variant.values(), *baseline.values()]))


def _cells(results: list[Result]) -> list[str]:
    validations = [on_validation(result) for result in results]
    tests = [on_test(result) for result in results if result.test]
    threads = dict.fromkeys(str(result.hardware.get("threads", "?")) for result in results)
    return [
        str(len(results)),
        figure(results[0].parameters, ","),
        *(text for values in (validations, tests) for text in _mean_and_lowest(values)),
        number(summarize([result.fit_seconds / 60 for result in results]).mean, 1),
        ", ".join(threads),
    ]


def _mean_and_lowest(values: list[float]) -> list[str]:
    return [accuracies(values), number(100 * min(values)) if values else ""]
