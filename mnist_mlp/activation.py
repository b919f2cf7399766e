"""The activations by name. Free of torch, so that a command line can be checked before torch is imported."""

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
            f"activation names {len(activation)} ({', '.join(activation)}), but hidden_sizes has {layers} hidden "
            f"layer{'s' if layers != 1 else ''}: give one name for all, or one for each"
        )
    return list(activation)
