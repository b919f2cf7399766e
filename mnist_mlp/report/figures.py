"""The figures of a report."""

import io
import math
import textwrap
from base64 import b64encode
from dataclasses import dataclass
from itertools import cycle

from matplotlib import rc_context
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
    """A figure: as PNG for pages and as PDF for papers.

    Attributes:
        title: what it shows.
        note: how to read it.
    """

    name: str
    title: str
    note: str
    png: bytes
    pdf: bytes

    @property
    def caption(self) -> str:
        """The title and the note."""
        return f"{self.title}. {self.note}".strip()

    @property
    def base64(self) -> str:
        """The PNG file as text, to be embedded."""
        return b64encode(self.png).decode()


class Pictures:
    """Draws."""

    def __init__(self, study: Study, words: Words) -> None:
        self.study, self.words, self.texts = study, words, words.texts["figure"]

    def curves(self, question: str, protocol: str) -> Picture:
        """Draw the validation accuracy of a question's variants over their epochs."""
        figure = Figure(figsize=(4.8, 4.0), layout="constrained")
        axes = figure.add_subplot(xlabel=self.texts["epoch"], ylabel=self.texts["accuracy"])
        self._curves(axes, question, protocol, legend=True)
        if axes.lines:
            figure.legend(loc="outside lower left", fontsize=8, frameon=False)
        title = self.texts["curves"].format(question[1:].lstrip("0"), _(PROTOCOLS[protocol]))
        return self._picture(f"{question}-{protocol}", title, self.texts["curves_note"], figure)

    def all_curves(self) -> Picture:
        """Draw the learning curves of all questions, each beside the baseline's."""
        protocol, questions = self.study.protocols[0], self.study.questions
        columns = min(2, len(questions))
        rows = math.ceil(len(questions) / columns)
        figure = Figure(figsize=(3.2 * columns, 0.6 + 3.1 * rows), layout="constrained")
        for place, question in enumerate(questions, 1):
            axes = figure.add_subplot(rows, columns, place)
            axes.set_title(textwrap.fill(self.words.heading(question), 36), fontsize=9)
            axes.tick_params(labelsize=8)
            self._curves(axes, question, protocol)
            if axes.lines:
                axes.legend(loc="upper left", bbox_to_anchor=(-0.05, -0.09), fontsize=6.5, frameon=False)
        figure.supxlabel(self.texts["epoch"], fontsize=9)
        figure.supylabel(self.texts["accuracy"], fontsize=9)
        title = self.texts["all_curves"].format(_(PROTOCOLS[protocol]))
        return self._picture("curves", title, self.texts["curves_note"], figure)

    def _curves(self, axes: Axes, question: str, protocol: str, legend: bool = False) -> None:
        baseline = self.study.baselines[protocol]
        variants = [each for each in self.study.of(question, protocol) if each.changes]
        for each, color, marker in zip([baseline, *variants], cycle(COLORS), cycle(MARKERS)):
            runs = [[epoch.val_accuracy for epoch in result.epochs] for result in each.completed.values()]
            if runs:
                spans = [(min(values), summarize(values).mean, max(values)) for values in zip(*runs, strict=True)]
                low, mean, high = zip(*spans, strict=True)
                epochs = range(1, len(mean) + 1)
                label = textwrap.fill(self.words.name(each), 56 if legend else 30)
                axes.plot(epochs, mean, color=color, marker=marker, markersize=4, linewidth=1.4, label=label)
                axes.fill_between(epochs, low, high, color=color, alpha=0.2, linewidth=0)
        asked = [each for each in self.study.variants if each.question == question and not each.explains]
        every = [baseline, *(asked if legend else variants)]  # one scale for both protocols, which stand side by side
        epochs_of_all = [epoch for each in every for result in each.completed.values() for epoch in result.epochs]
        fit_accuracy(axes, [epoch.val_accuracy for epoch in epochs_of_all])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)

    def _picture(self, name: str, title: str, note: str, figure: Figure) -> Picture:
        if name != "curves":  # whose parts have titles
            figure.suptitle(textwrap.fill(title, 64), fontsize=9)
        return Picture(name, title, note, png(figure), pdf(figure))

    def overview(self) -> Picture:
        """Draw every difference in test accuracy from the baseline with the interval that belongs to its verdict."""
        protocols = self.study.protocols
        asked = [each for question in self.study.questions for each in self.study.of(question, protocols[0])]
        rows = [each for each in asked if each.changes]
        figure = Figure(figsize=(4.8, 1.4 + 0.42 * len(rows)), layout="constrained")
        axes = figure.add_subplot()
        for protocol, color, marker, shift in zip(protocols, COLORS[1:], MARKERS, (0.0, 0.24), strict=False):
            twins = [self.study.twin(each, protocol) for each in rows]
            found = [self.study.differences[each.id].test.difference for each in twins]
            judged = [self.study.judged[each.id] for each in twins]
            ends = [
                (each.low, each.high) if math.isfinite(each.high) else (at, at)
                for at, each in zip(found, judged, strict=True)
            ]
            axes.errorbar(
                [100 * at for at in found],
                [height + shift for height in range(len(rows))],
                xerr=list(
                    zip(
                        *((100 * (at - low), 100 * (high - at)) for at, (low, high) in zip(found, ends, strict=True)),
                        strict=True,
                    )
                ),
                linestyle="",
                color=color,
                marker=marker,
                markersize=4,
                capsize=2,
                label=_(PROTOCOLS[protocol]),
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
            axes.legend(loc="best", fontsize=8)
        return self._picture("differences", self.texts["differences"], self.texts["differences_note"], figure)


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


def pdf(figure: Figure) -> bytes:
    """Write a figure with letters that a paper can hold, and without the date."""
    file = io.BytesIO()
    with rc_context({"pdf.fonttype": 42}):
        figure.savefig(file, format="pdf", metadata={"CreationDate": None})
    return file.getvalue()
