"""The multilayer perceptron: images to logits."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mnist_mlp.activation import ACTIVATIONS, one_per_layer

PIXELS = 28 * 28
DIGITS = 10


class MLP(nn.Module):
    """A multilayer perceptron that ends in logits; the softmax is part of the loss.

    Args:
        hidden_sizes: the number of units of each hidden layer.
        activation: one name of `ACTIVATIONS` for all hidden layers, or one for each.
        init: "glorot" for what Keras's Dense does (uniform in ±sqrt(6 / (fan_in + fan_out)), Glorot and Bengio 2010,
            with zero biases), or "torch" for what torch.nn.Linear does.

    Raises:
        ValueError: the activations are not one, nor as many as the hidden layers.
    """

    def __init__(self, hidden_sizes: list[int], activation: str | list[str] = "relu", init: str = "glorot") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = PIXELS
        for size, name in zip(hidden_sizes, one_per_layer(activation, len(hidden_sizes)), strict=True):
            layers += [nn.Linear(inputs, size), getattr(nn, ACTIVATIONS[name])()]
            inputs = size
        layers.append(nn.Linear(inputs, DIGITS))
        self.layers = nn.Sequential(*layers)
        if init == "glorot":
            for layer in self.linear_layers():
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def linear_layers(self) -> list[nn.Linear]:
        """The layers that have weights, from the pixels to the logits."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, images: Float[Tensor, " batch *pixels"]) -> Float[Tensor, "batch 10"]:
        """Compute the logits of a batch of images, flat (784) or not (28 × 28)."""
        logits: torch.Tensor = self.layers(images.flatten(1))
        return logits
