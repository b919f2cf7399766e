"""A run that was trained, from Python."""

from dataclasses import asdict
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from mnist_mlp.config.schema import Config
from mnist_mlp.errors import Problem, needing
from mnist_mlp.images import PIXELS
from mnist_mlp.language import _, figure
from mnist_mlp.runs.folder import Run

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from mnist_mlp.inference.load import Trained


class Predictions(NamedTuple):
    """What a network predicts.

    Attributes:
        labels: the most probable class of each image.
        probabilities: of the ten classes.
    """

    labels: Int64[np.ndarray, " images"]
    probabilities: Float64[np.ndarray, "images 10"]


class TrainedRun:
    """A run, as its record was when it was trained or found.

    Args:
        config: of the run, with the label of its folder as its name.

    Attributes:
        folder: with the record, the log, the curves and the checkpoints.
        result: the record; None if it has none, as with `trainer.fast_dev_run=True`, or if it failed before it began.
    """

    def __init__(self, config: Config) -> None:
        run = Run(config)
        self.config = config
        self.id, self.label, self.seed = run.id, run.label, config.seed
        self.folder: Path = run.folder
        self.result = run.result()

    @property
    def status(self) -> str:
        """Completed, limited, diverged, failed or interrupted; "not run" without a record."""
        return self.result.status if self.result else "not run"

    @cached_property
    def history(self) -> "pd.DataFrame":
        """A row for each epoch: losses in nats, accuracies as fractions, and the time in seconds."""
        with needing("report"):
            import pandas as pd

            from mnist_mlp.interactive.tables import EPOCH

        return pd.DataFrame([asdict(epoch) for epoch in self.result.epochs] if self.result else [], columns=EPOCH)

    @property
    def test(self) -> dict[str, float] | None:
        """The loss in nats and the accuracy as a fraction on the test images; None if they were not tested."""
        return self.result.test if self.result else None

    @cached_property
    def network(self) -> "nn.Module":
        """The trained network on the CPU, in evaluation mode: images with values in [0, 1] to ten logits.

        Raises:
            Problem: the run is not completed, or its checkpoint is gone or corrupt.
        """
        return self._trained.model.network

    @cached_property
    def _trained(self) -> "Trained":
        from mnist_mlp.inference.load import load

        return load(str(self.folder))

    def predict(self, images: Any) -> Predictions:
        """Predict the classes of images.

        Args:
            images: an array or a tensor, of one image or of several: 28 × 28 or 784 pixels each, white on black as
                MNIST's, either whole numbers from 0 to 255 or fractions in [0, 1]. Or the path of an image file, whose
                digits are found as `mnist-mlp predict` does.

        Raises:
            Problem: these are no such images, or the run is not completed.
        """
        import torch

        network = self._trained
        if isinstance(images, (str, Path)):
            from mnist_mlp.inference.predict import digits_of, probabilities

            found, problems = digits_of(Path(images).expanduser(), network.dataset)
            if problems:
                raise problems[0]
            of_each = np.array(probabilities(network, [image for name, image in found]))
        else:
            of_each = network.probabilities(torch.from_numpy(_pixels(images))).numpy()
        return Predictions(of_each.argmax(axis=1), of_each)

    def __repr__(self) -> str:
        """Name the run with its status and its test accuracy."""
        said = _("run {label}, seed {seed}: {status}")
        said = said.format(label=self.label, seed=self.seed, status=_(self.status))
        if self.test:
            said += _(", test accuracy {accuracy}").format(accuracy=figure(self.test["accuracy"], ".2%"))
        return f"<{said}>"

    def _repr_html_(self) -> str:
        rows = self.history.to_html(index=False, float_format="{:.4f}".format)
        return f"<p>{escape(repr(self)[1:-1])}<br><code>{escape(str(self.folder))}</code></p>{rows}"


def _pixels(images: Any) -> Float64[np.ndarray, "images 784"]:
    try:
        values = np.asarray(images.detach().cpu() if hasattr(images, "detach") else images)
    except ValueError as error:
        raise Problem(_("images of different shapes: those of one call have the same")) from error
    if values.size == 0 or values.size % PIXELS or not {values.shape[-1:], values.shape[-2:]} & {(PIXELS,), (28, 28)}:
        said = _("images of the shape {shape}: one or more of 784 or 28 by 28 pixels are wanted")
        raise Problem(said.format(shape=values.shape))
    if values.dtype.kind not in "uif":
        raise Problem(_("images of the type {type}: numbers are wanted").format(type=values.dtype))
    low, high, greatest = values.min(), values.max(), 1.0 if values.dtype.kind == "f" else 255.0
    if not (low >= 0 and high <= greatest):
        said = _("images with values from {low} to {high}: fractions in [0, 1], or whole numbers to 255, are wanted")
        raise Problem(said.format(low=figure(low, "g"), high=figure(high, "g")))
    return (values.reshape(-1, PIXELS) / greatest).astype(np.float32)
