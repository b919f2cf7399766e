"""Figures of a sweep."""

import io
import math
from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem
from mnist_mlp.interactive.tables import EPOCH
from mnist_mlp.language import N_, _, localized
from mnist_mlp.report.figures import COLORS, MARKERS, fit_accuracy
from mnist_mlp.statistics import Summary, failed, summarize, summarize_accuracies

if TYPE_CHECKING:
    from mnist_mlp.interactive.sweep import Sweep

NAMES = {
    "seconds": N_("seconds of a run"),
    "steps": N_("optimizer steps"),
    "lr": N_("learning rate"),
    "batch": N_("batch size"),
    "parameters": N_("parameters"),
    "test_accuracy": N_("test accuracy"),
    "test_loss": N_("test loss"),
    "val_accuracy": N_("validation accuracy"),
    "val_loss": N_("validation loss"),
    "train_accuracy": N_("training accuracy"),
    "train_loss": N_("training loss"),
}
"""Titles of axes, where the name of a column is not enough."""


class Shown(Figure):
    """A figure that a notebook shows wherever matplotlib's own integration is not active."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def plot(sweep: "Sweep", of: str, x: str) -> Figure:
    """Draw a column of a sweep's runs, or of their epochs."""
    if x == "epoch":
        return curves(sweep, of)
    if x == "configuration":
        return means(sweep, of)
    return line(sweep, of, x)


def curves(sweep: "Sweep", of: str) -> Figure:
    """Draw the mean of each configuration's runs over the epochs, with its 95% t-interval unless a run failed."""
    columns = EPOCH[1:]
    if of not in columns:
        said = _("{column}: over epochs it is one of {columns}{hint}")
        raise Problem(said.format(column=of, columns=", ".join(columns), hint=nearest(of, columns)))
    done = [str(run.folder) for run in sweep.runs if run.status == "completed"]
    epochs = sweep.epochs()
    epochs = epochs[epochs["folder"].isin(done) & epochs[of].notna()]
    _some(of, list(epochs[of]))
    figure, axes = _axes(of)
    axes.set_xlabel(_("epoch"))
    for (name, group), color, marker in zip(epochs.groupby("configuration", sort=False), cycle(COLORS), cycle(MARKERS)):
        summaries = {epoch: summarize(list(values)) for epoch, values in group.groupby("epoch")[of]}
        any_failed = of.endswith("accuracy") and failed(list(group.groupby("folder")[of].last())) > 0
        _line(axes, summaries, str(name), color, marker, band=not any_failed)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower left", frameon=False)
    _finish(axes, of)
    return figure


def means(sweep: "Sweep", of: str) -> Figure:
    """Draw each configuration's mean, with its interval unless a run failed, and each completed run beside it."""
    values = {label: list(own.values()) for label, own in sweep.values(of).items() if own}
    _some(of, [value for own in values.values() for value in own])
    figure, axes = _axes(of)
    for place, own in enumerate(values.values()):
        summary = _summary(of, own)
        half = None if math.isnan(summary.high) else [[summary.high - summary.mean]] * 2
        axes.plot([place + 0.08] * len(own), own, "o", color=COLORS[1], alpha=0.3, markersize=4, zorder=1)
        axes.errorbar([place], [summary.mean], yerr=half, fmt="o", color=COLORS[0], capsize=4, zorder=2)
    slanted = len(values) > 4 or max(map(len, values)) > 16
    axes.set_xticks(
        range(len(values)), list(values), rotation=30 if slanted else 0, ha="right" if slanted else "center"
    )
    axes.set_xlim(-0.5, len(values) - 0.5)
    _finish(axes, of)
    return figure


def line(sweep: "Sweep", of: str, x: str) -> Figure:
    """Draw the means over a column with numbers."""
    sweep.values(of)
    table = sweep.table()
    numbers = [name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]
    if x not in numbers:
        said = _("x={column}: it is configuration, epoch or one of {columns}{hint}")
        raise Problem(said.format(column=x, columns=", ".join(numbers), hint=nearest(x, numbers)))
    done = table[(table["status"] == "completed") & table[of].notna() & table[x].notna()]
    _some(of, list(done[of]))
    figure, axes = _axes(of)
    axes.set_xlabel(_(NAMES.get(x, x.replace("_", " "))))
    axes.plot(done[x], done[of], "o", color=COLORS[1], alpha=0.3, markersize=4, zorder=1)
    _line(axes, {place: _summary(of, list(values)) for place, values in done.groupby(x)[of]}, "", COLORS[0], "o")
    if done[x].min() > 0 and done[x].max() >= 10 * done[x].min():
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, place: localized(f"{value:,.10g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    _finish(axes, of)
    return figure


def _summary(of: str, values: list[float]) -> Summary:
    return summarize_accuracies(values) if of.endswith("accuracy") else summarize(values)


def _line(axes: Axes, summaries: Mapping[Any, Summary], label: str, color: str, marker: str, band: bool = True) -> None:
    places, means = list(summaries), [each.mean for each in summaries.values()]
    axes.plot(places, means, color=color, marker=marker, markersize=4, label=label, zorder=2)
    low, high = ([getattr(each, end) for each in summaries.values()] for end in ("low", "high"))
    if band:  # and nothing at a place without an interval
        axes.fill_between(places, low, high, color=color, alpha=0.2, linewidth=0)


def _axes(of: str) -> tuple[Figure, Axes]:
    figure = Shown(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.yaxis.set_major_formatter(lambda value, place: localized(f"{value:g}"))
    axes.set_ylabel(_(NAMES.get(of, of.replace("_", " "))))
    return figure, axes


def _finish(axes: Axes, of: str) -> None:
    # Puts accuracies on a scale in percent: where they range widely, a logit scale keeps 97 and 98% apart.
    if not of.endswith("accuracy"):
        return
    low, high = axes.dataLim.intervaly
    fit_accuracy(axes, [low, high])
    named = axes.get_ylabel()
    axes.set_ylabel(_("{name}, % (logit scale)").format(name=named))
    if len(axes.get_yticks()) < 4:
        axes.set_yscale("linear")
        axes.set_ylabel(_("{name}, %").format(name=named))
        axes.set_ylim(max(0, low - 0.05 * (high - low)), min(1, high + 0.05 * (high - low)))
        axes.yaxis.set_major_formatter(lambda value, place: localized(f"{100 * value:g}"))


def _some(of: str, values: list[float]) -> None:
    if not values:
        raise Problem(_("{column}: no completed run of this sweep has it").format(column=of))
