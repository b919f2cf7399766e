"""The contenders of benchmark.py, each as experts in it would write it, and the process in which one runs.

    python scripts/dev/contenders.py jax mnist.npz

For each line of standard input with a batch size, it measures and prints the seconds of an optimizer step. The
docstring of a contender is its description in docs/benchmark.md.
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

from typing_extensions import override

STEPS = {1: 4000, 25: 1080, 100: 540, 10_000: 5}
"""Optimizer steps in a pass, by batch size; with batches of 10,000 an epoch has no more that are full."""
PASSES = 3
"""Passes in a measurement, after another one that warms up; the fastest counts."""
ROWS = 54_000
SIZES = [784, 200, 200, 10]

Measure = Callable[[], list[float]]
"""Takes the steps of the warm-up and of the passes, and returns the seconds of each pass."""


class Here:
    """`python train.py`, with TensorBoard and checkpoints. A pass is the optimizer steps of an epoch."""

    title = "this project"
    needs = ("torch", "lightning")

    def __init__(self, data: Path) -> None:
        self.folder = tempfile.TemporaryDirectory()

    def prepare(self, batch: int) -> Measure:
        """Compose the run."""
        from mnist_mlp.config.compose import compose_run, composing
        from mnist_mlp.training import train

        length = [f"epochs={1 + PASSES}", f"data.steps_per_epoch={STEPS[batch]}"]
        with composing():
            config = compose_run(
                [*length, f"batch={batch}", "trainer=cpu", f"runs_dir={self.folder.name}", "overwrite=true"]
            )
        config.callbacks["clock"] = {"_target_": f"{__name__}.clock"}

        def measure() -> list[float]:
            train(config, show=False)
            return CLOCK[-PASSES:]

        return measure


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


class Lightning:
    """A `DataLoader` over a `TensorDataset`, which collates image by image; torchmetrics; `self.log` at each step."""

    title = "Lightning, as in its tutorials"
    needs = ("torch", "lightning", "torchmetrics")

    def __init__(self, data: Path) -> None:
        self.images, self.labels = torch_tensors(data)

    def prepare(self, batch: int) -> Measure:
        """Define the module."""
        import torch
        import torchmetrics
        from lightning import LightningModule
        from torch.nn import functional
        from torch.utils.data import DataLoader, TensorDataset

        class Classifier(LightningModule):
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

        loader: Any = DataLoader(TensorDataset(self.images, self.labels), batch_size=batch, shuffle=True)
        return lambda: fit(Classifier(), loader, STEPS[batch])


class TunedLightning(Lightning):
    """A `DataLoader` that indexes whole batches; `Adam(fused=True)`; loss and accuracy are logged once an epoch."""

    title = "Lightning, tuned"
    needs = ("torch", "lightning")

    def prepare(self, batch: int) -> Measure:
        """Define the module."""
        import torch
        from lightning import LightningModule
        from torch.nn import functional
        from torch.utils.data import DataLoader, TensorDataset

        class Classifier(LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.network = torch_network()

            def on_train_epoch_start(self) -> None:
                self.loss, self.correct = torch.zeros(()), torch.zeros(())

            def training_step(self, batch: Any) -> Any:
                images, labels = batch
                logits = self.network(images)
                loss = functional.cross_entropy(logits, labels)
                self.loss += loss.detach()
                self.correct += (logits.argmax(1) == labels).sum()
                return loss

            def on_train_epoch_end(self) -> None:
                self.log("train_loss", self.loss / STEPS[batch])
                self.log("train_accuracy", self.correct / (STEPS[batch] * batch))

            def configure_optimizers(self) -> Any:
                return torch.optim.Adam(self.parameters(), lr=1e-3, eps=1e-7, fused=True)

        class Batches:
            def __iter__(self) -> Any:
                return iter(torch.randperm(ROWS)[: STEPS[batch] * batch].split(batch))

            def __len__(self) -> int:
                return STEPS[batch]

        loader: Any = DataLoader(TensorDataset(self.images, self.labels), sampler=Batches(), batch_size=None)
        return lambda: fit(Classifier(), loader, STEPS[batch])


def fit(module: Any, loader: Any, steps: int) -> list[float]:
    """Train a Lightning module, without validation; return the seconds of each epoch after the first."""
    import warnings

    import lightning
    from lightning.pytorch.callbacks import Callback

    seconds: list[float] = []

    class Clock(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self.started = time.perf_counter()

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            seconds.append(time.perf_counter() - self.started)

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the number of workers; zero is the fastest
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=1 + PASSES,
            limit_train_batches=steps,
            default_root_dir=folder,
            callbacks=[Clock()],
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)
    return seconds[1:]


class Torch:
    """A loop over `index_select` with `Adam(fused=True)`, with the images in memory as floating-point numbers."""

    title = "PyTorch"
    needs = ("torch",)

    def __init__(self, data: Path) -> None:
        self.images, self.labels = torch_tensors(data)

    def prepare(self, batch: int) -> Measure:
        """Make the network."""
        import torch
        from torch.nn import functional

        network = torch_network()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7, fused=True)

        def step(rows: Any) -> Any:
            loss = functional.cross_entropy(network(self.images[rows]), self.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        return lambda: passes(lambda: torch_pass(step, batch))


class CompiledTorch(Torch):
    """The same, but `torch.compile` makes one function of the loss and its gradients."""

    title = "PyTorch, compiled"

    def prepare(self, batch: int) -> Measure:
        """Make the network, and the function."""
        import torch
        from torch.nn import functional

        network = torch_network()
        parameters = dict(network.named_parameters())
        optimizer = torch.optim.Adam(parameters.values(), lr=1e-3, eps=1e-7, fused=True)

        def loss_of(weights: Any, rows: Any) -> Any:
            logits = torch.func.functional_call(network, weights, (self.images[rows],))
            return functional.cross_entropy(logits, self.labels[rows])

        compiled = torch.compile(torch.func.grad_and_value(loss_of), fullgraph=True, dynamic=False)
        weights = {name: parameter.detach() for name, parameter in parameters.items()}

        def step(rows: Any) -> Any:
            gradients, loss = compiled(weights, rows)
            for name, gradient in gradients.items():
                parameters[name].grad = gradient
            optimizer.step()
            return loss

        return lambda: passes(lambda: torch_pass(step, batch))


def torch_pass(step: Callable[[Any], Any], batch: int) -> float:
    """Take the steps of a pass; return the seconds."""
    import torch

    rows = torch.randperm(ROWS)[: STEPS[batch] * batch].split(batch)
    total = torch.zeros(())
    started = time.perf_counter()
    for of_a_step in rows:
        total += step(of_a_step)
    total.item()
    return time.perf_counter() - started


class Keras:
    """The notebook's `tf.data` pipeline, which maps image by image, and `model.compile` without options for speed."""

    title = "Keras, as in the notebook"
    needs = ("keras", "tensorflow")

    def __init__(self, data: Path) -> None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        self.images, self.labels = load(data)

    def prepare(self, batch: int) -> Measure:
        """Compile the model."""
        import keras

        dense = keras.layers.Dense
        model = keras.Sequential(
            [keras.Input((784,)), *(dense(size, activation="relu") for size in SIZES[1:-1]), dense(SIZES[-1])]
        )
        model.compile(
            optimizer=keras.optimizers.Adam(),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            **self.options(batch),
        )
        data = self.pipeline(batch)
        times: list[float] = []

        def note(epoch: int, logs: Any) -> None:
            times.append(time.perf_counter())

        clock = keras.callbacks.LambdaCallback(on_epoch_begin=note, on_epoch_end=note)

        def measure() -> list[float]:
            times.clear()
            model.fit(data, epochs=1 + PASSES, steps_per_epoch=STEPS[batch], verbose=0, callbacks=[clock])
            return [end - begin for begin, end in zip(times[2::2], times[3::2], strict=True)]

        return measure

    def options(self, batch: int) -> dict[str, Any]:
        """Give the options of `model.compile` that affect the speed."""
        return {}

    def pipeline(self, batch: int) -> Any:
        """Make the data set, without an end."""
        import tensorflow as tf

        def scale(image: Any, label: Any) -> Any:
            return tf.cast(image, tf.float32) / 255.0, label

        return (
            tf.data.Dataset.from_tensor_slices((self.images, self.labels))
            .map(scale, num_parallel_calls=tf.data.AUTOTUNE)
            .shuffle(10_000)
            .skip(6_000)
            .batch(batch)
            .prefetch(tf.data.AUTOTUNE)
            .repeat()
        )


class TunedKeras(Keras):
    """A pipeline that gathers whole batches of scaled images, up to 540 steps per execution, and `jit_compile=True`,
    except for batches of 10,000, which it makes slower.
    """

    title = "Keras, tuned"

    @override
    def options(self, batch: int) -> dict[str, Any]:
        return {"jit_compile": batch < 10_000, "steps_per_execution": {1: 500, 25: 540, 100: 540, 10_000: 5}[batch]}

    @override
    def pipeline(self, batch: int) -> Any:
        import tensorflow as tf

        images, labels = tf.constant(self.images.astype("float32") / 255), tf.constant(self.labels)

        def epoch(number: Any) -> Any:
            rows = tf.random.shuffle(tf.range(ROWS))[: ROWS // batch * batch]
            return tf.data.Dataset.from_tensor_slices(tf.reshape(rows, (-1, batch)))

        def gather(rows: Any) -> Any:
            return tf.gather(images, rows), tf.gather(labels, rows)

        return tf.data.Dataset.counter().flat_map(epoch).map(gather).prefetch(tf.data.AUTOTUNE)


class Jax:
    """JAX with optax, all steps of a pass in one jitted `lax.scan`."""

    title = "JAX"
    needs = ("jax", "optax")

    def __init__(self, data: Path) -> None:
        import jax.numpy as jnp
        import numpy as np

        images, labels = load(data)
        self.images, self.labels = jnp.asarray(images.astype(np.float32) / 255), jnp.asarray(labels.astype(np.int32))

    def prepare(self, batch: int) -> Measure:
        """Define the pass."""
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
        def scan(carry: Any, rows: Any) -> Any:
            return jax.lax.scan(step, carry, rows)

        carry = (parameters, optimizer.init(parameters))
        order = np.random.default_rng(0)

        def one_pass() -> float:
            nonlocal carry
            rows = jnp.asarray(order.permutation(ROWS)[: STEPS[batch] * batch].reshape(-1, batch))
            started = time.perf_counter()
            carry, losses = scan(carry, rows)
            losses.block_until_ready()
            return time.perf_counter() - started

        return lambda: passes(one_pass)


def passes(one_pass: Callable[[], float]) -> list[float]:
    """Warm up, and return the seconds of each pass."""
    one_pass()
    return [one_pass() for _ in range(PASSES)]


CONTENDERS: dict[str, Any] = {
    "here": Here,
    "lightning": Lightning,
    "lightning-tuned": TunedLightning,
    "torch": Torch,
    "torch-compiled": CompiledTorch,
    "keras": Keras,
    "keras-tuned": TunedKeras,
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


def torch_tensors(data: Path) -> Any:
    """Read images (float32, 60,000 × 784) and labels (int64)."""
    import torch

    images, labels = load(data)
    return torch.from_numpy(images).float() / 255, torch.from_numpy(labels)


def load(data: Path) -> Any:
    """Read images (uint8, 60,000 × 784) and labels (int64)."""
    import numpy as np

    arrays = np.load(data)
    return arrays["images"], arrays["labels"]


def serve(name: str, data: Path) -> None:
    """Measure until standard input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    contender = CONTENDERS[name](data)
    measures: dict[int, Measure] = {}
    for line in sys.stdin:
        batch = int(line)
        if batch not in measures:
            measures[batch] = contender.prepare(batch)
        print(json.dumps(min(measures[batch]()) / STEPS[batch]), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
