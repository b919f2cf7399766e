"""Networks of the user's own, in the place of the multilayer perceptron: any module from images to ten logits."""

import hashlib
import inspect
import io
import json
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from mnist_mlp.config.sources import APART, fingerprint, is_current, split
from mnist_mlp.config.valid import formatted, nearest, one_line
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.images import DIGITS, PIXELS, SIDE
from mnist_mlp.language import _
from mnist_mlp.mlp import MLP

FILE = "network.pt"
"""In the folder of a run that was given an instance: the instance as it was."""

SHAPES = ((PIXELS,), (1, SIDE, SIDE), (SIDE, SIDE))
"""The shapes that a network may take an image in, in the order in which they are tried."""

PLAIN = (bool, int, float, str, type(None))


class OwnNetwork(nn.Module):
    """A network of the user's own, which gets the images in the shape that it takes.

    Args:
        network: from images, of one of `SHAPES` each, to ten logits.

    Raises:
        Problem: it has no parameters, or takes or gives another shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.train()
        self.shape = shape_of(network)

    @property
    def layers(self) -> nn.Module:
        """What computes the logits from images of 784 pixels, without checks of shapes."""
        return _Shaped(self.network, self.shape)

    def linear_layers(self) -> list[nn.Linear]:
        """Return the linear layers of the pixels of an image, if there are any."""
        layers = [layer for layer in self.network.modules() if isinstance(layer, nn.Linear)]
        return [layer for layer in layers if layer.in_features == PIXELS]

    def named_weights(self) -> dict[str, str]:
        """Return the names of the parameters whose histograms are logged, with those that they are logged under."""
        return {f"network.{name}": name for name, _ in self.network.named_parameters()}

    @override
    def forward(self, images: Float[Tensor, " batch *pixels"]) -> Float[Tensor, "batch 10"]:
        """Compute the logits of a batch of images, which may be flat (784) or not (28 × 28)."""
        logits: Tensor = self.network(images.reshape(-1, *self.shape))
        return logits


class _Shaped(nn.Module):
    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network
        self.shape = shape
        self.train(network.training)

    @override
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images.reshape(-1, *self.shape))
        return logits


def build(model: dict[str, Any], instance: nn.Module | None = None) -> MLP | OwnNetwork:
    """Make the network that a configuration describes.

    Args:
        model: the parameters of `MLP`, or the `_target_` of a network of the user's own with those of its constructor.
        instance: that network, if it was given as one.

    Raises:
        Problem: the class cannot be imported or called, or its network takes or gives another shape.
    """
    if "_target_" not in model:
        return MLP(**model)
    if instance is not None:
        return OwnNetwork(instance)
    kind = class_of(model["_target_"])
    parameters = {name: value for name, value in model.items() if not name.startswith("_")}
    accepted = _accepted(kind)
    for name in parameters:
        if accepted is not None and name not in accepted:
            said = _("model.{name}: {kind} has no such parameter{hint}")
            raise Problem(said.format(name=name, kind=kind.__name__, hint=nearest(name, accepted)))
    try:
        network = kind(**parameters)
    except Exception as error:  # a user's class can raise anything
        raise Problem(f"model={kind.__name__}: {type(error).__name__}: {one_line(str(error))}") from error
    return OwnNetwork(network)


def class_of(target: str) -> type[nn.Module]:
    """Import a class of networks.

    Raises:
        Problem: it cannot be imported, is none, or its source has changed since it was imported.
    """
    module, names = split(target)
    try:
        found: Any = import_module(module)
    except Exception as error:  # a user's module can raise anything
        said = _("model._target_={target}: {module} cannot be imported: {reason}")
        reason = f"{type(error).__name__}: {one_line(str(error))}"
        raise Problem(said.format(target=target, module=module, reason=reason)) from error
    for name in names.split("."):
        if not hasattr(found, name):
            said = _("model._target_={target}: {module} has no {name}{hint}")
            hint = nearest(name, vars(found))
            raise Problem(said.format(target=target, module=module, name=name, hint=hint))
        found = getattr(found, name)
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise Problem(_("model._target_={target}: must be a class of torch.nn.Module").format(target=target))
    if not is_current(found):
        said = _("model._target_={target}: its source has changed since it was imported; restart Python")
        raise Problem(said.format(target=target))
    return found


def _accepted(kind: type[nn.Module]) -> list[str] | None:
    # The names of the parameters of a constructor; None if it takes any.
    parameters = inspect.signature(kind).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]


def shape_of(network: nn.Module) -> tuple[int, ...]:
    """Find the shape of an image that a network takes, by its logits of two of them.

    Raises:
        Problem: it has no parameters, or none of `SHAPES` gives two rows of ten logits.
    """
    name, came, training = type(network).__name__, [], network.training
    network.eval()
    try:
        for shape in SHAPES:
            form = " x ".join(["batch", *map(str, shape)])
            try:
                with torch.no_grad():
                    logits: Any = network(torch.zeros(2, *shape, dtype=_precision(network)))
            except Exception as error:  # a user's module can raise anything
                came.append(_("{form} raised {error}").format(form=form, error=type(error).__name__))
                continue
            if isinstance(logits, Tensor) and logits.shape == (2, DIGITS) and logits.is_floating_point():
                if not any(parameter.requires_grad for parameter in network.parameters()):
                    raise Problem(_("model={name}: has no parameters to train").format(name=name))
                return shape
            gave = " x ".join(map(str, logits.shape)) if isinstance(logits, Tensor) else type(logits).__name__
            came.append(_("{form} gave {result}").format(form=form, result=gave))
    finally:
        network.train(training)
    said = _("model={name}: must give 2 x {digits} logits of two images, but {came}")
    raise Problem(said.format(name=name, digits=DIGITS, came=", ".join(came)))


def _precision(network: nn.Module) -> torch.dtype:
    return next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.float32)


def described(network: Any) -> dict[str, Any]:
    """Describe a network of the user's own, as a configuration's `network` does.

    Args:
        network: a class of torch.nn.Module, a functools.partial of one, or an instance. The seed of a run draws the
            weights of the first two; those of an instance are used as they are.

    Raises:
        Problem: it is none of them, or cannot be identified: parameters that are not plain values, no source, ...
    """
    kind = network.func if isinstance(network, partial) else type(network)
    if isinstance(network, type):
        kind = network
    if not isinstance(kind, type) or not issubclass(kind, nn.Module):
        said = _("model={value}: must be a class of torch.nn.Module, a functools.partial of one, or an instance")
        raise Problem(said.format(value=repr(network)))
    if "<" in kind.__qualname__:
        said = _("model={name}: is defined in a function; define it in a module or a cell")
        raise Problem(said.format(name=kind.__name__))
    model = {"_target_": f"{kind.__module__}.{kind.__qualname__}"}
    model["_source_"] = fingerprint(model["_target_"])
    if isinstance(network, nn.Module):
        return model | {"_state_": state_of(network)}
    try:
        called = network if isinstance(network, partial) else partial(network)
        bound = inspect.signature(kind).bind_partial(*called.args, **called.keywords)
    except TypeError as error:
        raise Problem(f"model={kind.__name__}: {error}") from error
    parameters = dict(bound.arguments)
    for parameter in inspect.signature(kind).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            parameters |= parameters.pop(parameter.name, {})
    for name, value in parameters.items():
        if not _is_plain(value):
            said = _("model.{name}={value}: not a plain value, so the network cannot be identified")
            raise Problem(said.format(name=name, value=repr(value)))
    return model | json.loads(json.dumps(parameters))


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(each) for name, each in value.items())
    return all(map(_is_plain, value)) if isinstance(value, list | tuple) else isinstance(value, PLAIN)


def state_of(network: nn.Module) -> str:
    """Hash an instance's parts, attributes, parameters and buffers, and the sources of their classes, to 8 digits.

    Raises:
        Problem: an attribute cannot be identified, or the instance not be kept in a file.
    """
    hashed = hashlib.sha256()
    for name, module in network.named_modules(remove_duplicate=False):
        kind = type(module)
        target = f"{kind.__module__}.{kind.__qualname__}"
        source = "" if kind.__module__.partition(".")[0] in APART else fingerprint(target)
        hashed.update(f"{name}\0{target}\0{source}\0".encode())
        for attribute, value in sorted(vars(module).items()):
            if attribute in vars(nn.Module()):
                if "hooks" in attribute and value:
                    said = _("model={name}: has hooks, which cannot be identified; pass its class instead")
                    raise Problem(said.format(name=kind.__name__))
                continue
            for part in _parts(f"{kind.__name__}.{attribute}", value):
                hashed.update(attribute.encode() + b"\0" + part + b"\0")
    for name, tensor in network.state_dict(keep_vars=True).items():
        for part in _parts(name, tensor):
            hashed.update(name.encode() + b"\0" + part + b"\0")
    read(packed(network), "model")
    return hashed.hexdigest()[:8]


def _parts(name: str, value: Any) -> Iterator[bytes]:
    # The bytes that tell an attribute from another.
    if isinstance(value, Tensor):
        yield f"{value.dtype}{tuple(value.shape)}{value.requires_grad}".encode()
        yield value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
    elif isinstance(value, dict):
        for key, each in value.items():
            yield repr(key).encode()
            yield from _parts(name, each)
    elif isinstance(value, list | tuple):
        yield f"{type(value).__name__}{len(value)}".encode()
        for each in value:
            yield from _parts(name, each)
    elif isinstance(value, (*PLAIN, torch.dtype, torch.device)):
        yield repr(value).encode()
    elif isinstance(value, type | FunctionType | BuiltinFunctionType) and value.__name__ != "<lambda>":
        yield f"{value.__module__}.{value.__qualname__}".encode()
    elif not isinstance(value, nn.Module):  # which is a part with a name of its own
        said = _("model: {name} is {value}, which cannot be identified; pass the class instead")
        raise Problem(said.format(name=name, value=formatted(value)))


def packed(network: nn.Module) -> bytes:
    """Return an instance as the content of a file.

    Raises:
        Problem: it cannot be kept in one.
    """
    content = io.BytesIO()
    try:
        torch.save(network, content)
    except Exception as error:  # pickle can raise anything
        said = _("model={name}: cannot be kept in a file: {reason}; pass the class instead")
        raise Problem(said.format(name=type(network).__name__, reason=one_line(str(error)))) from error
    return content.getvalue()


def read(content: bytes, name: str | Path) -> nn.Module:
    """Read an instance from the content of a file, which can make modules of torch.nn and of the user's, nothing else.

    Raises:
        Problem: it is corrupt, its classes cannot be imported, or it has something else in it.
    """
    try:
        allowed = []
        for target in torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content)):
            part: Any = import_module(target.rpartition(".")[0])
            part = getattr(part, target.rpartition(".")[2])
            of_torch = target.startswith("torch.nn.functional.") or getattr(part, "__module__", "").startswith(
                "torch.nn."
            )
            if not (isinstance(part, type) and issubclass(part, nn.Module)) and not (of_torch and callable(part)):
                said = _("{name}: {target} is no part of a network; pass the class of the network instead")
                raise Problem(said.format(name=name, target=target))
            allowed.append(part)
        with torch.serialization.safe_globals(allowed):
            found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Problem:
        raise
    except Exception as error:  # reading garbage can end in anything
        said = _("{name}: the network cannot be read again: {reason}")
        raise Problem(said.format(name=name, reason=one_line(str(error))[:200])) from error
    if not isinstance(found, nn.Module):
        raise Problem(_("{name}: is no network").format(name=name))
    return found


def instance_of(model: dict[str, Any], kept: Path) -> nn.Module | None:
    """Return what a trained network of the user's own was an instance of; None if it was a class.

    Args:
        model: as of `build`.
        kept: the file of the instance, which need not exist otherwise.

    Raises:
        Problem: the source of the network has changed since it was trained, or the instance cannot be read.
    """
    said = _("{target} has changed since this run; restore its source, or train it again")
    changed = Problem(said.format(target=model["_target_"]))
    if fingerprint(model["_target_"]) != model.get("_source_"):
        raise changed
    if "_state_" not in model:
        return None
    try:
        content = kept.read_bytes()
    except OSError as error:
        said = _("{path}: cannot be read: {reason}; it has the layers of the network")
        raise Problem(said.format(path=kept, reason=reason_of(error))) from error
    instance = read(content, kept)
    if state_of(instance) != model["_state_"]:  # a part of it is of another module
        raise changed
    return instance
