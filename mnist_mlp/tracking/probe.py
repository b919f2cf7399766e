"""The gradients and activations of a network, for the same training images in every run and epoch."""

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
    """Return some training images, with values in [0, 1] in the network's precision, and their labels.

    They depend on the protocol alone, so that runs with other batch sizes and seeds are comparable.
    """
    return images_of(trainer, model, training_rows(trainer, model)[:SAMPLES])


def training_rows(trainer: lightning.Trainer, model: MNISTClassifier) -> Int64[Tensor, " samples"]:
    """Return the numbers of the training images, in an order that depends on the protocol alone."""
    protocol = trainer.datamodule.protocol  # type: ignore[attr-defined] # Lightning sets it
    return torch.as_tensor(protocol.training(0, 0), device=model.device)


@torch.inference_mode(False)
def images_of(
    trainer: lightning.Trainer, model: MNISTClassifier, rows: Int64[Tensor, " samples"]
) -> tuple[Float[Tensor, "samples 784"], Int64[Tensor, " samples"]]:
    """Return the training images of some rows, with values in [0, 1] in the network's precision, and their labels."""
    records = trainer.datamodule.training_records  # type: ignore[attr-defined] # Lightning sets it
    precision = next(model.network.parameters()).dtype
    return records.images.index_select(0, rows).to(precision).div_(255), records.labels.index_select(0, rows)


@torch.inference_mode(False)
def gradients(
    model: MNISTClassifier, images: Float[Tensor, "samples 784"], labels: Int64[Tensor, " samples"]
) -> dict[str, Tensor]:
    """Return the gradient of the mean loss with respect to each parameter of the network, by the parameter's name."""
    parameters = {name: each for name, each in model.network.named_parameters() if each.requires_grad}
    with torch.enable_grad(), evaluating(model.network):
        loss = functional.cross_entropy(model.network(images), labels)
        of_each = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
    return dict(zip(parameters, of_each, strict=True))


def norm(gradients: dict[str, Tensor]) -> float:
    """Return the Euclidean norm of all gradients together."""
    return float(torch.stack([gradient.norm() for gradient in gradients.values()]).norm())


@torch.no_grad()
def activations(model: MNISTClassifier, images: Float[Tensor, "samples 784"]) -> list[Float[Tensor, "samples units"]]:
    """Return the output of each module that is an activation function, from the first layer on."""
    outputs: list[Tensor] = []
    modules = [each for each in model.network.modules() if type(each).__name__ in ACTIVATIONS.values()]
    hooks = [each.register_forward_hook(lambda *of_call: outputs.append(of_call[-1])) for each in modules]
    try:
        with evaluating(model.network):
            model.network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return [output.flatten(1) for output in outputs]


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Set evaluation mode temporarily: without dropout, and without updates of batch statistics."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
