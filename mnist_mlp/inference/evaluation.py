"""The evaluation of a trained network on the test images: loss, accuracy, confusion matrix and worst mistakes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from PIL.Image import Image
from torch import Tensor

from mnist_mlp import images as drawings
from mnist_mlp.calibration import calibration_error
from mnist_mlp.config.schema import DataConfig
from mnist_mlp.data import MNISTDataModule
from mnist_mlp.images import DIGITS
from mnist_mlp.inference.load import Trained
from mnist_mlp.language import _, figure
from mnist_mlp.runs.record import RECORD

ROUNDING = 1e-5
"""The relative difference of two float32 losses of 10,000 images that the order of sums explains, with a margin."""


class Confusion:
    """A confusion matrix, with precision and recall.

    Args:
        labels: the true digits.
        guesses: the predicted digits.
    """

    def __init__(self, labels: Int[np.ndarray, " samples"], guesses: Int[np.ndarray, " samples"]) -> None:
        self.counts = drawings.confusions(labels, guesses)
        """A row for each true digit, a column for each predicted one."""

    @property
    def precision(self) -> list[float | None]:
        """For each digit, the fraction of its predictions that are correct; None if it was never predicted."""
        return self._fractions(self.counts.sum(axis=0))

    @property
    def recall(self) -> list[float | None]:
        """For each digit, the fraction of its images that were predicted correctly; None if it has no images."""
        return self._fractions(self.counts.sum(axis=1))

    def _fractions(self, totals: Int[np.ndarray, " 10"]) -> list[float | None]:
        pairs = zip(self.counts.diagonal().tolist(), totals.tolist(), strict=True)
        return [right / total if total else None for right, total in pairs]


@dataclass(frozen=True)
class Evaluation:
    """The performance of a network on the test images.

    Attributes:
        loss: the mean, in nats.
        accuracy: as a fraction.
        confusion: of the digits.
        mistakes: a picture of the most confident ones.
        calibration_error: how far probabilities are from rates of right answers, as a fraction.
    """

    loss: float
    accuracy: float
    confusion: Confusion
    mistakes: Image
    calibration_error: float

    def agrees(self, recorded: dict[str, float]) -> bool:
        """Whether the figures equal the recorded ones up to float32 rounding, which may change a single prediction."""
        images = int(self.confusion.counts.sum())
        return (
            math.isclose(self.loss, recorded["loss"], rel_tol=ROUNDING, abs_tol=ROUNDING)
            and round(abs(self.accuracy - recorded["accuracy"]) * images) <= 1
        )


def data_module(own: DataConfig) -> MNISTDataModule:
    """Return a data module with the test records of a run's data, from its directory.

    Args:
        own: the run's. If its directory does not exist on this machine, the records come from the per-user cache
            directory: the files are the same, as their checksums are verified. Those of a folder of images are found
            there by the folder's content, whatever has become of it.

    Raises:
        Problem: the files are corrupt or cannot be fetched, or the images of a folder are not those of the run.
    """
    exists = own.dir is not None and (own.dataset == "folder" or Path(own.dir).expanduser().is_dir())
    data = MNISTDataModule(dir=own.dir if exists else None, dataset=own.dataset, content=own.content)
    data.setup("test")
    return data


def evaluate(trained: Trained) -> Evaluation:
    """Test a network exactly as its run did: all images in one batch, with sums in float64.

    Raises:
        Problem: the MNIST files are corrupt.
    """
    data = data_module(trained.data)
    (batch,) = data.test_dataloader()
    with torch.no_grad():
        logits = trained.model(batch.images)
    return evaluate_on(trained, logits, *batch)


def evaluate_on(
    trained: Trained,
    logits: Float[Tensor, "samples 10"],
    images: Float[Tensor, " samples *pixels"],
    labels: Int64[Tensor, " samples"],
) -> Evaluation:
    """Test a network by its logits of images with values in [0, 1]."""
    loss, correct = trained.model.score_logits(logits, labels)
    true, probabilities = labels.numpy(), trained.calibrated(logits).numpy()
    pixels = (images.reshape(len(images), -1) * 255).round().byte().numpy()
    return Evaluation(
        loss=loss.double().item() / len(true),
        accuracy=correct.item() / len(true),
        confusion=Confusion(true, logits.argmax(dim=1).numpy()),
        mistakes=drawings.mistakes(pixels, true, probabilities, trained.classes),
        calibration_error=calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == true),
    )


def table(trained: Trained, evaluation: Evaluation, recorded: dict[str, float] | None) -> str:
    """Format an evaluation as text, beside the recorded figures if there are any."""
    figures = [
        [_("test"), _("now")],
        [_("loss"), figure(evaluation.loss, ".4f")],
        [_("accuracy"), figure(evaluation.accuracy, ".2%")],
        [_("calibration error"), figure(evaluation.calibration_error, ".2%")],
    ]
    if recorded:
        before = (RECORD, figure(recorded["loss"], ".4f"), figure(recorded["accuracy"], ".2%"), "")
        figures = [[*cells, cell] for cells, cell in zip(figures, before, strict=True)]
    recall, precision = _("recall"), _("precision")
    wide = max(7, len(recall))
    digits = "".join(f"{digit:5}" for digit in range(DIGITS))
    heads = [f"{number} {name}" for number, name in enumerate(trained.classes)]
    if trained.dataset == "mnist":
        heads = [_("digit {digit}").format(digit=digit) for digit in range(DIGITS)]
    width = max(9, *map(len, heads))
    lines = [
        f"{trained.name}: {trained.checkpoint}" if trained.result else trained.name,
        "",
        *(_row(*cells) for cells in figures),
        "",
        _("predicted").ljust(width) + digits + f"  {recall:>{wide}}  {precision:>9}",
    ]
    confusion = evaluation.confusion
    for head, row, *of_class in zip(heads, confusion.counts, confusion.recall, confusion.precision, strict=True):
        found, right = (_percent(fraction) for fraction in of_class)
        cells = "".join(f"{count or '.':>5}" for count in row.tolist())
        lines.append(f"{head:{width}}{cells}  {found:>{wide}}  {right:>9}")
    return "\n".join(lines)


def _row(name: str, now: str, before: str = "") -> str:
    width = len(_("calibration error"))
    return f"{name:{width}}  {now:>10}  {before:>11}".rstrip()


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else figure(fraction, ".2%")


def summary(trained: Trained, evaluation: Evaluation, recorded: dict[str, float] | None) -> dict[str, Any]:
    """Return an evaluation as plain values for JSON; numbers that are not finite become None."""
    result, confusion = trained.result, evaluation.confusion
    return {
        "checkpoint": str(trained.checkpoint),
        "label": result and result.label,
        "id": result and result.id,
        "seed": result and result.seed,
        "test": {
            "loss": evaluation.loss if math.isfinite(evaluation.loss) else None,
            "accuracy": evaluation.accuracy,
            "images": int(confusion.counts.sum()),
        },
        "calibration_error": evaluation.calibration_error,
        "temperature": trained.temperature,
        "recorded": recorded,
        "agrees": None if recorded is None else evaluation.agrees(recorded),
        "classes": trained.classes,
        "precision": confusion.precision,
        "recall": confusion.recall,
        "confusion_matrix": confusion.counts.tolist(),
    }
