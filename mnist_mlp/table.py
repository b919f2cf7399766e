"""A table of configurations: what the runs there are say of each, in the mean over its seeds. Free of torch."""

import shlex
from argparse import Namespace
from collections.abc import Sequence

from mnist_mlp.command import check, composing
from mnist_mlp.problem import Problem
from mnist_mlp.runs import Result, Run, completed
from mnist_mlp.statistics import summarize
from mnist_mlp.words import number, percent

HEADER = ("command", "n", "parameters", "validation %", "lowest", "test %", "lowest", "minutes", "threads")


def markdown(lines: Sequence[str], runs_dir: str) -> str:
    """Tabulate configurations in Markdown, with a row for each.

    The validation is that of the last epoch; ± is half the 95% t-interval of a mean; lowest is the worst seed's;
    minutes are those of a run's epochs, in the mean.

    Args:
        lines: overrides of train.py's command line, those of a row in one string.
        runs_dir: the folder of the runs.

    Raises:
        Problem: overrides are wrong or name several configurations, or there are no runs of them.
    """
    with composing():
        rows = [[f"`python train.py {line}`", *cells(results_of(line, runs_dir))] for line in lines]
    ruler = ["---", *["---:"] * (len(HEADER) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [HEADER, ruler, *rows])


def results_of(line: str, runs_dir: str) -> list[Result]:
    """Give the completed runs of a configuration.

    Raises:
        Problem: as `markdown`.
    """
    try:
        overrides = shlex.split(line)
    except ValueError as error:
        raise Problem(f"{line}: {error}") from error
    launch = check(Namespace(overrides=[*overrides, f"runs_dir={runs_dir}"], multirun=False))
    if launch.problems:
        raise Problem("\n".join(launch.problems))
    if launch.sweeps or any(override.startswith("seed=") for override in overrides):
        raise Problem(f"{line}: a row is one configuration, with the seeds there are; give one argument for each row")
    results = list(completed(Run(launch.configs[0]).folder.parent).values())
    if not results:
        raise Problem(f"{line}: there are no completed runs of it in {runs_dir}")
    return results


def cells(results: list[Result]) -> list[str]:
    """Write what the runs of a configuration say, in the order of `HEADER`; the test is left empty if there is none."""
    validations = [result.epochs[-1].val_accuracy for result in results]
    tests = [result.test["accuracy"] for result in results if result.test]
    threads = dict.fromkeys(str(result.hardware.get("threads", "?")) for result in results)
    return [
        str(len(results)),
        f"{results[0].parameters:,}",
        *(text for each in (validations, tests) for text in _mean_and_lowest(each)),
        number(summarize([result.fit_seconds / 60 for result in results]).mean, 1),
        ", ".join(threads),
    ]


def _mean_and_lowest(accuracies: list[float]) -> list[str]:
    return [percent(summarize(accuracies)), number(100 * min(accuracies))] if accuracies else ["", ""]
