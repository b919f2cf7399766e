"""The callback that logs pictures and histograms of a network to TensorBoard, after its first and its last epoch."""

import warnings
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from PIL.Image import Image
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from mnist_mlp import images as drawings
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.tracking import probe

BINS = 64


class Snapshots(Callback):
    """Logs to TensorBoard only what the arguments enable.

    Args:
        pictures: the worst mistakes on the test images, the confusion matrix, and the first layer's weights.
        precision_recall: a precision-recall curve for each class, on the test images.
        histograms: of each layer's weights, and of its gradients and activations for some training images.
        graph: the network's graph, once.
    """

    def __init__(
        self,
        pictures: bool = True,
        precision_recall: bool = False,
        histograms: bool = False,
        graph: bool = False,
    ) -> None:
        self.pictures = pictures
        self.precision_recall = precision_recall
        self.histograms = histograms
        self.graph = graph

    @override
    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == 0 and trainer.max_epochs != 1:
            trainer.datamodule.setup("test")  # type: ignore[attr-defined] # Lightning sets it
            self._log(trainer, pl_module, step=1, logits=None)

    @override
    def on_test_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        labels = trainer.datamodule.test_records.labels  # type: ignore[attr-defined] # Lightning sets it
        self._test_logits: Tensor | None = outputs if len(outputs) == len(labels) else None

    @override
    def on_test_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        self._log(trainer, pl_module, trainer.current_epoch, self._test_logits)

    def _log(self, trainer: lightning.Trainer, model: MNISTClassifier, step: int, logits: Tensor | None) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                writer = logger.experiment
                if self.pictures or self.precision_recall:
                    self._log_test(writer, trainer, model, step, logits)
                if self.pictures and (layers := model.network.linear_layers()):
                    first_layer = layers[0].weight.detach().float().cpu().numpy()
                    _picture(writer, "weights/first_layer", drawings.weights(first_layer), step)
                if self.histograms:
                    self._log_layers(writer, trainer, model, step)
                if self.graph and step == 1:
                    _add_graph(writer, model, probe.training_images(trainer, model)[0][:1])

    def _log_test(
        self,
        writer: SummaryWriter,
        trainer: lightning.Trainer,
        model: MNISTClassifier,
        step: int,
        logits: Tensor | None,
    ) -> None:
        records = trainer.datamodule.test_records  # type: ignore[attr-defined] # Lightning sets it
        if logits is None:
            logits = _logits(model, records.images)
        probabilities = logits.softmax(dim=1).float().cpu().numpy()
        labels, classes = records.labels.cpu().numpy(), model.data_set.get("classes", drawings.CLASSES)
        if self.pictures:
            worst = drawings.mistakes(records.images.cpu().numpy(), labels, probabilities, classes)
            confusion = drawings.confusion_matrix(labels, probabilities.argmax(axis=1), classes)
            _picture(writer, "mistakes/test", worst, step)
            _picture(writer, "confusion_matrix/test", confusion, step)
        if self.precision_recall:
            names = classes if drawings.names_of(classes) else [f"digit_{digit}" for digit in classes]
            for number, name in enumerate(names):
                writer.add_pr_curve(f"test/{name}", labels == number, probabilities[:, number], step)

    def _log_layers(self, writer: SummaryWriter, trainer: lightning.Trainer, model: MNISTClassifier, step: int) -> None:
        images, labels = probe.training_images(trainer, model)
        gradients = probe.gradients(model, images, labels)
        parameters = dict(model.network.named_parameters())
        for name, title in model.network.named_weights().items():
            _histogram(writer, f"weights/{title}", parameters[name].detach(), step)
            if name in gradients:
                _histogram(writer, f"gradients/{title}", gradients[name], step)
        for number, values in enumerate(probe.activations(model, images), start=1):
            _histogram(writer, f"activations/layer_{number}", values, step)


@torch.no_grad()
def _logits(model: MNISTClassifier, images: Tensor) -> Tensor:
    precision = next(model.network.parameters()).dtype
    # In parts that fit into the cache.
    with probe.evaluating(model.network):
        return torch.cat([model.network(part.to(precision).div_(255)) for part in torch.split(images, 1_000)])


def _picture(writer: SummaryWriter, name: str, picture: Image, step: int) -> None:
    image = Summary.Image(height=picture.height, width=picture.width, encoded_image_string=drawings.png(picture))
    assert writer.file_writer is not None  # it was opened with the run
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=name, image=image)]), step)


def _add_graph(writer: SummaryWriter, model: MNISTClassifier, image: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.trace")  # which torch 2.14 still does it by
        writer.add_graph(model.network.layers, image)


def _histogram(writer: SummaryWriter, name: str, values: Tensor, step: int) -> None:
    finite: Any = values[values.isfinite()].float().cpu().numpy()
    if len(finite) and np.ptp(finite) > 0:
        writer.add_histogram(name, finite, step, bins=BINS)
