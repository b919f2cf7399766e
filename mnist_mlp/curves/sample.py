"""The runs of one point of a curve. Free of torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd

from mnist_mlp.curves.curve import Curve, Place
from mnist_mlp.statistics import Summary, failed, summarize


@dataclass(frozen=True)
class Sample:
    """The replicates of a point.

    Attributes:
        tests: the test accuracies of the completed runs, as fractions.
        diverged: the number of runs that diverged; they have no test accuracy.
        missing: the number of runs that neither completed nor diverged.
        seconds: the median time of the completed runs; NaN if there are none, like the following.
        steps: their optimizer steps.
        parameters: of the network.
    """

    tests: tuple[float, ...]
    diverged: int
    missing: int
    seconds: float
    steps: float
    parameters: float

    @property
    def ended(self) -> int:
        """The number of runs that completed or diverged."""
        return len(self.tests) + self.diverged

    @property
    def failed(self) -> int:
        """How many of these ended below 50% or diverged."""
        return self.diverged + failed(self.tests)

    @property
    def summary(self) -> Summary:
        """The mean with its interval, for a point none of whose runs failed."""
        return summarize(self.tests)

    @property
    def center(self) -> float:
        """The mean; the median if any run failed, as accuracies are then far from normal; NaN if there are none."""
        if not self.tests:
            return math.nan
        return median(self.tests) if self.failed else self.summary.mean


def samples(curve: Curve, runs: pd.DataFrame) -> dict[Place, Sample]:
    """Collect the runs of each point of a curve from the rows of its table."""
    axes = [axis.column for axis in curve.axes]
    return {place: _sample(runs[np.isclose(runs[axes], place).all(axis=1)]) for place in curve.points}


def _sample(runs: pd.DataFrame) -> Sample:
    completed = runs[(runs["status"] == "completed") & runs["test_accuracy"].notna()]
    diverged = int((runs["status"] == "diverged").sum())
    return Sample(
        tests=tuple(map(float, completed["test_accuracy"])),
        diverged=diverged,
        missing=len(runs) - len(completed) - diverged,
        **{
            name: float(completed[column].astype(float).median())
            for name, column in (("seconds", "seconds"), ("steps", "optimizer_steps"), ("parameters", "parameters"))
        },
    )


def measured(points: Mapping[Place, Sample]) -> dict[Place, Sample]:
    """Leave out the points without a test accuracy."""
    return {place: sample for place, sample in points.items() if sample.tests}
