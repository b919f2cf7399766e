"""The compiled kernel: many optimizer steps on the CPU in one call. Its source is kernel.cpp."""

import ctypes
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from platformdirs import user_cache_path
from torch import Tensor
from torch.nn import BatchNorm1d, LayerNorm
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from mnist_mlp import files
from mnist_mlp.activation import ACTIVATIONS, one_per_layer
from mnist_mlp.callbacks.averaging import Average
from mnist_mlp.callbacks.lightning_internals import average_of
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.data import Chunk
from mnist_mlp.language import _
from mnist_mlp.mlp import MLP
from mnist_mlp.runs import machine

log = logging.getLogger(__name__)

SOURCE = Path(__file__).with_suffix(".cpp")
COMPILERS = ("g++", "clang++", "c++")
# No -ffast-math: it is slower here, and hides losses that are not finite.
OPTIONS = [
    "-O3",
    "-std=c++17",
    "-march=native",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fopenmp-simd",
    "-shared",
    "-fPIC",
    "-pthread",
]
WORK_OF_A_THREAD = 2_500_000
"""Multiplications in a step, about 25 microseconds, that justify one more thread, which the others have to wait for."""


class Unavailable(Exception):
    """The kernel cannot be compiled here, or does not support what it should train; the message says which."""


class Steps(NamedTuple):
    """For each of some optimizer steps, the sum of its samples' losses and the number of correct predictions."""

    losses: Float[Tensor, " steps"]
    correct: Int64[Tensor, " steps"]


class Kind(NamedTuple):
    """An optimizer of the kernel: its name in kernel.cpp, and the names of its moments in the state of torch's."""

    name: str
    moments: tuple[str, ...]
    counts_steps: bool = True


class Task(ctypes.Structure):
    """The struct of the same name in kernel.cpp, with the same fields."""

    _fields_ = (
        ("layers", ctypes.c_int64),
        ("sizes", ctypes.c_void_p),
        ("activations", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(ctypes.c_void_p)),
        ("first", ctypes.POINTER(ctypes.c_void_p)),
        ("second", ctypes.POINTER(ctypes.c_void_p)),
        ("average", ctypes.POINTER(ctypes.c_void_p)),
        ("rates", ctypes.c_void_p),
        ("decay", ctypes.c_double),
        ("decoupled_decay", ctypes.c_double),
        ("beta_1", ctypes.c_double),
        ("beta_2", ctypes.c_double),
        ("epsilon", ctypes.c_double),
        ("average_decay", ctypes.c_double),
        ("averaged_before", ctypes.c_int64),
        ("steps_before", ctypes.c_double),
        ("label_smoothing", ctypes.c_double),
        ("gradient_clip", ctypes.c_double),
        ("dropout", ctypes.c_double),
        ("input_dropout", ctypes.c_double),
        ("noise", ctypes.c_double),
        ("normalization", ctypes.c_int64),
        ("normalization_epsilon", ctypes.c_double),
        ("momentum", ctypes.c_double),
        ("running", ctypes.POINTER(ctypes.c_void_p)),
        ("seed", ctypes.c_uint64),
        ("samples_before", ctypes.c_int64),
        ("images", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("rows", ctypes.c_void_p),
        ("samples", ctypes.c_int64),
        ("batch", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("losses", ctypes.c_void_p),
        ("correct", ctypes.c_void_p),
    )


class Kernel:
    """Takes optimizer steps on the CPU, chunk by chunk, changing a network's parameters and its optimizer in place.

    The results are identical for any number of threads. Dropout and noise depend on torch's seed and on the place of a
    sample in its epoch.

    Args:
        classifier: whose network is in float32.
        optimizer: of the network's parameters.
        average: of the network's weights, to be updated after each step.

    Attributes:
        instructions: the instruction set that it was compiled for, as torch names them: AVX512, AVX2, NEON, ...

    Raises:
        Unavailable: no compiler works, or the kernel does not support the optimizer.
    """

    title = "compiled kernel"

    def __init__(self, classifier: MNISTClassifier, optimizer: Optimizer, average: Average | None = None) -> None:
        model, network = classifier.hparams["model"], classifier.network
        assert isinstance(network, MLP)
        normalization = model.get("normalization", "none")
        if normalization == "batch" and average:
            raise Unavailable(_("batch normalization with weight averaging: not supported by the compiled kernel"))
        self.kind = kind_of(optimizer)
        decays = optimizer.param_groups[0]["weight_decay"] != 0
        self.library = compiled(f"Decayed<{self.kind.name}>" if decays else self.kind.name)
        self.instructions: str = self.library.instructions().decode()
        self.optimizer, self.average = optimizer, average
        self.regularization = {name: model.get(name, 0.0) for name in ("dropout", "input_dropout", "noise")}
        self.regularization["label_smoothing"] = classifier.label_smoothing
        self.regularization["gradient_clip"] = classifier.gradient_clip or 0
        layers = network.linear_layers()
        self.parameters = parameters_of(network)
        self.normalization = ("none", "batch", "layer").index(normalization)  # in the order of kernel.cpp
        self.normalizations = normalizations_of(network)
        self.sizes = torch.tensor([layers[0].in_features, *(layer.out_features for layer in layers)])
        places = [
            list(ACTIVATIONS).index(name) for name in one_per_layer(model.get("activation", "relu"), len(layers) - 1)
        ]
        self.activations = torch.tensor(places, dtype=torch.int64)

    def __call__(self, chunk: Chunk, rates: list[float]) -> Steps:
        """Take the steps of a chunk, and stop after a step whose loss is not finite.

        Args:
            chunk: the samples.
            rates: the learning rate of each step.

        Raises:
            MemoryError: the kernel's copy of the weights does not fit into memory.
        """
        (group,) = self.optimizer.param_groups
        states = [self._state(parameter) for parameter in self.parameters]
        moments = [_pointers([state.get(name) for state in states]) for name in self.kind.moments]
        batches: list[Any] = [each for each in self.normalizations if isinstance(each, BatchNorm1d)]
        steps = len(rates)
        rate_of_each = torch.tensor(rates, dtype=torch.float64)
        losses, correct = torch.empty(steps, dtype=torch.float64), torch.empty(steps, dtype=torch.int64)
        beta_1, beta_2 = group.get("betas", (group.get("momentum", 0), group.get("alpha", 0)))
        decoupled = group.get("decoupled_weight_decay", False)
        average: Any = average_of(self.average) if self.average else None
        averaged = parameters_of(average.module.network) if average else None
        task = Task(
            layers=len(self.sizes) - 1,
            sizes=self.sizes.data_ptr(),
            activations=self.activations.data_ptr(),
            parameters=_pointers(self.parameters),
            first=moments[0] if moments else None,
            second=moments[1] if len(moments) > 1 else None,
            average=_pointers(averaged) if averaged else None,
            rates=rate_of_each.data_ptr(),
            decay=0 if decoupled else group["weight_decay"],
            decoupled_decay=group["weight_decay"] if decoupled else 0,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=group.get("eps", 0),
            average_decay=self.average.decay if self.average else 0,
            averaged_before=int(average.n_averaged) if average else 0,
            steps_before=float(states[0].get("step", 0)),
            **self.regularization,
            normalization=self.normalization,
            normalization_epsilon=self.normalizations[0].eps if self.normalizations else 0,
            momentum=batches[0].momentum if batches else 0,
            running=_pointers([values for each in batches for values in (each.running_mean, each.running_var)]),
            seed=torch.initial_seed() % 2**64,
            samples_before=chunk.before,
            images=chunk.records.images.data_ptr(),
            labels=chunk.records.labels.data_ptr(),
            rows=chunk.rows.data_ptr(),
            samples=len(chunk.rows),
            batch=chunk.size,
            threads=self.threads(chunk.size),
            losses=losses.data_ptr(),
            correct=correct.data_ptr(),
        )
        done = self.library.train(ctypes.byref(task))
        if done < 0:
            raise MemoryError("not enough memory for a copy of the weights")
        for state in states:
            if "step" in state:
                state["step"] += done
        for each in batches:
            each.num_batches_tracked += done
        if average:
            average.n_averaged += done
        return Steps(losses[:done], correct[:done])

    def threads(self, batch: int) -> int:
        """Return how many of torch's threads to use for a step of a batch of this size."""
        parameters = sum(parameter.numel() for parameter in self.parameters if parameter is not None)
        return max(1, min(torch.get_num_threads(), work(parameters, batch) // WORK_OF_A_THREAD))

    def _state(self, parameter: Tensor | None) -> dict[str, Tensor]:
        # The state that torch itself creates at the first step.
        if parameter is None or not self.kind.moments:
            return {}
        state = self.optimizer.state[parameter]
        if not state:
            if self.kind.counts_steps:
                state["step"] = torch.tensor(0.0)
            for name in self.kind.moments:
                state[name] = torch.zeros_like(parameter)
        return state


def normalizations_of(network: MLP) -> list[BatchNorm1d | LayerNorm]:
    """List a network's normalizations: one for each hidden layer, or none."""
    return [layer for layer in network.layers if isinstance(layer, (BatchNorm1d, LayerNorm))]


def parameters_of(network: MLP) -> list[torch.nn.Parameter | None]:
    """List for each layer its weights and biases, and those of its normalization or None."""
    layers = zip_longest(network.linear_layers(), normalizations_of(network))
    return [getattr(each, name, None) for pair in layers for each in pair for name in ("weight", "bias")]


def work(parameters: int, batch: int) -> int:
    """Estimate the multiplications in an optimizer step: three matrix products, and Adam's 24 or so a parameter."""
    return parameters * (3 * batch + 24)


def kind_of(optimizer: Optimizer) -> Kind:
    """Return the kernel's counterpart of an optimizer.

    Raises:
        Unavailable: it has none.
    """
    name = type(optimizer).__name__
    group = optimizer.param_groups[0]
    used = [
        option
        for option in ("amsgrad", "maximize", "nesterov", "dampening", "centered", "differentiable")
        if group.get(option)
    ]
    if used:
        raise Unavailable(
            _("{feature}: not supported by the compiled kernel").format(
                feature=_("{optimizer}'s {option}").format(optimizer=name, option=used[0])
            )
        )
    if type(optimizer) in (Adam, AdamW):
        return Kind("Adam", ("exp_avg", "exp_avg_sq"))
    if type(optimizer) is SGD and group["momentum"] == 0:
        return Kind("SGD", (), counts_steps=False)
    if type(optimizer) is SGD:
        return Kind("Momentum", ("momentum_buffer",), counts_steps=False)
    if type(optimizer) is RMSprop and group["momentum"] == 0:
        return Kind("RMSprop", ("square_avg",))
    raise Unavailable(_("{feature}: not supported by the compiled kernel").format(feature=name))


@cache
def compiled(optimizer: str) -> ctypes.CDLL:
    """Return the kernel for an optimizer, from the per-user cache if it has been compiled before.

    The compiler is that of the environment variable CXX, or else g++, clang++ or c++. The name of a cached file has the
    hash of its content, so that a truncated library is not loaded: it would crash the process.

    Raises:
        Unavailable: there is no compiler, or it fails.
    """
    compiler = _compiler()
    definitions = [f"-DOPTIMIZER={optimizer}", f"-DACTIVATIONS={','.join(ACTIVATIONS.values())}"]
    command = [*compiler, *OPTIONS, *definitions, str(SOURCE)]
    # Machines with different instruction sets may share a home directory.
    made_from = [SOURCE.read_text(encoding="utf-8"), *command[:-1], machine.instructions()]
    folder, name = Path(user_cache_path("mnist_mlp")), f"kernel-{_digest(repr(made_from).encode())}"
    for path in sorted(folder.glob(f"{name}-*.so")):
        with suppress(OSError):  # not readable for this user, or made for other versions of the system's libraries
            if path.stem == f"{name}-{_digest(path.read_bytes())}":
                return _load(path)
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:  # Windows keeps what is loaded
            made = Path(directory) / "kernel.so"
            log.info(_("compiling the kernel for this machine, once"))
            subprocess.run(
                [*command, "-o", str(made)], check=True, capture_output=True, env=os.environ | {"LC_ALL": "C"}
            )
            path = folder / f"{name}-{_digest(made.read_bytes())}.so"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                files.write(path, made.read_bytes())
                return _load(path)
            except OSError as error:
                loaded = _load(made)
                said = _("the compiled kernel cannot be cached, so that each process compiles its own: {reason}")
                log.info(said.format(reason=error))
                return loaded
    except subprocess.CalledProcessError as error:
        messages = error.stderr.decode(errors="replace").splitlines()
        reason = next((line for line in messages if "error" in line), f"status {error.returncode}")
        said = _("{compiler} does not compile the kernel: {reason}")
        raise Unavailable(said.format(compiler=compiler[0], reason=reason)) from error
    except (OSError, AttributeError) as error:  # AttributeError: the library lacks a function
        raise Unavailable(_("the kernel cannot be compiled or loaded: {reason}").format(reason=error)) from error


def _compiler() -> list[str]:
    named = os.environ.get("CXX")
    try:
        compiler = shlex.split(named) if named else [name for name in COMPILERS if shutil.which(name)][:1]
    except ValueError as error:
        raise Unavailable(f"CXX={named!r}: {error}") from error
    if not compiler or shutil.which(compiler[0]) is None:
        missing = _("there is no C++ compiler {name}").format(name=compiler[0]) if compiler else None
        raise Unavailable(missing or _("there is no C++ compiler"))
    return compiler


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.train.argtypes = [ctypes.POINTER(Task)]
    library.train.restype = ctypes.c_int64
    library.instructions.restype = ctypes.c_char_p
    return library


def _pointers(tensors: Sequence[Tensor | None]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * len(tensors))(*(None if tensor is None else tensor.data_ptr() for tensor in tensors))
