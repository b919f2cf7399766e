"""Learning rate schedules: the factor of `lr`, from 0 to 1, as a function of a run's progress, without other state.

After the last step the factor stays constant.
"""

import math
from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """How far a run has come.

    Attributes:
        step: the number of optimizer steps so far.
        steps: the number of optimizer steps in the whole run.
        accuracies: the validation accuracy of each epoch so far, as a fraction.
    """

    step: int
    steps: int
    accuracies: list[float]


Scheduler = Callable[[Progress], float]


def cosine(progress: Progress, warm_up: float = 0.05, final: float = 0.0) -> float:
    """Rise linearly to 1, then fall along half a cosine (Loshchilov and Hutter 2017, without restarts).

    Args:
        progress: of the run.
        warm_up: the part of the run in which the factor rises.
        final: the factor at the end.
    """
    rising = warm_up * progress.steps
    if progress.step < rising:
        return (progress.step + 1) / (rising + 1)
    return _half_cosine(1.0, final, _part(progress.step - rising, progress.steps - rising))


def warmup(progress: Progress, warm_up: float = 0.1) -> float:
    """Rise linearly to 1, then stay (Goyal et al. 2017).

    Args:
        progress: of the run.
        warm_up: the part of the run in which the factor rises.
    """
    return cosine(progress, warm_up, final=1.0)


def linear(progress: Progress, hold: float = 0.5, final: float = 0.0) -> float:
    """Stay at 1, then fall linearly.

    Args:
        progress: of the run.
        hold: the part of the run in which the factor stays at 1.
        final: the factor at the end.
    """
    return 1 + (final - 1) * _part(max(0.0, progress.step / progress.steps - hold), 1 - hold)


def one_cycle(progress: Progress, warm_up: float = 0.3, initial: float = 0.04, final: float = 4e-6) -> float:
    """Rise along half a cosine to 1, then fall along another (Smith and Topin 2018; the defaults are torch's).

    Args:
        progress: of the run.
        warm_up: the part of the run in which the factor rises.
        initial: the factor at the start.
        final: the factor at the end.
    """
    peak = warm_up * progress.steps - 1
    if progress.step < peak:
        return _half_cosine(initial, 1.0, progress.step / peak)
    return _half_cosine(1.0, final, _part(progress.step - peak, progress.steps - 1 - peak))


def plateau(progress: Progress, factor: float = 0.5, patience: int = 2) -> float:
    """Fall by a factor whenever the validation accuracy has not improved for more than `patience` epochs.

    Args:
        progress: of the run.
        factor: of each fall.
        patience: in epochs.
    """
    rate, best, waited = 1.0, -math.inf, 0
    for accuracy in progress.accuracies:
        best, waited = (accuracy, 0) if accuracy > best else (best, waited + 1)
        if waited > patience:
            rate, waited = rate * factor, 0
    return rate


def _part(done: float, total: float) -> float:
    # At most 1, also of a total of 0.
    return min(1.0, done / total) if total > 0 else 1.0


def _half_cosine(begin: float, end: float, part: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * part)) / 2
