"""A look into a network: its gradients and activations on the same training images in every run and epoch."""

from collections.abc import Iterator
from contextlib import contextmanager

import lightning
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.classifier import MNISTClassifier

SAMPLES = 250


@torch.inference_mode(False)
def training_images(
    trainer: lightning.Trainer, model: MNISTClassifier
) -> tuple[Float[Tensor, "samples 784"], Int64[Tensor, " samples"]]:
    """Give some training images with values in [0, 1], in the network's precision, and their labels.

    They depend on the protocol alone, so that runs of all batch sizes and seeds can be compared.
    """
    data = trainer.datamodule  # type: ignore[attr-defined] # Lightning sets it
    rows = torch.as_tensor(data.protocol.training(0, 0)[:SAMPLES], device=model.device)
    images = data.training_records.images.index_select(0, rows)
    precision = next(model.network.parameters()).dtype
    return images.to(precision).div_(255), data.training_records.labels.index_select(0, rows)


@torch.inference_mode(False)
def gradients(
    model: MNISTClassifier, images: Float[Tensor, "samples 784"], labels: Int64[Tensor, " samples"]
) -> dict[str, Tensor]:
    """Give the gradient of the mean loss with respect to each parameter of the network, by its name."""
    parameters = dict(model.network.named_parameters())
    with torch.enable_grad(), evaluating(model.network):
        loss = functional.cross_entropy(model.network(images), labels)
        found = torch.autograd.grad(loss, list(parameters.values()))
    return dict(zip(parameters, found, strict=True))


def norm(gradients: dict[str, Tensor]) -> float:
    """Give the Euclidean norm of all gradients together."""
    return float(torch.stack([gradient.norm() for gradient in gradients.values()]).norm())


@torch.no_grad()
def activations(model: MNISTClassifier, images: Float[Tensor, "samples 784"]) -> list[Float[Tensor, "samples units"]]:
    """Give what each hidden layer's activation function puts out, from the first layer on."""
    found, values = [], images.flatten(1)
    with evaluating(model.network):
        for layer in model.network.layers:
            values = layer(values)
            if type(layer).__name__ in ACTIVATIONS.values():
                found.append(values)
    return found


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Let nothing be dropped, nor a batch's statistics be kept, for a while."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
