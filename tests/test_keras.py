"""The port is right: from the same weights, on the same batches, training follows Keras itself."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.compose import compose, composing, to_config
from mnist_mlp.data import MNISTDataModule

SLOW = pytest.mark.slow  # the rest of a table, of which the test command takes a row or a column
ROWS = [(100, 50), *(pytest.param(*row, marks=SLOW) for row in ((1, 50), (50_000, 2)))]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    # Keras computes 1 - beta_2 ** step with a relative error of 6e-5 in float32, and training amplifies any difference;
    # in float64 only what is really different shows. The learning rate it keeps in float32 all the same: the tests use
    # powers of two.
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


class Losses(Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(outputs["loss"]))


def configured(*overrides: str) -> dict[str, Any]:
    with composing():
        return to_config(compose(list(overrides))).optimizer


def keras_optimizer_like(optimizer: dict[str, Any]) -> keras.optimizers.Optimizer:
    lr, name = optimizer["lr"], optimizer["_target_"].rsplit(".", 1)[-1]
    if name == "SGD":
        return keras.optimizers.SGD(lr, momentum=optimizer.get("momentum", 0.0))
    if name == "RMSprop":
        return keras.optimizers.RMSprop(lr, rho=optimizer["alpha"], epsilon=optimizer["eps"] ** 2)
    beta_1, beta_2 = optimizer["betas"]
    return keras.optimizers.Adam(lr, beta_1, beta_2)


def keras_network_like(model: MNISTClassifier, activation: str) -> keras.Model:
    ours = {
        "leaky_relu": keras.layers.LeakyReLU(negative_slope=0.01),
        "gaussian": lambda z: keras.ops.exp(-0.5 * z * z),
        "inverted_gaussian": lambda z: 1 - keras.ops.exp(-0.5 * z * z),
    }
    function = ours.get(activation, activation)
    network = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(40, function),
            keras.layers.Dense(30, function),
            keras.layers.Dense(10),
        ]
    )
    network.set_weights(
        [
            weights
            for layer in model.network.linear_layers()
            for weights in (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy().copy())
        ]
    )
    return network


def follow_keras(optimizer: dict[str, Any], activation: str, batch: int, steps: int) -> None:
    torch.manual_seed(1)
    model = MNISTClassifier({"hidden_sizes": [40, 30], "activation": activation}, optimizer)
    reference = keras_network_like(model, activation)
    keras_optimizer = keras_optimizer_like(optimizer)
    loss_function = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    reference.compile(keras_optimizer, loss_function, metrics=["accuracy"])

    data = MNISTDataModule(batch=batch, steps_per_epoch=steps)
    seen = Losses()
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision="64-true",
        max_epochs=1,
        callbacks=[seen],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, data)

    losses, correct = [], 0
    for step, (images, labels) in enumerate(data.training_batches(0), start=1):
        if "betas" in optimizer:  # torch adds eps after the correction of the second moment's bias, Keras before it
            keras_optimizer.epsilon = optimizer["eps"] * math.sqrt(1 - optimizer["betas"][1] ** step)
        reference.reset_metrics()
        loss, accuracy = reference.train_on_batch(images.double().numpy(), labels.numpy())
        losses.append(float(loss))
        correct += round(float(accuracy) * len(labels))
    np.testing.assert_allclose(seen.losses, losses, rtol=1e-5, atol=1e-5)
    samples = len(data.training_batches(0).rows)
    assert model.metrics["train"].accuracy == pytest.approx(correct / samples, abs=1e-9)
    for layer, kernel, bias in zip(
        model.network.linear_layers(), reference.weights[::2], reference.weights[1::2], strict=True
    ):
        np.testing.assert_allclose(layer.weight.detach().numpy().T, keras.ops.convert_to_numpy(kernel), atol=1e-5)
        np.testing.assert_allclose(layer.bias.detach().numpy(), keras.ops.convert_to_numpy(bias), atol=1e-5)


@pytest.mark.parametrize(("batch", "steps"), [(1, 200), (100, 200), (10_000, 6)])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_adam_follows_keras(activation: str, batch: int, steps: int) -> None:
    follow_keras(configured(f"lr={2**-10}"), activation, batch, steps)


@pytest.mark.parametrize(("batch", "steps"), ROWS)
@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu", "sigmoid", "tanh"}))
def test_adam_follows_keras_with_the_other_activations(activation: str, batch: int, steps: int) -> None:
    follow_keras(configured(f"lr={2**-10}"), activation, batch, steps)


@pytest.mark.parametrize(("batch", "steps"), [(1, 50), (100, 50), (50_000, 2)])
@pytest.mark.parametrize("activation", ["relu", *(pytest.param(name, marks=SLOW) for name in ("sigmoid", "tanh"))])
@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=sgd", f"lr={2**-7}"],
        ["optimizer=momentum", f"lr={2**-7}"],
        # Keras adds epsilon inside the square root and torch outside: the same only where both are negligible.
        ["optimizer=rmsprop", "optimizer.eps=1e-16", f"lr={2**-10}"],
    ],
)
def test_the_other_optimizers_follow_keras(overrides: list[str], activation: str, batch: int, steps: int) -> None:
    follow_keras(configured(*overrides), activation, batch, steps)


def test_the_first_weights_are_distributed_as_keras_distributes_them() -> None:
    torch.manual_seed(0)
    ours = MNISTClassifier({"hidden_sizes": [200]}, configured()).network.linear_layers()[0].weight.detach().numpy()
    dense = keras.layers.Dense(200)
    dense.build((None, 784))
    theirs = keras.ops.convert_to_numpy(dense.kernel)
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.001)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
