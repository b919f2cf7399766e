"""The activations by name. Free of torch, so that a command line is checked before torch is imported."""

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
"""The name in a configuration, and the class that it stands for: of torch.nn, or of mlp.py where torch has none."""


def one_per_layer(activation: str | list[str], layers: int) -> list[str]:
    """Give the activation of each of `layers` hidden layers, from one name for all or a list with one for each.

    Raises:
        ValueError: the list has another length; the message names both lengths.
    """
    if isinstance(activation, str):
        return [activation] * layers
    if len(activation) != layers:
        raise ValueError(
            f"activation names {len(activation)} ({', '.join(activation)}), but hidden_sizes has {layers} hidden "
            f"layer{'s' if layers != 1 else ''}: give one name for all, or one for each"
        )
    return list(activation)
