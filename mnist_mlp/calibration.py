"""Probabilities that mean what they say: the temperature of a network's logits, and the error that is left."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

HOTTEST = 10.0
"""The highest temperature; the lowest is its reciprocal."""

HALVINGS = 30
"""Of the range of temperatures, which leave less than a millionth of it."""

BINS = 15
"""Of probabilities, for the calibration error."""


def temperature(logits: Float[Tensor, "samples 10"], labels: Int64[Tensor, " samples"]) -> float:
    """Find what to divide logits by for the lowest cross-entropy.

    Guo et al. 2017, “On calibration of modern neural networks”. The cross-entropy is convex in the reciprocal, so that
    halving the range finds it.

    Args:
        logits: of samples that were not trained on.
    """
    exact, rows = logits.double(), torch.arange(len(labels))
    low, high = -math.log(HOTTEST), math.log(HOTTEST)  # of the reciprocal
    for _time in range(HALVINGS):
        middle = (low + high) / 2
        probabilities = (exact * math.exp(middle)).softmax(dim=1)
        slope = ((probabilities * exact).sum(dim=1) - exact[rows, labels]).mean().item()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def calibration_error(sure: Float[np.ndarray, " samples"], right: Bool[np.ndarray, " samples"]) -> float:
    """Return the expected calibration error: how far probabilities are from the rate of right answers.

    The mean of the difference over 15 bins of equal width, weighted by their samples (Naeini et al. 2015).

    Args:
        sure: the probability of each answer.
        right: whether it is right.
    """
    return float(sum(share * abs(mean - rate) for share, mean, rate in reliability(sure, right)))


def reliability(
    sure: Float[np.ndarray, " samples"], right: Bool[np.ndarray, " samples"]
) -> Float64[np.ndarray, "bins 3"]:
    """Return for each bin with samples its share of all, their mean probability and their rate of right answers."""
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = (places == each for each in np.unique(places))
    return np.array([(inside.mean(), sure[inside].mean(), right[inside].mean()) for inside in bins])
