"""The compiled kernel: many optimizer steps on the CPU in one call. kernel.cpp is its source."""

import ctypes
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from platformdirs import user_cache_path
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from mnist_mlp.activation import one_per_layer
from mnist_mlp.data import Chunk
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
ACTIVATIONS = (
    "relu",
    "sigmoid",
    "tanh",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "gaussian",
    "inverted_gaussian",
)
"""Those that the kernel knows, in its order."""
WORK_OF_A_THREAD = 2_500_000
"""Multiplications in a step from which one more thread is worth waiting for it; some 25 microseconds."""


class Unavailable(Exception):
    """The kernel cannot be compiled here, or does not know what it would have to train; the message says what."""


class Steps(NamedTuple):
    """What is known of some optimizer steps: of each, the sum of its samples' losses and its right answers."""

    losses: Float[Tensor, " steps"]
    correct: Int64[Tensor, " steps"]


class Kind(NamedTuple):
    """How the kernel knows an optimizer: its name there, and the names of its moments in torch's state."""

    name: str
    moments: tuple[str, ...]
    counts_steps: bool = True


class Task(ctypes.Structure):
    """The struct of the same name in kernel.cpp."""

    _fields_ = (
        ("layers", ctypes.c_int64),
        ("sizes", ctypes.c_void_p),
        ("activations", ctypes.c_void_p),
        ("parameters", ctypes.POINTER(ctypes.c_void_p)),
        ("first", ctypes.POINTER(ctypes.c_void_p)),
        ("second", ctypes.POINTER(ctypes.c_void_p)),
        ("rates", ctypes.c_void_p),
        ("decay", ctypes.c_double),
        ("decoupled_decay", ctypes.c_double),
        ("beta_1", ctypes.c_double),
        ("beta_2", ctypes.c_double),
        ("epsilon", ctypes.c_double),
        ("steps_before", ctypes.c_double),
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
    """Takes the optimizer steps of chunks for one network and its optimizer, in place, on the CPU.

    The numbers are the same with any number of threads.

    Args:
        network: in float32.
        activation: what the network's hidden layers have, as in its constructor.
        optimizer: of the network's parameters.

    Attributes:
        instructions: the instruction set that it was compiled for, as torch names them: AVX512, AVX2, NEON, ...

    Raises:
        Unavailable: no compiler, or an optimizer or activation that the kernel does not know.
    """

    title = "compiled kernel"

    def __init__(self, network: MLP, activation: str | list[str], optimizer: Optimizer) -> None:
        self.kind = kind_of(optimizer)
        decays = optimizer.param_groups[0]["weight_decay"] != 0
        self.library = compiled(f"Decayed<{self.kind.name}>" if decays else self.kind.name)
        self.instructions: str = self.library.instructions().decode()
        self.optimizer = optimizer
        layers = network.linear_layers()
        self.parameters = [parameter for layer in layers for parameter in (layer.weight, layer.bias)]
        self.sizes = torch.tensor([layers[0].in_features, *(layer.out_features for layer in layers)])
        names = one_per_layer(activation, len(layers) - 1)
        if unknown := set(names).difference(ACTIVATIONS):
            raise Unavailable(f"{unknown.pop()}: not supported by the compiled kernel")
        self.activations = torch.tensor([ACTIVATIONS.index(name) for name in names], dtype=torch.int64)

    def __call__(self, chunk: Chunk, rates: list[float]) -> Steps:
        """Take the steps; they end at a loss that is not finite, after its step.

        Args:
            chunk: the samples.
            rates: the learning rate of each step.

        Raises:
            MemoryError: there is not enough for the kernel's copy of the weights.
        """
        (group,) = self.optimizer.param_groups
        states = [self._state(parameter) for parameter in self.parameters]
        moments = [_pointers([state[name] for state in states]) for name in self.kind.moments]
        steps = len(rates)
        rate_of_each = torch.tensor(rates, dtype=torch.float64)
        losses, correct = torch.empty(steps, dtype=torch.float64), torch.empty(steps, dtype=torch.int64)
        beta_1, beta_2 = group.get("betas", (group.get("momentum", 0), group.get("alpha", 0)))
        decoupled = group.get("decoupled_weight_decay", False)
        task = Task(
            layers=len(self.sizes) - 1,
            sizes=self.sizes.data_ptr(),
            activations=self.activations.data_ptr(),
            parameters=_pointers(self.parameters),
            first=moments[0] if moments else None,
            second=moments[1] if len(moments) > 1 else None,
            rates=rate_of_each.data_ptr(),
            decay=0 if decoupled else group["weight_decay"],
            decoupled_decay=group["weight_decay"] if decoupled else 0,
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=group.get("eps", 0),
            steps_before=float(states[0].get("step", 0)),
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
            if self.kind.counts_steps:
                state["step"] += done
        return Steps(losses[:done], correct[:done])

    def threads(self, batch: int) -> int:
        """Give the threads that a step of a batch is worth, of those that torch has."""
        parameters = sum(parameter.numel() for parameter in self.parameters)
        return max(1, min(torch.get_num_threads(), work(parameters, batch) // WORK_OF_A_THREAD))

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        # What torch itself makes at the first step.
        if not self.kind.moments:
            return {}
        state = self.optimizer.state[parameter]
        if not state:
            if self.kind.counts_steps:
                state["step"] = torch.tensor(0.0)
            for name in self.kind.moments:
                state[name] = torch.zeros_like(parameter)
        return state


def work(parameters: int, batch: int) -> int:
    """Give the multiplications of an optimizer step: three matrix products, and about what Adam needs."""
    return parameters * (3 * batch + 24)


def kind_of(optimizer: Optimizer) -> Kind:
    """Say how the kernel knows an optimizer.

    Raises:
        Unavailable: it does not.
    """
    name = type(optimizer).__name__
    group = optimizer.param_groups[0]
    used = [
        option
        for option in ("amsgrad", "maximize", "nesterov", "dampening", "centered", "differentiable")
        if group.get(option)
    ]
    if used:
        raise Unavailable(f"{name}'s {used[0]}: not supported by the compiled kernel")
    if type(optimizer) in (Adam, AdamW):
        return Kind("Adam", ("exp_avg", "exp_avg_sq"))
    if type(optimizer) is SGD and group["momentum"] == 0:
        return Kind("SGD", (), counts_steps=False)
    if type(optimizer) is SGD:
        return Kind("Momentum", ("momentum_buffer",), counts_steps=False)
    if type(optimizer) is RMSprop and group["momentum"] == 0:
        return Kind("RMSprop", ("square_avg",))
    raise Unavailable(f"{name}: not supported by the compiled kernel")


@cache
def compiled(optimizer: str) -> ctypes.CDLL:
    """Give the kernel for an optimizer, from the per-user cache if it was compiled before.

    The compiler is the one that the environment variable CXX names, else g++, clang++ or c++. A file of the cache has
    its hash in its name, so that one that is incomplete is not loaded; the system would not notice before it crashes.

    Raises:
        Unavailable: there is no compiler, or it fails.
    """
    compiler = _compiler()
    command = [*compiler, *OPTIONS, f"-DOPTIMIZER={optimizer}", str(SOURCE)]
    # A home directory may be shared by machines of which one lacks the instructions of another.
    made_from = [SOURCE.read_text(encoding="utf-8"), *command[:-1], machine.instructions()]
    folder, name = Path(user_cache_path("mnist_mlp")), f"kernel-{_digest(repr(made_from).encode())}"
    for path in sorted(folder.glob(f"{name}-*.so")):
        with suppress(OSError):  # not for this user, or made where the system's libraries are others
            if path.stem == f"{name}-{_digest(path.read_bytes())}":
                return _load(path)
    try:
        with tempfile.TemporaryDirectory() as directory:
            made = Path(directory) / "kernel.so"
            subprocess.run(
                [*command, "-o", str(made)], check=True, capture_output=True, env=os.environ | {"LC_ALL": "C"}
            )
            try:
                return _load(_keep(made.read_bytes(), folder, name))
            except OSError as error:
                loaded = _load(made)
                log.info("the compiled kernel cannot be kept, and each process compiles its own: %s", error)
                return loaded
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").splitlines()
        reason = next((line for line in said if "error" in line), f"status {error.returncode}")
        raise Unavailable(f"{compiler[0]} does not compile the kernel: {reason}") from error
    except (OSError, AttributeError) as error:  # AttributeError: the library lacks a function
        raise Unavailable(f"the kernel cannot be compiled or loaded: {error}") from error


def _compiler() -> list[str]:
    named = os.environ.get("CXX")
    try:
        compiler = shlex.split(named) if named else [name for name in COMPILERS if shutil.which(name)][:1]
    except ValueError as error:
        raise Unavailable(f"CXX={named!r}: {error}") from error
    if not compiler or shutil.which(compiler[0]) is None:
        raise Unavailable(f"there is no C++ compiler{f' {compiler[0]}' if compiler else ''}")
    return compiler


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _keep(library: bytes, folder: Path, name: str) -> Path:
    # Whatever ends this process or the machine, the file is whole, or is not there.
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{_digest(library)}.so"
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        partial = Path(directory) / path.name
        with partial.open("wb") as file:
            file.write(library)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.train.argtypes = [ctypes.POINTER(Task)]
    library.train.restype = ctypes.c_int64
    library.instructions.restype = ctypes.c_char_p
    return library


def _pointers(tensors: list[Tensor]) -> "ctypes.Array[ctypes.c_void_p]":
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))
