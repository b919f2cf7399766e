"""The multilayer perceptron: images to logits."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from mnist_mlp.activation import ACTIVATIONS, one_per_layer
from mnist_mlp.images import DIGITS, PIXELS

NORMALIZATIONS: dict[str, type[nn.BatchNorm1d] | type[nn.LayerNorm]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
"""From a name in the configuration to the class of torch.nn."""


class Noise(nn.Module):
    """Adds Gaussian noise during training, and nothing during evaluation.

    Args:
        deviation: the standard deviation.
    """

    def __init__(self, deviation: float) -> None:
        super().__init__()
        self.deviation = deviation

    @override
    def extra_repr(self) -> str:
        return f"{self.deviation}"

    @override
    def forward(self, values: Float[Tensor, "batch units"]) -> Float[Tensor, "batch units"]:
        return values + self.deviation * torch.randn_like(values) if self.training else values


class Gaussian(nn.Module):
    """The activation exp(-z² / 2): a unit is active near a hyperplane instead of on one side of it.

    Hartman et al. 1990, "Layered neural networks with Gaussian hidden units as universal approximations".
    """

    @override
    def forward(self, values: Float[Tensor, "batch units"]) -> Float[Tensor, "batch units"]:
        return torch.exp(-0.5 * values.square())


class InvertedGaussian(nn.Module):
    """The activation 1 - exp(-z² / 2): a unit is inactive near a hyperplane.

    With small weights its output is near zero at first, unlike that of `Gaussian`, which is near one.
    As a loss it is Welsch's (Dennis and Welsch 1978, "Techniques for nonlinear least squares and robust regression").
    """

    @override
    def forward(self, values: Float[Tensor, "batch units"]) -> Float[Tensor, "batch units"]:
        return -torch.expm1(-0.5 * values.square())


OWN: dict[str, type[nn.Module]] = {"gaussian": Gaussian, "inverted_gaussian": InvertedGaussian}
"""The activations that torch.nn lacks, by their names in a configuration."""


class MLP(nn.Module):
    """A multilayer perceptron whose outputs are logits; the softmax is part of the loss.

    Args:
        hidden_sizes: the number of units of each hidden layer.
        activation: one name of `ACTIVATIONS` for all hidden layers, or one for each.
        init: "glorot", the default of Keras's Dense (uniform in ±sqrt(6 / (fan_in + fan_out)), Glorot and Bengio 2010,
            and zero biases), "glorot_sigmoid", the same with four times the range before a sigmoid, whose slope at 0 is
            a quarter of tanh's (Bengio 2012, "Practical recommendations for gradient-based training of deep
            architectures"), or "torch", the default of torch.nn.Linear.
        normalization: before each activation: "batch" (Ioffe and Szegedy 2015), "layer" (Ba et al. 2016), or "none".
        noise: standard deviation of Gaussian noise on the pixels and before each activation (Rasmus et al. 2015).
        dropout: the probability that a hidden unit is dropped (Srivastava et al. 2014).
        input_dropout: the probability that a pixel is dropped.

    Raises:
        ValueError: the number of activations is neither one nor that of the hidden layers.
    """

    def __init__(
        self,
        hidden_sizes: list[int],
        activation: str | list[str] = "relu",
        init: str = "glorot",
        normalization: str = "none",
        noise: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if input_dropout:
            layers.append(nn.Dropout(input_dropout))
        if noise:
            layers.append(Noise(noise))
        inputs, names = PIXELS, one_per_layer(activation, len(hidden_sizes))
        for size, name in zip(hidden_sizes, names, strict=True):
            layers.append(nn.Linear(inputs, size))
            if normalization != "none":
                layers.append(NORMALIZATIONS[normalization](size))
            if noise:
                layers.append(Noise(noise))
            layers.append((OWN.get(name) or getattr(nn, ACTIVATIONS[name]))())
            if dropout:
                layers.append(nn.Dropout(dropout))
            inputs = size
        layers.append(nn.Linear(inputs, DIGITS))
        self.layers = nn.Sequential(*layers)
        if init != "torch":
            for layer, name in zip(self.linear_layers(), [*names, "softmax"], strict=True):
                wider = init == "glorot_sigmoid" and name == "sigmoid"
                nn.init.xavier_uniform_(layer.weight, gain=4 if wider else 1)
                nn.init.zeros_(layer.bias)

    def linear_layers(self) -> list[nn.Linear]:
        """Return the linear layers, from the pixels to the logits."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def named_weights(self) -> dict[str, str]:
        """Return the names of the parameters whose histograms are logged, with those that they are logged under."""
        linear = self.linear_layers()
        places = [place for place, layer in enumerate(self.layers) if layer in linear]
        return {f"layers.{place}.weight": f"layer_{number}" for number, place in enumerate(places, start=1)}

    @override
    def forward(self, images: Float[Tensor, " batch *pixels"]) -> Float[Tensor, "batch 10"]:
        """Compute the logits of a batch of images, which may be flat (784) or not (28 × 28)."""
        logits: torch.Tensor = self.layers(images.flatten(1))
        return logits
