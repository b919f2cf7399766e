"""What a search has found, as a page: its trials, their figures, and what the winner is worth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from mnist_mlp.config.valid import shown
from mnist_mlp.inference.export import whole
from mnist_mlp.report.figures import png
from mnist_mlp.search.confirmation import Confirmation
from mnist_mlp.search.trials import Search
from mnist_mlp.statistics import Summary, summarize

STATES = ("completed", "pruned", "diverged")
"""How a trial can end."""


def page(search: Search, experiment: Path, confirmed: Confirmation) -> Path:
    """Write the search's page with its figures and the table of its trials, and give the page's path.

    Args:
        search: with trials.
        experiment: the file of its winner.
        confirmed: what the winner is worth.
    """
    best, trials = search.best, search.done
    states = [_state(trial) for trial in trials]
    seeds = len(search.space.seeds)
    lines = [
        f"# Search {search.space.name}",
        "",
        f"[{len(trials)} trials](trials.csv) ({', '.join(f'{states.count(state)} {state}' for state in STATES)}), "
        f"{_duration(search.hours)} of training one after the other; {seeds} seed{'s' if seeds > 1 else ''} a trial. "
        f"Command: `python scripts/search.py {search.space.name} --trials {len(trials)}`.",
        "",
        f"Best: trial {best.number}, `python train.py --config-dir {search.folder} experiment={experiment.stem}`.",
        "",
    ]
    weights = importances(search)
    lines += [
        f"| parameter | range | best |{' importance |' if weights else ''}",
        f"|---|---|---|{'---:|' if weights else ''}",
    ]
    for key, choice in search.space.space.items():
        span = ", ".join(map(shown, choice)) if isinstance(choice, list) else f"{choice['low']} to {choice['high']}"
        value = best.params[key]
        written = f"{value:.3g}" if isinstance(value, float) else shown(value)
        weight = f" {weights[key]:.0%} |" if weights else ""
        lines.append(f"| `{key}` | {span} | {written} |{weight}")
    if weights:
        lines += [
            "",
            "Importance: the part of the differences among good trials that a parameter accounts for (PED-ANOVA, "
            "Watanabe et al. 2023).",
        ]
    lines += [
        "",
        "## What the winner is worth",
        "",
        "Accuracies in percent, means with half of their 95% t-intervals. The reference is the same configuration "
        "without what was searched for.",
        "",
        "| | validation, as the search saw it | validation, fresh seeds and split | test, fresh seeds and split |",
        "|---|---:|---:|---:|",
        f"| winner | {_percent(confirmed.searched)} | {_percent(confirmed.fresh)} | {_percent(confirmed.fresh_test)} |",
        f"| reference | {_percent(confirmed.reference_searched)} | {_percent(confirmed.reference_fresh)} | "
        f"{_percent(confirmed.reference_fresh_test)} |",
        "",
        f"The search's gain over the reference is {_points(confirmed.searched, confirmed.reference_searched)} points; "
        f"fresh seeds and a fresh split show {_points(confirmed.fresh, confirmed.reference_fresh)}. "
        f"{100 * confirmed.luck:+.2f} points of it were luck.",
        "",
        "![Validation accuracy of each trial in order, and the best so far](history.png)",
        "",
        "![Validation accuracy of the trials over each parameter](parameters.png)",
    ]
    for name, figure in (("history", history(trials)), ("parameters", slices(search))):
        with whole(search.folder / f"{name}.png") as partial:
            partial.write_bytes(png(figure))
    with whole(search.folder / "trials.csv") as partial:
        table(trials).to_csv(partial, index=False)
    path = search.folder / "README.md"
    with whole(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """Tabulate the trials: the mean validation accuracy of their seeds as a fraction, and the time in seconds."""
    return pd.DataFrame(
        {
            "trial": trial.number,
            "state": _state(trial),
            "val_accuracy": trial.value if trial.state == TrialState.COMPLETE else None,
            "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
            **trial.params,
        }
        for trial in trials
    )


def importances(search: Search) -> dict[str, float]:
    """Give what part of the differences each parameter accounts for; nothing where trials are too few to say."""
    if len(search.completed) < 10 or len(search.space.space) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(search.study, evaluator=evaluator)


def history(trials: Sequence[FrozenTrial]) -> Figure:
    """Draw the trials in order, and the best so far."""
    figure = Figure(figsize=(6.0, 3.4), layout="constrained")
    axes = figure.add_subplot(xlabel="trial", ylabel="validation accuracy (%)")
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    numbers, values = [trial.number for trial in done], [100 * float(trial.value or 0) for trial in done]
    axes.plot(numbers, values, "o", color="#0072b2", markersize=4, label="trial")
    axes.step(numbers, np.maximum.accumulate(values), where="post", color="#d55e00", label="best so far")
    axes.set_ylim(*_span(np.array(values), np.array(values)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def slices(search: Search) -> Figure:
    """Draw the completed trials over each parameter, with the 95% t-intervals of those with several seeds."""
    space = search.space.space
    columns = min(3, len(space))
    rows = -(-len(space) // columns)
    figure = Figure(figsize=(max(4.8, 3.2 * columns), 3.0 * rows), layout="constrained")
    summaries = [summarize(trial.user_attrs["accuracies"]) for trial in search.completed]
    means = [100 * each.mean for each in summaries]
    half = [100 * (each.high - each.mean) if each.n > 1 else 0.0 for each in summaries]
    for number, (key, choice) in enumerate(space.items(), start=1):
        axes = figure.add_subplot(rows, columns, number, xlabel=key)
        values: list[Any] = [trial.params[key] for trial in search.completed]
        if isinstance(choice, list):
            names = [shown(each) for each in choice]
            values = [names.index(shown(value)) for value in values]
            axes.set_xticks(
                range(len(names)), [name.replace("$", "\\$") for name in names], rotation=30, ha="right", fontsize=7
            )
        elif choice.get("log"):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1,) if choice["high"] > 200 * choice["low"] else (1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_locator(NullLocator())
        elif isinstance(choice["low"], int):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.errorbar(values, means, yerr=half, fmt="o", color="#0072b2", markersize=4, elinewidth=0.8)
        axes.set_ylim(*_span(np.subtract(means, half), np.add(means, half)))
        axes.grid(alpha=0.3)
    figure.supylabel("validation accuracy (%)", fontsize=9)
    return figure


def _state(trial: FrozenTrial) -> str:
    if "diverged" in trial.user_attrs:
        return "diverged"
    return "completed" if trial.state == TrialState.COMPLETE else "pruned"


def _duration(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"


def _span(lows: NDArray[np.float64], highs: NDArray[np.float64]) -> tuple[float, float]:
    # The worst tenth, which may be at chance, would leave no room for the rest.
    low, high = float(np.quantile(lows, 0.1)), float(np.max(highs))
    margin = 0.1 * (high - low) + 0.05
    return low - margin, min(100, high + margin)


def _percent(summary: Summary) -> str:
    interval = f" ± {100 * (summary.high - summary.mean):.2f}" if summary.n > 1 else ""
    return f"{100 * summary.mean:.2f}{interval} (n = {summary.n})"


def _points(one: Summary, other: Summary) -> str:
    return f"{100 * (one.mean - other.mean):+.2f}"
