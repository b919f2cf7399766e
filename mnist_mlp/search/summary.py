"""The page of a search: its trials, their figures, and the winner's accuracy with fresh seeds."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from mnist_mlp import files
from mnist_mlp.config.valid import formatted
from mnist_mlp.console import command_line
from mnist_mlp.language import _, figure, ngettext
from mnist_mlp.report.figures import png
from mnist_mlp.report.text import accuracies, number
from mnist_mlp.search.confirmation import Confirmation
from mnist_mlp.search.trials import Search
from mnist_mlp.statistics import Normal, Summary, summarize

STATES = ("completed", "pruned", "diverged")
"""The ways in which a trial can end."""


def page(search: Search, experiment: Path, confirmed: Confirmation, command: Sequence[str]) -> Path:
    """Write the search's page with its figures and the table of its trials; return the page's path.

    Args:
        search: with completed trials.
        experiment: the winner's experiment file.
        confirmed: the winner's accuracies.
        command: that repeats the search.

    Raises:
        OSError: a file cannot be written.
    """
    trials = search.done
    states = [_state(trial) for trial in trials]
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("mnist_mlp.search"), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    templates.filters |= {"percent": _percent, "points": _points, "range": _range, "value": _value}
    templates.globals |= {"_": _, "ngettext": ngettext}
    text = templates.get_template("search.md.jinja").render(
        space=search.space,
        command=command_line(command),
        best=search.best,
        train=command_line(["python", "train.py", "--config-dir", str(search.folder), f"experiment={experiment.stem}"]),
        trials=len(trials),
        states=", ".join(_counted(state, states.count(state)) for state in STATES),
        duration=_duration(search.hours),
        seeds=len(search.space.seeds),
        importances={key: figure(part, ".0%") for key, part in importances(search).items()},
        confirmed=confirmed,
        luck=luck(confirmed.luck),
    )
    for name, picture in (("history", history(trials)), ("parameters", slices(search))):
        files.write(search.folder / f"{name}.png", png(picture))
    with files.replacing(search.folder / "trials.csv") as partial:
        table(trials).to_csv(partial, index=False)
    with files.replacing(search.folder / "confirmation.csv") as partial:
        pd.DataFrame(confirmed.runs()).to_csv(partial, index=False)
    path = search.folder / "README.md"
    files.write(path, f"{text}\n")
    return path


def luck(found: Normal) -> str:
    """Say how much of the gain was luck, as far as that can be said."""
    low, high = found.interval()
    if math.isnan(low):
        return _("{luck} points; what part of it is chance cannot be said of one seed").format(
            luck=_signed(found.difference)
        )
    shown = f"{_signed(found.difference)} ± {figure(50 * (high - low), '.2f')}"
    said = _("{luck} points, which is not shown to be any") if low <= 0 <= high else _("{luck} points")
    return said.format(luck=shown)


def table(trials: Sequence[FrozenTrial]) -> pd.DataFrame:
    """Tabulate the trials: the mean validation accuracy over their seeds, as a fraction, and the time in seconds."""
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
    """Return the part of the differences that each parameter accounts for; nothing if there are too few trials."""
    if len(search.completed) < 10 or len(search.space.space) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return optuna.importance.get_param_importances(search.study, evaluator=evaluator)


def history(trials: Sequence[FrozenTrial]) -> Figure:
    """Plot the trials in order, and the best so far."""
    picture = Figure(figsize=(6.0, 3.4), layout="constrained")
    axes = picture.add_subplot(xlabel=_("trial"), ylabel=_("validation accuracy (%)"))
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    numbers, values = [trial.number for trial in done], [100 * float(trial.value or 0) for trial in done]
    axes.plot(numbers, values, "o", color="#0072b2", markersize=4, label=_("trial"))
    axes.step(numbers, np.maximum.accumulate(values), where="post", color="#d55e00", label=_("best so far"))
    axes.set_ylim(*_span(np.array(values), np.array(values)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.3)
    return picture


def slices(search: Search) -> Figure:
    """Plot the completed trials over each parameter, with 95% t-intervals if they have several seeds."""
    space = search.space.space
    columns = min(3, len(space))
    rows = -(-len(space) // columns)
    picture = Figure(figsize=(max(4.8, 3.2 * columns), 3.0 * rows), layout="constrained")
    summaries = [summarize(trial.user_attrs["accuracies"]) for trial in search.completed]
    means = [100 * each.mean for each in summaries]
    half = [100 * (each.high - each.mean) if each.n > 1 else 0.0 for each in summaries]
    for place, (key, choice) in enumerate(space.items(), start=1):
        axes = picture.add_subplot(rows, columns, place, xlabel=key)
        values: list[Any] = [trial.params[key] for trial in search.completed]
        if isinstance(choice, list):
            names = [formatted(each) for each in choice]
            values = [names.index(formatted(value)) for value in values]
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
    picture.supylabel(_("validation accuracy (%)"), fontsize=9)
    return picture


def _state(trial: FrozenTrial) -> str:
    if "diverged" in trial.user_attrs:
        return "diverged"
    return "completed" if trial.state == TrialState.COMPLETE else "pruned"


def _counted(state: str, number: int) -> str:
    return {
        "completed": ngettext("{number} completed", "{number} completed", number),
        "pruned": ngettext("{number} pruned", "{number} pruned", number),
        "diverged": ngettext("{number} diverged", "{number} diverged", number),
    }[state].format(number=number)


def _duration(hours: float) -> str:
    if hours >= 1:
        return _("{hours} hours").format(hours=figure(hours, ".1f"))
    return _("{minutes} minutes").format(minutes=figure(60 * hours, ".1f"))


def _span(lows: NDArray[np.float64], highs: NDArray[np.float64]) -> tuple[float, float]:
    # Without the worst tenth, whose accuracy may be at chance: the rest would be squeezed together.
    low, high = float(np.quantile(lows, 0.1)), float(np.max(highs))
    margin = 0.1 * (high - low) + 0.05
    return low - margin, min(100, high + margin)


def _percent(by_seed: Mapping[int, float]) -> str:
    return f"{accuracies(list(by_seed.values()))} (n = {len(by_seed)})"


def _range(choice: Any) -> str:
    return (
        ", ".join(map(formatted, choice))
        if isinstance(choice, list)
        else _("{low} to {high}").format(low=choice["low"], high=choice["high"])
    )


def _value(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else formatted(value)


def _points(gain: Summary) -> str:
    half = "" if math.isnan(gain.high) else f" ± {figure(100 * (gain.high - gain.mean), '.2f')}"
    return _signed(gain.mean) + half


def _signed(difference: float) -> str:
    return ("+" if difference > 0 else "") + number(100 * difference)
