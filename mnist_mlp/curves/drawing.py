"""The figures of the curves."""

import io
import math
from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from mnist_mlp.curves.curve import Curve, Place
from mnist_mlp.curves.sample import Sample, measured
from mnist_mlp.curves.text import best, value
from mnist_mlp.language import _, localized
from mnist_mlp.report.figures import COLORS, fit_accuracy
from mnist_mlp.report.text import number

TICKS = 4
"""With fewer on its logit scale, accuracies are so near each other that a linear one does."""

DECADES = 100
"""From this ratio of the highest value to the lowest on, an axis is logarithmic."""


def draw(curve: Curve, points: Mapping[Place, Sample]) -> Figure:
    """Draw a curve, or a map."""
    return heat_map(curve, points) if len(curve.axes) > 1 else line(curve, points)


def svg(figure: Figure) -> bytes:
    """Write a figure as SVG, the same bytes each time."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "mnist_mlp"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def line(curve: Curve, points: Mapping[Place, Sample]) -> Figure:
    """Draw test accuracy against the setting, each run as a small point, and below it the seconds if they change."""
    there = {place[0]: sample for place, sample in measured(points).items()}
    figure = Figure(figsize=(4.8, 6.0 if curve.timed else 4.2), layout="constrained")
    figure.suptitle(_(curve.title), fontsize=10)
    panels = figure.subplots(
        2 if curve.timed else 1, sharex=True, squeeze=False, height_ratios=[2, 1][: 1 + curve.timed]
    )
    top, bottom = panels[0, 0], panels[-1, 0]
    _accuracies(top, there)
    if curve.timed:
        times = [each.seconds for each in there.values()]
        bottom.plot(list(there), times, "s-", color=COLORS[1], markersize=4)
        bottom.set_ylabel(_("seconds (rough)"))
        if max(times) < 10 * min(times):
            bottom.set_ylim(0)
        else:
            bottom.set_yscale("log")
            bottom.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            bottom.yaxis.set_minor_locator(NullLocator())
        bottom.yaxis.set_major_formatter(FuncFormatter(lambda value, place: localized(f"{value:g}")))
    places = [place[0] for place in points]
    wide = places[-1] >= DECADES * places[0]
    if wide:
        bottom.set_xscale("log")
    bottom.set_xticks(places, [value(place) for place in places], rotation=90 if wide else 0, fontsize=8)
    bottom.xaxis.set_minor_locator(NullLocator())
    bottom.set_xlabel(_(curve.axes[0].title))
    for axes in panels[:, 0]:
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower left", fontsize=8, frameon=False)
    return figure


def _accuracies(axes: Axes, there: Mapping[float, Sample]) -> None:
    runs = [(place, *_inside(test)) for place, sample in there.items() for test in sample.tests]
    axes.plot(*zip(*runs, strict=True), "o", color=COLORS[5], markersize=2.5, zorder=3, label=_("a run"))
    axes.plot(list(there), _inside(*(each.center for each in there.values())), color=COLORS[0], linewidth=1)
    if sound := {place: sample.summary for place, sample in there.items() if not sample.failed}:
        spans = [(each.low, each.mean, each.high) if each.n > 1 else (each.mean,) * 3 for each in sound.values()]
        low, mean, high = (np.array(_inside(*ends)) for ends in zip(*spans, strict=True))
        mark = axes.errorbar(
            list(sound), mean, (mean - low, high - mean), fmt="o", color=COLORS[0], markersize=4, capsize=2
        )
        mark.set_label(_("mean with its 95% t-interval"))
    if failing := {place: sample.center for place, sample in there.items() if sample.failed}:
        label = _("median: a run ended below 50% or diverged")
        axes.plot(list(failing), _inside(*failing.values()), "D", color=COLORS[-1], markersize=5, label=label)
    seen = [test for place, test in runs]
    fit_accuracy(axes, seen)  # an interval of two replicates may reach beyond 100%
    named = _("{name}, % (logit scale)")
    if len(axes.get_yticks()) < TICKS:
        axes.set_yscale("linear")
        axes.set_ylim(min(seen) - 0.001, max(seen) + 0.001)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: localized(f"{100 * value:g}")))
        named = _("{name}, %")
    axes.set_ylabel(named.format(name=_("test accuracy")))


def _inside(*accuracies: float) -> list[float]:
    # Brings 0 and 1, and intervals beyond them, onto a logit scale.
    return [min(max(each, 0.001), 0.9999) for each in accuracies]


def heat_map(curve: Curve, points: Mapping[Place, Sample]) -> Figure:
    """Draw test accuracies as colors and numbers; the best of each row is framed."""
    rows, columns = (list(dict.fromkeys(place[axis] for place in points)) for axis in (0, 1))
    cells = np.array([[points[row, column].center for column in columns] for row in rows])
    figure = Figure(figsize=(4.8, 5.0), layout="constrained")
    axes = figure.add_subplot(xlabel=_(curve.axes[1].title), ylabel=_(curve.axes[0].title))
    figure.suptitle(_(curve.title), fontsize=10)
    inside = np.clip(cells, 0.02, 0.999)
    logits = np.log(inside / (1 - inside))
    image = axes.imshow(logits, cmap="cividis", aspect="auto")
    middle = (np.nanmin(logits) + np.nanmax(logits)) / 2
    for (row, place), (column, other) in ((a, b) for a in enumerate(rows) for b in enumerate(columns)):
        sample = points[place, other]
        text = number(100 * sample.center, 1) + (f"\n{sample.failed}/{sample.ended}" if sample.failed else "")
        dark = math.isnan(sample.center) or logits[row, column] > middle
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color="black" if dark else "white")
    for row, place in enumerate(rows):
        own = {key: sample for key, sample in points.items() if key[0] == place}
        if measured(own):
            column = columns.index(best(own)[1])
            axes.add_patch(
                Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, color=COLORS[-1], linewidth=2)
            )
    axes.set_xticks(range(len(columns)), [value(each) for each in columns], fontsize=8, rotation=90)
    axes.set_yticks(range(len(rows)), [value(each) for each in rows], fontsize=8)
    bar = figure.colorbar(image, orientation="horizontal", location="top", aspect=40, pad=0.02)
    bar.set_label(_("{name}, % (logit scale)").format(name=_("test accuracy")), fontsize=8)
    note = _("framed: the best of a row; n/m: runs that ended below 50% or diverged, of those that ended")
    figure.supxlabel(note, fontsize=7)
    ticks = [each for each in (0.1, 0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99) if inside_of(logits, each)]
    bar.ax.xaxis.set_major_locator(FixedLocator([math.log(each / (1 - each)) for each in ticks]))
    bar.ax.set_xticklabels([localized(f"{100 * each:g}") for each in ticks], fontsize=8)
    return figure


def inside_of(logits: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", tick: float) -> bool:
    """Whether an accuracy is among those of the colors."""
    return bool(np.nanmin(logits) <= math.log(tick / (1 - tick)) <= np.nanmax(logits))
