"""Time an optimizer step of the baseline network here and elsewhere, and the start of train.py.

    python scripts/benchmark.py
    python scripts/benchmark.py --batches 1,100 --contenders here,jax --rounds 3
    python scripts/benchmark.py --parts lab

Each contender has a process of its own, in which it is warm; the processes take turns, so that a busy moment of the
machine meets all. Figures are medians over rounds, ratios medians of the ratios within a round. The peers other than
PyTorch come with `pip install -e .[bench]`; one that is not installed is skipped by name.
"""

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TRAIN = [sys.executable, str(ROOT / "train.py")]
STEPS = {1: 2000, 25: 1080, 100: 540, 10_000: 5}
"""Optimizer steps of one measurement, for the contenders that are slow at small batches."""
PASSES = {1: 1, 25: 1, 100: 1, 10_000: 4}
"""Measurements in a row, of which the fastest counts: five steps of 10,000 are over before the processor is warm."""
ROWS = 54_000
SIZES = [784, 200, 200, 10]

Measure = Callable[[], float]
"""Takes some optimizer steps, and gives the seconds for each."""


class Here:
    """This project as train.py runs it, with TensorBoard and checkpoints: the steps of an epoch, and whole epochs."""

    title = "**this project**"
    needs = ("torch", "lightning")

    def __init__(self, data: Path) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.number = 0

    def prepare(self, batch: int) -> Measure:
        """Compose the run."""
        from mnist_mlp.command import compose, composing, typed

        overrides = ["epochs=3", f"batch={batch}", "trainer=cpu", f"runs_dir={self.folder.name}"]
        if batch == 10_000:
            overrides.append("data.steps_per_epoch=5")  # whole batches, as the others have them
        with composing():
            self.config = typed(compose(overrides))
        self.config.callbacks["clock"] = {"_target_": f"{__name__}.clock"}
        steps = self.config.data.steps_per_epoch or ROWS // batch
        return lambda: self.train() / steps

    def train(self) -> float:
        """Train anew; give the seconds of an epoch's steps."""
        from mnist_mlp.training import train

        self.config.overwrite = True
        output, sys.stdout = sys.stdout, sys.stderr
        try:
            train(self.config)
        finally:
            sys.stdout = output
        (result,) = Path(self.folder.name).glob("*/seed0/result.json")
        epochs = json.loads(result.read_text())["epochs"]
        self.epoch_seconds = min(epoch["seconds"] for epoch in epochs[1:])
        result.unlink()
        return min(CLOCK[-2:])


CLOCK: list[float] = []


def clock() -> Any:
    """A callback that notes the seconds from the beginning of an epoch to that of its validation."""
    from lightning.pytorch.callbacks import Callback

    class Clock(Callback):
        def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
            self.started = time.perf_counter()

        def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
            CLOCK.append(time.perf_counter() - self.started)

    return Clock()


class PlainLightning:
    """The plain recipe: DataLoader over a TensorDataset, torchmetrics, self.log at each step."""

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
                warnings.simplefilter("ignore")  # on the number of workers, of which none is the fastest
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
    """A loop over index_select with Adam(fused=True), the images already floating-point numbers in memory."""

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
    """Keras on TensorFlow, fed by the notebook's tf.data pipeline."""

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
        # What filling the shuffle buffer takes is in the first steps, and not counted.
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
    for inputs, outputs in zip(SIZES[:-1], SIZES[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def load(data: Path) -> Any:
    """Read images (uint8, 60,000 × 784) and labels (int64)."""
    import numpy as np

    arrays = np.load(data)
    return arrays["images"], arrays["labels"]


def serve(name: str, data: Path) -> None:
    """Be the process of a contender: a line with a batch size asks for a measurement, a line of JSON answers."""
    contender = CONTENDERS[name](data)
    measures: dict[int, Measure] = {}
    for line in sys.stdin:
        batch = int(line)
        if batch not in measures:
            measures[batch] = contender.prepare(batch)
            measures[batch]()  # what is compiled or allocated once
        answer = {"seconds": min(measures[batch]() for _ in range(PASSES[batch]))}
        if isinstance(contender, Here):
            answer["epoch_seconds"] = contender.epoch_seconds
            measures.clear()  # it holds one configuration at a time
        print(json.dumps(answer), flush=True)


class Process:
    """A contender's process."""

    def __init__(self, name: str, data: Path) -> None:
        command = [sys.executable, __file__, "--serve", name, "--data", str(data)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def measure(self, batch: int) -> dict[str, float]:
        """Ask for a measurement."""
        assert self.process.stdin and self.process.stdout
        print(batch, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"benchmark: the process of {self.process.args} has ended")  # type: ignore[str-bytes-safe]
        answer: dict[str, float] = json.loads(line)
        return answer


def measure_steps(names: list[str], batches: list[int], rounds: int) -> dict[str, Any]:
    """Let the contenders take turns; give seconds by contender and batch size, in rounds."""
    from mnist_mlp import mnist

    seconds: dict[str, dict[str, list[float]]] = {name: {str(batch): [] for batch in batches} for name in names}
    epochs: dict[str, list[float]] = {str(batch): [] for batch in batches}
    with tempfile.TemporaryDirectory() as folder:
        import numpy as np

        data = Path(folder) / "mnist.npz"
        records = mnist.load(mnist.default_directory(), train=True)
        np.savez(data, images=records.images.numpy(), labels=records.labels.numpy())
        processes = {name: Process(name, data) for name in names}
        for number in range(1, rounds + 1):
            for batch in batches:
                for name in names:
                    answer = processes[name].measure(batch)
                    seconds[name][str(batch)].append(answer["seconds"])
                    if name == "here":
                        epochs[str(batch)].append(answer["epoch_seconds"])
                    print(
                        f"round {number}, batch {batch:,}, {name}: {answer['seconds'] * 1e6:,.1f} µs", file=sys.stderr
                    )
        for process in processes.values():
            process.process.kill()
            process.process.wait()
    return {"seconds": seconds, "epoch_seconds": epochs}


def ratio(seconds: dict[str, Any], name: str, batch: str) -> float:
    """The median over rounds of a contender's time as a multiple of this project's."""
    pairs = zip(seconds[name][batch], seconds["here"][batch], strict=True)
    return statistics.median(theirs / ours for theirs, ours in pairs)


def table(found: dict[str, Any]) -> str:
    """Lay out the steps as Markdown."""
    seconds, epochs = found["steps"]["seconds"], found["steps"]["epoch_seconds"]
    batches = list(epochs)
    lines = [
        "| microseconds an optimizer step | " + " | ".join(f"batch {int(batch):,}" for batch in batches) + " |",
        "|---|" + "---:|" * len(batches),
    ]
    for name, by_batch in seconds.items():
        cells = []
        for batch in batches:
            cell = f"{statistics.median(by_batch[batch]) * 1e6:,.0f}"
            cells.append(
                cell if name == "here" or "here" not in seconds else f"{cell} ({ratio(seconds, name, batch):.1f} ×)"
            )
        lines.append(f"| {CONTENDERS[name].title} | " + " | ".join(cells) + " |")
    if "here" in seconds:
        cells = [f"{statistics.median(epochs[batch]):.2f} s" for batch in batches]
        lines.append("| a whole epoch here, with validation | " + " | ".join(cells) + " |")
    versions = ", ".join(f"{package} {version}" for package, version in found["versions"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"{found['hardware']}; Python {platform.python_version()}, {versions}; medians of {found['rounds']} rounds.",
        ]
    )


def timed(command: list[str], until: str | None = None, **environment: str) -> tuple[float, float]:
    """Run a command; give the seconds until it ends, or prints a line with `until`, and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **environment}
    )
    assert process.stdout
    seconds = None
    for line in process.stdout:
        if until and until in line and seconds is None:
            seconds = time.perf_counter() - started
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"benchmark: {' '.join(command)} ended with status {process.returncode}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return seconds or time.perf_counter() - started, kilobytes / 1024


def measure_start(rounds: int) -> dict[str, Any]:
    """Time what comes before the first optimizer step, and what memory a run takes."""
    python = [sys.executable, "-c"]
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = [*TRAIN, "overwrite=true", "trainer=cpu", f"runs_dir={folder}"]
        commands: dict[str, tuple[list[str], str | None]] = {
            "import hydra": ([*python, "import hydra"], None),
            "train.py --help": ([*TRAIN, "--help"], None),
            "import torch, lightning": ([*python, "import torch, lightning"], None),
            "first optimizer step": ([*run, "epochs=1", "data.steps_per_epoch=1"], "epoch 1/1"),
            "the baseline": (run, None),
        }
        for _ in range(rounds):
            for name, (command, until) in commands.items():
                seconds, megabytes = timed(command, until)
                found.setdefault(f"{name}, s", []).append(seconds)
                found.setdefault(f"{name}, MB", []).append(megabytes)
    return found


def measure_lab() -> dict[str, Any]:
    """Time the ten questions as the notebook ran them: one seed, five epochs, start-up included."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, 11):
            command = [*TRAIN, f"question=q{number:02}", "seed=0", "trainer=cpu", f"runs_dir={folder}"]
            found[f"q{number:02}"], _ = timed(command)
            print(f"q{number:02}: {found[f'q{number:02}']:.1f} s", file=sys.stderr)
    return {**found, "all": sum(found.values())}


def installed(name: str) -> bool:
    """Say whether a contender can be imported; the reason goes to the user if not."""
    for package in CONTENDERS[name].needs:
        if importlib.util.find_spec(package) is None:
            print(f"{name} is skipped: {package} is not installed (pip install -e .[bench])", file=sys.stderr)
            return False
    return True


def hardware() -> str:
    """Name the processor and the cores."""
    from mnist_mlp.training import _cpu

    return f"{_cpu()}, {os.cpu_count()} cores"


def main() -> None:
    """Read the command line, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", default=",".join(map(str, STEPS)), help="of %(default)s")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="of %(default)s")
    parser.add_argument("--parts", default="steps,start", help="of steps, start, lab; %(default)s is the default")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of benchmark.json and benchmark.md")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(arguments.serve, arguments.data)
    parts, names = arguments.parts.split(","), arguments.contenders.split(",")
    for given, valid in (
        (parts, ["steps", "start", "lab"]),
        (names, list(CONTENDERS)),
        (arguments.batches.split(","), [str(batch) for batch in STEPS]),
    ):
        for word in given:
            if word not in valid:
                parser.error(f"{word} is none of {', '.join(valid)}")
    if arguments.rounds < 1:
        parser.error("--rounds is at least 1")
    packages = ("torch", "lightning", "jax", "optax", "keras", "tensorflow-cpu")
    found: dict[str, Any] = {
        "hardware": hardware(),
        "rounds": arguments.rounds,
        "versions": {package: metadata.version(package) for package in packages if _has(package)},
    }
    if "steps" in parts:
        names = [name for name in names if installed(name)]
        found["steps"] = measure_steps(names, [int(batch) for batch in arguments.batches.split(",")], arguments.rounds)
        print(table(found))
    if "start" in parts:
        found["start"] = measure_start(arguments.rounds)
        for name, values in found["start"].items():
            print(f"{name}: {statistics.median(values):.2f}")
    if "lab" in parts:
        found["lab"] = measure_lab()
        print(f"the whole lab: {found['lab']['all']:.1f} s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmark.json").write_text(json.dumps(found, indent=1) + "\n")
    if "steps" in found:
        (arguments.out / "benchmark.md").write_text(table(found) + "\n")
    return None


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
