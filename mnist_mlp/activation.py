"""The activations by name. Free of torch, so that a command line can be checked before torch is imported."""

from mnist_mlp.language import ngettext

ACTIVATIONS = {
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "gaussian": "Gaussian",
    "inverted_gaussian": "InvertedGaussian",
}
"""From a name in the configuration to that of the class, of torch.nn or of mlp.py, and of the struct in kernel.cpp."""


def one_per_layer(activation: str | list[str], layers: int) -> list[str]:
    """Return the activation of each hidden layer, given one name for all or a list with one for each.

    Raises:
        ValueError: the length of the list is not `layers`.
    """
    if isinstance(activation, str):
        return [activation] * layers
    if len(activation) != layers:
        raise ValueError(
            ngettext(
                "activation names {given} ({names}), but hidden_sizes has {layers} hidden layer: give one name for "
                "all, or one for each",
                "activation names {given} ({names}), but hidden_sizes has {layers} hidden layers: give one name for "
                "all, or one for each",
                layers,
            ).format(given=len(activation), names=", ".join(activation), layers=layers)
        )
    return list(activation)
