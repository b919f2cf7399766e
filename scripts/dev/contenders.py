"""The contenders of benchmark.py, each as experts in it would write it, and the process in which one runs.

    python scripts/dev/contenders.py jax mnist.npz

For each line of standard input with a batch size, it measures and prints a line of JSON.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

STEPS = {1: 2000, 25: 1080, 100: 540, 10_000: 5}
"""Optimizer steps in a measurement, by batch size, for contenders whose epochs are too long."""
PASSES = {1: 1, 25: 1, 100: 1, 10_000: 4}
"""Consecutive measurements, of which the fastest counts: five steps of 10,000 end before the processor speeds up."""
ROWS = 54_000
SIZES = [784, 200, 200, 10]

Measure = Callable[[], float]
"""Takes some optimizer steps, and returns the mean seconds of one."""


class Here:
    """This project as train.py runs it, with TensorBoard and checkpoints: the steps of an epoch, and full epochs."""

    title = "**this project**"
    needs = ("torch", "lightning")

    def __init__(self, data: Path) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.number = 0

    def prepare(self, batch: int) -> Measure:
        """Compose the run."""
        from mnist_mlp.config.compose import compose_run, composing

        overrides = ["epochs=3", f"batch={batch}", "trainer=cpu", f"runs_dir={self.folder.name}"]
        if batch == 10_000:
            overrides.append("data.steps_per_epoch=5")  # only full batches, as for the others
        with composing():
            self.config = compose_run(overrides)
        self.config.callbacks["clock"] = {"_target_": f"{__name__}.clock"}
        steps = self.config.data.steps_per_epoch or ROWS // batch
        return lambda: self.train() / steps

    def train(self) -> float:
        """Train again from the start; return the seconds of an epoch's steps."""
        from mnist_mlp.training import train

        self.config.overwrite = True
        output, sys.stdout = sys.stdout, sys.stderr
        try:
            train(self.config)
        finally:
            sys.stdout = output
        (result,) = Path(self.folder.name).glob("*/seed0/result.json")
        epochs = json.loads(result.read_text(encoding="utf-8"))["epochs"]
        self.epoch_seconds = min(epoch["seconds"] for epoch in epochs[1:])
        result.unlink()
        return min(CLOCK[-2:])


CLOCK: list[float] = []


def clock() -> Any:
    """Make a callback that records the seconds from the start of an epoch to the start of its validation."""
    from lightning.pytorch.callbacks import Callback

    class Clock(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self.started = time.perf_counter()

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            CLOCK.append(time.perf_counter() - self.started)

    return Clock()


class PlainLightning:
    """The usual way: a DataLoader over a TensorDataset, torchmetrics, and self.log at each step."""

    title = "plain Lightning"
    needs = ("torch", "lightning", "torchmetrics")

    def __init__(self, data: Path) -> None:
        import torch
        from torch.utils.data import TensorDataset

        images, labels = load(data)
        self.dataset = TensorDataset(torch.from_numpy(images).float() / 255, torch.from_numpy(labels))

    def prepare(self, batch: int) -> Measure:
        """Define the module."""
        import warnings

        import lightning
        import torch
        import torchmetrics
        from torch.nn import functional
        from torch.utils.data import DataLoader

        class Classifier(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.network = torch_network()
                self.accuracy = torchmetrics.Accuracy("multiclass", num_classes=10)

            def training_step(self, batch: Any, batch_idx: int) -> Any:
                images, labels = batch
                logits = self.network(images)
                loss = functional.cross_entropy(logits, labels)
                self.accuracy(logits, labels)
                self.log("train_loss", loss)
                self.log("train_accuracy", self.accuracy, on_step=False, on_epoch=True)
                return loss

            def configure_optimizers(self) -> Any:
                return torch.optim.Adam(self.parameters(), lr=1e-3, eps=1e-7)

            def on_train_start(self) -> None:
                self.started = time.perf_counter()

            def on_train_end(self) -> None:
                self.seconds = time.perf_counter() - self.started

        def measure() -> float:
            with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the number of workers; zero is the fastest
                module = Classifier()
                trainer = lightning.Trainer(
                    accelerator="cpu",
                    max_epochs=1,
                    limit_train_batches=STEPS[batch],
                    default_root_dir=folder,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                )
                trainer.fit(module, DataLoader(self.dataset, batch_size=batch, shuffle=True))
            return module.seconds / STEPS[batch]

        return measure


class PlainTorch:
    """A loop over index_select with Adam(fused=True), with the images in memory as floating-point numbers."""

    title = "plain PyTorch"
    needs = ("torch",)

    def __init__(self, data: Path) -> None:
        import torch

        images, labels = load(data)
        self.images, self.labels = torch.from_numpy(images).float() / 255, torch.from_numpy(labels)

    def prepare(self, batch: int) -> Measure:
        """Make the network."""
        import torch
        from torch.nn import functional

        network = torch_network()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7, fused=True)

        def measure() -> float:
            rows = torch.randperm(ROWS)[: STEPS[batch] * batch].split(batch)
            total = torch.zeros(())
            started = time.perf_counter()
            for of_a_step in rows:
                loss = functional.cross_entropy(network(self.images[of_a_step]), self.labels[of_a_step])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach()
            total.item()
            return (time.perf_counter() - started) / len(rows)

        return measure


class Keras:
    """Keras on TensorFlow, with the notebook's tf.data pipeline."""

    title = "Keras on TensorFlow"
    needs = ("keras", "tensorflow")

    def __init__(self, data: Path) -> None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        self.images, self.labels = load(data)

    def prepare(self, batch: int) -> Measure:
        """Compile the model."""
        import keras
        import tensorflow as tf

        dense = keras.layers.Dense
        model = keras.Sequential(
            [keras.Input((784,)), *(dense(size, activation="relu") for size in SIZES[1:-1]), dense(SIZES[-1])]
        )
        model.compile(
            optimizer=keras.optimizers.Adam(),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )

        def scale(image: Any, label: Any) -> Any:
            return tf.cast(image, tf.float32) / 255.0, label

        data = (
            tf.data.Dataset.from_tensor_slices((self.images, self.labels))
            .map(scale, num_parallel_calls=tf.data.AUTOTUNE)
            .shuffle(10_000)
            .skip(6_000)
            .batch(batch)
            .prefetch(tf.data.AUTOTUNE)
            .repeat()
        )
        ends: list[float] = []
        # Filling the shuffle buffer is part of the first step, which is not counted.
        begin = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: ends.append(time.perf_counter()))

        def measure() -> float:
            ends.clear()
            model.fit(data, epochs=1, steps_per_epoch=STEPS[batch] + 1, verbose=0, callbacks=[begin])
            return (ends[-1] - ends[0]) / STEPS[batch]

        return measure


class Jax:
    """JAX with optax, a whole epoch in one jitted lax.scan."""

    title = "JAX lax.scan"
    needs = ("jax", "optax")

    def __init__(self, data: Path) -> None:
        import jax.numpy as jnp
        import numpy as np

        images, labels = load(data)
        self.images, self.labels = jnp.asarray(images.astype(np.float32) / 255), jnp.asarray(labels.astype(np.int32))

    def prepare(self, batch: int) -> Measure:
        """Compile the epoch."""
        import jax
        import jax.numpy as jnp
        import numpy as np
        import optax

        optimizer = optax.adam(1e-3, eps=1e-7)
        initializer = jax.nn.initializers.glorot_uniform()
        keys = jax.random.split(jax.random.key(0), len(SIZES) - 1)
        layers = zip(keys, SIZES[:-1], SIZES[1:], strict=True)
        parameters = [(initializer(key, (inputs, outputs)), jnp.zeros(outputs)) for key, inputs, outputs in layers]

        def loss_of(parameters: Any, images: Any, labels: Any) -> Any:
            for weights, bias in parameters[:-1]:
                images = jax.nn.relu(images @ weights + bias)
            weights, bias = parameters[-1]
            return optax.softmax_cross_entropy_with_integer_labels(images @ weights + bias, labels).mean()

        def step(carry: Any, rows: Any) -> Any:
            parameters, state = carry
            loss, gradients = jax.value_and_grad(loss_of)(parameters, self.images[rows], self.labels[rows])
            updates, state = optimizer.update(gradients, state, parameters)
            return (optax.apply_updates(parameters, updates), state), loss

        @jax.jit
        def epoch(carry: Any, rows: Any) -> Any:
            return jax.lax.scan(step, carry, rows)

        carry = (parameters, optimizer.init(parameters))
        order = np.random.default_rng(0)

        def measure() -> float:
            nonlocal carry
            rows = jnp.asarray(order.permutation(ROWS)[: ROWS // batch * batch].reshape(-1, batch))
            started = time.perf_counter()
            carry, losses = epoch(carry, rows)
            losses.block_until_ready()
            return (time.perf_counter() - started) / len(rows)

        return measure


CONTENDERS: dict[str, Any] = {
    "here": Here,
    "lightning": PlainLightning,
    "torch": PlainTorch,
    "keras": Keras,
    "jax": Jax,
}


def torch_network() -> Any:
    """The baseline network in plain PyTorch."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers: list[Any] = []
    for inputs, outputs in pairwise(SIZES):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def load(data: Path) -> Any:
    """Read images (uint8, 60,000 × 784) and labels (int64)."""
    import numpy as np

    arrays = np.load(data)
    return arrays["images"], arrays["labels"]


def serve(name: str, data: Path) -> None:
    """Measure until standard input ends."""
    contender = CONTENDERS[name](data)
    measures: dict[int, Measure] = {}
    for line in sys.stdin:
        batch = int(line)
        if batch not in measures:
            measures[batch] = contender.prepare(batch)
            measures[batch]()  # compiles and allocates
        answer = {"seconds": min(measures[batch]() for _ in range(PASSES[batch]))}
        if isinstance(contender, Here):
            answer["epoch_seconds"] = contender.epoch_seconds
            measures.clear()  # it has only one configuration at a time
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
