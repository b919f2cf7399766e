"""Ten questions about a multilayer perceptron on MNIST, with PyTorch Lightning and Hydra.

import mnist_mlp as lab

run = lab.train("model=deep5", batch=25, epochs=2)
sweep = lab.sweep(activation=["relu", "tanh"], seed=range(5))
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_mlp.data import MNISTDataModule
    from mnist_mlp.errors import Problem
    from mnist_mlp.interactive.launch import question, sweep, train
    from mnist_mlp.interactive.tables import epochs, results

_MODULES = {
    "MNISTDataModule": "data",
    "Problem": "errors",
    "epochs": "interactive.tables",
    "question": "interactive.launch",
    "results": "interactive.tables",
    "sweep": "interactive.launch",
    "train": "interactive.launch",
}

__all__ = ["MNISTDataModule", "Problem", "epochs", "question", "results", "sweep", "train"]


def __getattr__(name: str) -> Any:  # imports what is asked for, as torch takes seconds
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
