"""The figures of a report."""

import io
import math
import textwrap
from base64 import b64encode
from dataclasses import dataclass
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from mnist_mlp.lab import PROTOCOLS
from mnist_mlp.language import _, localized
from mnist_mlp.report.study import Study
from mnist_mlp.report.text import MINUS, Words
from mnist_mlp.statistics import summarize

COLORS = ("#000000", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Okabe and Ito's, which colour-blind readers tell apart; the baseline is black."""
MARKERS = "osD^vPX"
TICKS = (
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    0.7,
    0.8,
    0.9,
    *(0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.995),
)


@dataclass(frozen=True)
class Picture:
    """A PNG file with what it shows in words."""

    name: str
    alt: str
    png: bytes

    @property
    def base64(self) -> str:
        """The file as text, to be embedded."""
        return b64encode(self.png).decode()


class Pictures:
    """Draws."""

    def __init__(self, study: Study, words: Words) -> None:
        self.study, self.words, self.texts = study, words, words.texts["figure"]

    def curves(self, question: str, protocol: str) -> Picture:
        """Draw the validation accuracy of a question's variants over their epochs."""
        figure = Figure(figsize=(4.8, 4.0), layout="constrained")
        axes = figure.add_subplot(xlabel=self.texts["epoch"], ylabel=self.texts["accuracy"])
        every = [each for each in self.study.variants if each.question == question and each.completed]
        ordered = sorted(
            self.study.of(question, protocol), key=lambda each: bool(each.changes)
        )  # the baseline is black
        for each, color, marker in zip(ordered, cycle(COLORS), cycle(MARKERS)):
            runs = [[epoch.val_accuracy for epoch in result.epochs] for result in each.completed.values()]
            if runs:
                spans = [(min(values), summarize(values).mean, max(values)) for values in zip(*runs, strict=True)]
                low, mean, high = zip(*spans, strict=True)
                epochs = range(1, len(mean) + 1)
                label = textwrap.fill(self.words.name(each), 56)
                axes.plot(epochs, mean, color=color, marker=marker, markersize=4, linewidth=1.4, label=label)
                axes.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
        if axes.lines:
            figure.legend(loc="outside lower left", fontsize=8, frameon=False)
        epochs_of_all = [epoch for each in every for result in each.completed.values() for epoch in result.epochs]
        fit_accuracy(axes, [epoch.val_accuracy for epoch in epochs_of_all])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        heading = f"{self.words.texts['question'].lower()} {question[1:].lstrip('0')}"
        return Picture(
            f"{question}-{protocol}", self.texts["curves"].format(heading, _(PROTOCOLS[protocol])), png(figure)
        )

    def overview(self) -> Picture:
        """Draw every difference in test accuracy from the baseline with its interval."""
        protocols = self.study.protocols
        rows = [each for each in self.study.variants if each.protocol == protocols[0] and each.changes]
        figure = Figure(figsize=(4.8, 1.2 + 0.42 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        for protocol, color, marker, shift in zip(protocols, COLORS[1:], MARKERS, (0.0, 0.24), strict=False):
            found = [self.study.differences[self.study.twin(each, protocol).id].test for each in rows]
            axes.errorbar(
                [100 * each.difference for each in found],
                [height + shift for height in range(len(rows))],
                xerr=[0 if math.isnan(each.high) else 100 * (each.high - each.difference) for each in found],
                linestyle="",
                color=color,
                marker=marker,
                markersize=4,
                capsize=2,
                label=f"data={protocol}",
            )
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(rows)), [textwrap.fill(self.words.name(each), 34) for each in rows], fontsize=7)
        axes.set_ylim(len(rows) - 0.3, -0.5)
        axes.set_xscale("symlog", linthresh=1, linscale=1.5)
        low, high = axes.dataLim.intervalx
        axes.set_xlim(min(-1.2, 1.4 * low), max(1.2, 1.4 * high))
        axes.xaxis.set_major_locator(FixedLocator([-100, -10, -1, -0.5, 0, 0.5, 1, 10]))
        axes.xaxis.set_major_formatter(
            FuncFormatter(lambda value, place: localized(f"{value:+g}").replace("-", MINUS) if value else "0")
        )
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="x", alpha=0.3)
        figure.supxlabel(self.texts["points"], fontsize=8)
        if len(protocols) > 1:
            figure.legend(loc="outside upper right", ncols=2, fontsize=8, frameon=False)
        return Picture("differences", self.texts["differences"], png(figure))


def fit_accuracy(axes: Axes, values: list[float]) -> None:
    """Let a logit axis hold some accuracies, so that 97 and 98% stand apart beside 10%; ticks do not touch."""
    if not values:
        return

    def place(accuracy: float) -> float:
        inside = min(max(accuracy, 0.01), 0.9995)
        return math.log(inside / (1 - inside))

    margin = 0.05 * (place(max(values)) - place(min(values))) + 0.05
    bottom, top = place(min(values)) - margin, place(max(values)) + margin
    ticks: list[float] = []
    for tick in sorted(TICKS, reverse=True):
        if bottom <= place(tick) <= top and (not ticks or place(ticks[-1]) - place(tick) > 0.06 * (top - bottom)):
            ticks.append(tick)
    axes.set_yscale("logit")
    axes.set_ylim(*(1 / (1 + math.exp(-end)) for end in (bottom, top)))
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: localized(f"{100 * value:g}")))
    axes.yaxis.set_minor_locator(NullLocator())


def png(figure: Figure) -> bytes:
    """Write a figure as a small file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=140, pil_kwargs={"optimize": True})
    return file.getvalue()
