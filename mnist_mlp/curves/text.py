"""What a curve shows, in sentences that are computed from its runs."""

import math
from collections.abc import Mapping
from itertools import groupby

from mnist_mlp.curves.curve import Axis, Curve, Place
from mnist_mlp.curves.sample import Sample, measured
from mnist_mlp.language import _, figure, localized
from mnist_mlp.report.text import number, percent

Points = Mapping[Place, Sample]


def value(number: float) -> str:
    """Write a value of an axis: 54,000 or 0.00001."""
    return figure(int(number), ",") if number == int(number) else localized(f"{number:.10f}".rstrip("0"))


def at(axis: Axis, number: float) -> str:
    """Name a point, as in batch 100."""
    return _(axis.at).format(value=value(number))


def accuracy(sample: Sample, spoken: bool = False) -> str:
    """Write a point's test accuracy in percent: the mean with its interval, or if a run failed, median and range.

    Args:
        sample: with at least one test accuracy.
        spoken: within a sentence, which says what it is.
    """
    if not sample.failed or len(sample.tests) < 2:
        return percent(sample.summary) + localized("%") * spoken
    median, low, high = (number(100 * each) for each in (sample.center, min(sample.tests), max(sample.tests)))
    said = _("{median}% (median of {low} to {high}%)") if spoken else _("{median} ({low} to {high})")
    return said.format(median=median, low=low, high=high)


def seconds(value: float) -> str:
    """Write a time with three digits or so."""
    return number(value, max(0, min(2, 1 - math.floor(math.log10(value)))) if value > 0 else 0)


def best(points: Points) -> Place:
    """Find the point of the highest test accuracy; at least one has one."""
    return max(measured(points), key=lambda place: points[place].center)


def sentences(curve: Curve, points: Points) -> str:
    """Say in a few sentences what the runs show."""
    parts = of_map(curve, points) if len(curve.axes) > 1 else of_line(curve, points)
    return " ".join([*parts, *what_lacks(points)])


def of_line(curve: Curve, points: Points) -> list[str]:
    """Say where the accuracy is highest, how wide that place is, and what the ends are and take."""
    (axis,) = curve.axes
    top, places = best(points), list(points)
    highest = points[top].center
    said = [
        _("Test accuracy is highest at {best}: {accuracy}.").format(
            best=at(axis, *top), accuracy=accuracy(points[top], spoken=True)
        )
    ]
    low = high = places.index(top)
    while low > 0 and 100 * (highest - points[places[low - 1]].center) <= curve.margin:
        low -= 1
    while high < len(places) - 1 and 100 * (highest - points[places[high + 1]].center) <= curve.margin:
        high += 1
    near = _("From {low} to {high} it stays within {margin} points of that.")
    if low == high:
        near = _("No neighbouring value comes within {margin} points of that.")
    ends = {"low": at(axis, *places[low]), "high": value(*places[high])}
    said.append(near.format(margin=figure(curve.margin, "g"), **ends))
    first, *others = measured(points)
    last = others[-1] if others else first
    if not others:
        return said + failures(axis, points)
    both = {"first": at(axis, *first), "last": value(*last)}
    ends = {"low": accuracy(points[first], spoken=True), "high": accuracy(points[last], spoken=True)}
    said.append(_("It is {low} at {first} and {high} at {last}.").format(**ends, **both))
    said += failures(axis, points)
    if curve.timed:
        times = {"low": seconds(points[first].seconds), "high": seconds(points[last].seconds)}
        said.append(
            _("A run takes about {low} seconds at {first} and {high} at {last} (medians, rough).").format(
                **times, **both
            )
        )
    return said


def failures(axis: Axis, points: Points) -> list[str]:
    """Say where runs failed, neighbours with the same share together."""
    parts = []
    for (failed, ended), group in groupby(points, key=lambda place: (points[place].failed, points[place].ended)):
        first, *others = group
        if failed:
            part = _("{failed} of {ended} from {first} to {last}") if others else _("{failed} of {ended} at {first}")
            ends = {"first": at(axis, *first), "last": value(*(others or [first])[-1])}
            parts.append(part.format(failed=failed, ended=ended, **ends))
    return [_("Runs that ended below 50% or diverged: {parts}.").format(parts="; ".join(parts))] if parts else []


def of_map(curve: Curve, points: Points) -> list[str]:
    """Say where the accuracy is highest, and which value of the second axis is best for each of the first."""
    rows, columns = curve.axes
    top = best(points)
    place = ", ".join(at(axis, each) for axis, each in zip(curve.axes, top, strict=True))
    said = [
        _("Test accuracy is highest at {best}: {accuracy}.").format(
            best=place, accuracy=accuracy(points[top], spoken=True)
        )
    ]
    parts = []
    for row, group in groupby(measured(points), key=lambda place: place[0]):
        highest = best({place: points[place] for place in group})
        parts.append(
            _("{column} with {row} ({accuracy})").format(
                column=value(highest[1]), row=at(rows, row), accuracy=figure(points[highest].center, ".2%")
            )
        )
    said.append(_("The best {axis}: {parts}.").format(axis=_(columns.title), parts="; ".join(parts)))
    failed = [sample for sample in points.values() if sample.failed]
    if failed:
        counts = {"failed": sum(sample.failed for sample in failed), "cells": len(failed), "all": len(points)}
        ended = sum(sample.ended for sample in points.values())
        lost = _("{failed} of {ended} runs ended below 50% or diverged, in {cells} of {all} cells.")
        said.append(lost.format(ended=ended, **counts))
    return said


def what_lacks(points: Points) -> list[str]:
    """Count the runs without a test accuracy."""
    diverged, missing = (sum(getattr(each, kind) for each in points.values()) for kind in ("diverged", "missing"))
    said = []
    if diverged:
        said.append(_("Runs that diverged, without a test accuracy: {number}.").format(number=diverged))
    if missing:
        said.append(_("Missing runs, which failed or were cut short: {number}.").format(number=missing))
    return said
