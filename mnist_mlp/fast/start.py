"""A fast start: imports Lightning without the libraries that it imports, but a run does not use. Free of torch.

`import lightning` takes several times as long as `import torch`, nearly all of it for these reasons:

- torchmetrics imports all its metrics, and with them scipy.signal, torchvision's models and matplotlib, merely because
  they are installed. Lightning needs two base classes.
- Lightning imports torch._dynamo, the compiler behind `torch.compile`, for the name of a class and a decorator.
- The optimizers of torch import torch._dynamo when they are made, for the same decorator, and
  `torch.use_deterministic_algorithms`, which the Trainer calls, imports torch._inductor for one of its settings.

A stand-in takes the place of each such module until something else is asked of it, as by `torch.compile`, an export to
ONNX or a metric of the user's: then the real module is imported. Another version of these libraries that asks for more
gets the real modules at once.
"""

import functools
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

from typing_extensions import override

DYNAMO, INDUCTOR = "torch._dynamo", "torch._inductor"
METRICS, PLOT = "torchmetrics", "torchmetrics.utilities.plot"

BASES = {"Metric": "torchmetrics.metric", "MetricCollection": "torchmetrics.collections"}
"""The base classes that Lightning needs, with their modules."""


def prepare() -> None:
    """Let the next import of Lightning be a fast one. Without effect if Lightning has been imported.

    OpenMP's threads, which PyTorch uses, spin while they wait for each other, and so hold up the one that they wait for
    where something else needs the core: a step on two cores then takes ten times as long or more. They sleep instead,
    unless the user has set OMP_WAIT_POLICY, which OpenMP reads when torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if "lightning" not in sys.modules and not any(isinstance(finder, BeforeLightning) for finder in sys.meta_path):
        sys.meta_path.insert(0, BeforeLightning())


class BeforeLightning(MetaPathFinder):
    """Puts the stand-ins in place when Lightning is about to be imported."""

    @override
    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        if name == "lightning":
            sys.meta_path.remove(self)
            import torch

            if not {DYNAMO, INDUCTOR} & sys.modules.keys():
                torch._dynamo, torch._inductor = Dynamo(DYNAMO), Inductor(INDUCTOR)
                for module in (torch._dynamo, torch._inductor, torch._inductor.config):
                    sys.modules[module.__name__] = module
                sys.meta_path[:0] = [BeforeSubmodules(torch._dynamo), BeforeSubmodules(torch._inductor)]
            if METRICS not in sys.modules and (spec := find_spec(METRICS)):
                sys.modules[METRICS] = Metrics(spec)
                sys.modules[PLOT] = Plot(PLOT)


class StandIn(ModuleType):
    """Takes the place of a module until it is asked for something that the stand-in does not have."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # which some ask of all modules
            raise AttributeError(name)
        return getattr(self.real(), name)

    @property
    def replaced(self) -> bool:
        """Whether the real module has been imported."""
        return sys.modules[self.__name__] is not self

    def real(self) -> ModuleType:
        """Import the real module."""
        if not self.replaced:
            del sys.modules[self.__name__]
            importlib.import_module(self.__name__)
        return sys.modules[self.__name__]


class Package(StandIn):
    """Takes the place of a package, whose submodules are found."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        spec = find_spec(name)
        assert spec is not None
        self.__path__ = list(spec.submodule_search_locations or ())


class BeforeSubmodules(MetaPathFinder):
    """Imports a real package before a submodule of it."""

    def __init__(self, package: StandIn) -> None:
        self.package = package

    @override
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(f"{self.package.__name__}."):
            return None
        if not self.package.replaced:
            self.package.real()
            if name in sys.modules:  # imported by the package, and to be imported once
                return ModuleSpec(name, Imported(sys.modules[name]))
        return None


class Imported(Loader):
    """Loads a module that has been imported already."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    @override
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    @override
    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


class Dynamo(Package):
    """Stands in for `torch._dynamo`, in a process that compiles nothing yet."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.OptimizedModule = OptimizedModule

    def disable(self, fn: Any = None, recursive: bool = True, **named: Any) -> Callable[..., Any]:
        """Exclude a function from compilation, from the moment when there is a compiler."""
        if fn is None:
            return functools.partial(self.disable, recursive=recursive, **named)
        disabled: Callable[..., Any] | None = None

        @functools.wraps(fn)
        def call(*arguments: Any, **keywords: Any) -> Any:
            nonlocal disabled
            if disabled is None and self.replaced:
                disabled = self.real().disable(fn, recursive, **named)
            return (disabled or fn)(*arguments, **keywords)

        return call

    def graph_break(self, *arguments: Any, **named: Any) -> None:
        """End a graph, if there is a compiler."""
        if self.replaced:
            self.real().graph_break(*arguments, **named)


class Inductor(Package):
    """Stands in for `torch._inductor`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.config = Settings(f"{name}.config", self)

    @override
    def real(self) -> ModuleType:
        if not self.replaced:
            del sys.modules[self.config.__name__]
            super().real()
            for name, value in self.config.values.items():
                setattr(sys.modules[self.config.__name__], name, value)
        return super().real()


class Settings(StandIn):
    """Keeps the settings of a package until it is imported."""

    def __init__(self, name: str, package: Package) -> None:
        super().__init__(name)
        vars(self).update(package=package, values={})

    @override
    def __setattr__(self, name: str, value: Any) -> None:
        if self.replaced:
            setattr(self.real(), name, value)
        else:
            self.values[name] = value

    @override
    def real(self) -> ModuleType:
        self.package.real()
        return sys.modules[self.__name__]


class _SameInstances(type):
    @override
    def __instancecheck__(cls, instance: Any) -> bool:
        dynamo = sys.modules[DYNAMO]
        return not isinstance(dynamo, Dynamo) and isinstance(instance, dynamo.OptimizedModule)


class OptimizedModule(metaclass=_SameInstances):
    """Has the instances of the real class, of which there are none before something is compiled."""


class Plot(StandIn):
    """Stands in for torchmetrics' module of plots, which needs matplotlib."""

    _AX_TYPE = _PLOT_OUT_TYPE = Any

    def plot_single_or_multi_val(self, *arguments: Any, **named: Any) -> Any:
        """Plot a metric's value."""
        return self.real().plot_single_or_multi_val(*arguments, **named)


class Metrics(ModuleType):
    """The package torchmetrics, whose own code runs when it is asked for more than its base classes."""

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        vars(self).update(vars(module_from_spec(spec)))
        self._logger = logging.getLogger(METRICS)  # which its modules import from it

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in BASES:
            importlib.import_module(f"{METRICS}.utilities")  # before the base classes, which it imports as well
            return getattr(importlib.import_module(BASES[name]), name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)
