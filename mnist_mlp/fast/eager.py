"""Optimizer steps one after the other, in plain PyTorch."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.optim import Optimizer

from mnist_mlp.callbacks.averaging import Average
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.data import Chunk
from mnist_mlp.fast.kernel import Steps


class Eager:
    """Takes optimizer steps one after the other.

    Args:
        classifier: computes the loss and the correct predictions.
        optimizer: of its parameters.
        average: of its weights, to be updated after each step.
    """

    title = "PyTorch"

    def __init__(self, classifier: MNISTClassifier, optimizer: Optimizer, average: Average | None = None) -> None:
        self.classifier = classifier
        self.optimizer = optimizer
        self.average = average

    def __call__(self, chunk: Chunk, rates: list[float]) -> Steps:
        """Take the steps of a chunk; on the CPU, stop after a step whose loss is not finite."""
        losses, correct = [], []
        with options(self.optimizer, fused=True):
            for rows, rate in zip(torch.split(chunk.rows, chunk.size), rates, strict=True):
                self.optimizer.param_groups[0]["lr"] = rate
                loss, right = self.step(chunk, rows)
                if self.average:
                    self.average.update(self.classifier)
                losses.append(loss)
                correct.append(right)
                if loss.device.type == "cpu" and not math.isfinite(loss):
                    break
        return Steps(torch.stack(losses), torch.stack(correct))

    def step(self, chunk: Chunk, rows: Int64[Tensor, " samples"]) -> tuple[Tensor, Tensor]:
        """Take one step; return the sum of its samples' losses and the number of correct predictions."""
        images = chunk.records.images.index_select(0, rows).float().div_(255)
        labels = chunk.records.labels.index_select(0, rows)
        scores: list[tuple[Tensor, Tensor]] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            loss_sum, correct = self.classifier.score(images, labels, self.classifier.label_smoothing)
            loss = loss_sum * (1 / len(rows))
            loss.backward()  # type: ignore[no-untyped-call] # torch does not annotate it
            self.classifier.clip_gradient()
            scores.append((loss_sum.detach(), correct))
            return loss

        self.optimizer.step(closure)  # type: ignore[arg-type] # torch accepts tensors, though it declares floats
        return scores[0]


@contextmanager
def options(optimizer: Optimizer, **values: bool) -> Iterator[None]:
    """Set those options that an optimizer has, temporarily: they depend on the machine and are not for checkpoints."""
    before = [dict(group) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group.update({name: value for name, value in values.items() if name in group})
    try:
        yield
    finally:
        for group, options in zip(optimizer.param_groups, before, strict=True):
            group.update({name: options[name] for name in values if name in group})
