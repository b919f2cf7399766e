"""The callback that measures the gradient noise scale, which says from which batch on a larger one brings little."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from jaxtyping import Float
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from typing_extensions import override

from mnist_mlp import files
from mnist_mlp.config.valid import Numbers, problem_of
from mnist_mlp.tracking import probe

FILE = "noise_scale.csv"
COLUMNS = ("epoch", "noise_scale", "squared_norm", "variance")


class Estimate(NamedTuple):
    """Of the gradient of the loss of a single sample: the squared norm of its mean, and its summed variance."""

    squared_norm: float
    variance: float

    @property
    def scale(self) -> float | None:
        """The noise scale in samples; None if the noise leaves nothing of the mean, so that more samples are needed."""
        return self.variance / self.squared_norm if self.squared_norm > 0 else None


def estimate(gradients: Iterable[Float[Tensor, " parameters"]], size: int) -> Estimate:
    """Estimate without bias, from the gradients of batches and that of all of them together.

    McCandlish et al. 2018, "An empirical model of large-batch training", appendix A.1.

    Args:
        gradients: each of the mean loss of a batch; two or more.
        size: the samples of each batch.
    """
    total, squares = torch.zeros((), dtype=torch.float64), []
    for gradient in gradients:
        exact = gradient.cpu().double()  # the last digits of a small difference count
        total = total + exact
        squares.append(float(exact.square().sum()))
    samples = size * len(squares)
    small, big = sum(squares) / len(squares), float((total / len(squares)).square().sum())
    return Estimate((samples * big - size * small) / (samples - size), (small - big) / (1 / size - 1 / samples))


class NoiseScale(Callback):
    """Estimates the noise scale after each epoch, for the loggers and for `noise_scale.csv` in the run's folder.

    The loss is the cross-entropy without dropout, noise or label smoothing. The estimate needs many images: where all
    of them give 2,300 after the baseline's last epoch, a thousand give anything from 1,400 up, or nothing.

    Args:
        samples: the number of training images; None takes all, which takes about as long as an epoch of batches of 100.
        batch: the samples of the smaller batches, at most half of all; 1 takes the gradient of each sample.

    Raises:
        ValueError: a number is too small.
    """

    def __init__(self, samples: int | None = None, batch: int = 100) -> None:
        for name, value, least in (("samples", samples, 2), ("batch", batch, 1)):
            if value is not None and (problem := problem_of(name, value, Numbers(least, integer=True))):
                raise ValueError(problem)
        self.samples = samples
        self.batch = batch

    @override
    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        rows = probe.training_rows(trainer, pl_module)[: self.samples]
        size = min(self.batch, len(rows) // 2)
        batches = (part for part in torch.split(rows, size) if len(part) == size)
        of_each = (probe.gradients(pl_module, *probe.images_of(trainer, pl_module, part)) for part in batches)
        found = estimate((torch.cat([each.flatten() for each in part.values()]) for part in of_each), size)
        epoch = trainer.current_epoch + 1
        if found.scale is not None:
            for logger in trainer.loggers:
                logger.log_metrics({"optimizer/noise_scale": found.scale}, epoch)
        if trainer.is_global_zero:
            write(Path(trainer.default_root_dir) / FILE, epoch, found)


def write(path: Path, epoch: int, found: Estimate) -> None:
    """Add an epoch to the file of a run, which may have been resumed before an epoch that the file has."""
    before = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    rows = [row for row in before if int(row.partition(",")[0]) < epoch]
    scale = "" if found.scale is None else found.scale
    row = f"{epoch},{scale},{found.squared_norm},{found.variance}"
    files.write(path, "\n".join([",".join(COLUMNS), *rows, row]) + "\n")
