"""The temperature makes probabilities what they say; the calibration error tells how far they are from it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import minimize_scalar

from mnist_mlp.calibration import HOTTEST, calibration_error, reliability, temperature


def answers(sharpness: float, seed: int, samples: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits whose probabilities are right if they are divided by their sharpness, with labels drawn from these."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, 10, generator=random)
    return sharpness * logits, torch.multinomial(logits.softmax(1), 1, generator=random).flatten()


@settings(deadline=None, max_examples=20)
@given(some.floats(0.3, 4), some.integers(0, 10**6))
def test_the_temperature_is_the_factor_by_which_logits_are_too_sharp(sharpness: float, seed: int) -> None:
    logits, labels = answers(sharpness, seed)
    assert temperature(logits, labels) == pytest.approx(sharpness, rel=0.15)


def test_the_temperature_has_the_lowest_cross_entropy_by_scipy() -> None:
    logits, labels = answers(2.0, 0, 500)

    def loss(of: float) -> float:
        return torch.nn.functional.cross_entropy(logits.double() / of, labels).item()

    assert temperature(logits, labels) == pytest.approx(
        minimize_scalar(loss, bounds=(0.1, 10), method="bounded").x, 1e-4
    )


def test_of_answers_that_are_all_right_or_all_wrong_the_temperature_is_at_its_end() -> None:
    logits, labels = torch.eye(10) * 5, torch.arange(10)
    assert temperature(logits, labels) == pytest.approx(1 / HOTTEST)
    assert temperature(logits, labels.roll(1)) == pytest.approx(HOTTEST)


def test_the_calibration_error_by_hand() -> None:
    sure, right = np.array([0.95, 0.96, 0.94, 0.95, 1.0, 0.4]), np.array([True, True, False, True, True, False])
    expected = [[1 / 6, 0.4, 0], [5 / 6, 0.96, 0.8]]  # two of fifteen bins have samples
    np.testing.assert_allclose(reliability(sure, right), expected)
    assert calibration_error(sure, right) == pytest.approx((0.4 + 5 * 0.16) / 6)


def test_scaled_probabilities_are_better_calibrated() -> None:
    logits, labels = answers(3.0, 1)
    errors = []
    for of in (1, 3):
        sure, guesses = (logits / of).softmax(1).max(1)
        errors.append(calibration_error(sure.numpy(), (guesses == labels).numpy()))
    raw, scaled = errors
    assert scaled < 0.03 < 0.1 < raw
    assert math.isfinite(raw)
