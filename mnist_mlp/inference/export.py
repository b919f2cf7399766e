"""The export of a trained network to a file for other software: ONNX, TorchScript or safetensors."""

import io
import json
import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mnist_mlp import files
from mnist_mlp.errors import Problem, installing
from mnist_mlp.images import DIGITS, PIXELS, SIDE
from mnist_mlp.inference.evaluation import data_module
from mnist_mlp.inference.load import Trained
from mnist_mlp.language import _, figure, ngettext
from mnist_mlp.mlp import MLP
from mnist_mlp.networks import OwnNetwork
from mnist_mlp.runs import machine

INPUT, OUTPUT = "images", "logits"
OPSET = 18  # of ONNX; the oldest that torch's exporter writes
ROUNDING = 1e-4
"""The difference of two logits, relative to the largest, that the order of float32 sums explains, with a margin."""

Logits = Float[Tensor, "batch 10"]
Network = MLP | OwnNetwork


class Format(NamedTuple):
    """A file format.

    Attributes:
        suffix: of the file's name.
        packages: required to write it; they are in the extra `export`.
        encode: makes the file's content from a network and its metadata.
        compute: returns the logits of images (float32, batch × 784) by the network in a file, given that network.
        verified_by: the package that `compute` requires.
    """

    suffix: str
    packages: tuple[str, ...]
    encode: Callable[[Network, dict[str, str]], bytes]
    compute: Callable[[Path, Tensor, Network], Logits]
    verified_by: str


class Exported(NamedTuple):
    """A file that has been written.

    Attributes:
        path: of the file.
        difference: the largest between its logits and the network's on the test images; None if it is not verified.
    """

    path: Path
    difference: float | None


def export(trained: Trained, format: str, out: Path | None = None, overwrite: bool = False) -> Exported:
    """Write a network to a file, after verifying that its logits are those of the network.

    Args:
        trained: the network.
        format: a name of `FORMATS`.
        out: the file; None for a name from the run's label and seed, in the current folder.
        overwrite: whether to replace an existing file.

    Raises:
        Problem: a package is missing, the file already exists or cannot be written, or its logits differ.
    """
    suffix, packages, encode, compute, verified_by = FORMATS[format]
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        said = ngettext(
            "{packages} is not installed: {command}", "{packages} are not installed: {command}", len(missing)
        )
        raise Problem(said.format(packages=_(" and ").join(missing), command=installing("export")))
    result = trained.result
    stem = f"{result.label}-seed{result.seed}" if result else trained.checkpoint.stem
    path = out or Path(f"{stem}{suffix}")
    exists = os.path.lexists(path)
    if exists and not path.is_file():
        raise Problem(_("{path}: exists and is not a file; choose another --out").format(path=path))
    if exists and not overwrite:
        said = _("{path}: already exists; use --overwrite to replace it, or choose another --out")
        raise Problem(said.format(path=path))
    network = trained.model.network
    (batch,) = data_module(trained.data).test_dataloader()
    with torch.no_grad():
        expected = network(batch.images)
    if not expected.isfinite().all():
        said = _("{path}: not exported, as some logits of the network are not finite")
        raise Problem(said.format(path=trained.checkpoint))
    difference = None
    with files.saving(path) as partial:
        partial.write_bytes(encode(network, describe(trained)))
        if find_spec(verified_by):
            difference = (compute(partial, batch.images, network) - expected).abs().max().item()
            if not difference <= ROUNDING * max(1, expected.abs().max().item()):
                said = _("{path}: not written, as its logits differ from the network's by {difference}")
                raise Problem(said.format(path=path, difference=figure(difference, ".1e")))
    return Exported(path, difference)


def describe(trained: Trained) -> dict[str, str]:
    """Return a file's metadata: label, seed and test accuracy if there is a record, data and classes if known."""
    parameters: Any = trained.model.hparams["model"]
    outputs = "the ten classes"
    known = trained.result or trained.model.data_set
    if known:
        digits = trained.dataset in ("mnist", "emnist_digits")
        outputs = "the digits 0 to 9" if digits else f"the classes {', '.join(trained.classes)}"
    temperature = trained.result and trained.result.temperature
    scaled = "divided by the temperature, " if temperature else ""
    texts = {
        "preprocessing": f"the {SIDE} x {SIDE} pixels row by row as {PIXELS} numbers in [0, 1], each value / 255: "
        "0 is paper and 1 is ink, white on black as in MNIST",
        "input": f"{INPUT}: float32 [batch, {PIXELS}]",
        "output": f"{OUTPUT}: float32 [batch, {DIGITS}]; {scaled}their softmax gives the probabilities of {outputs}",
        "model": json.dumps(dict(parameters)),
        "versions": json.dumps(machine.versions()),
    }
    if trained.result:
        texts |= {"label": trained.result.label, "id": trained.result.id, "seed": str(trained.result.seed)}
    if known:
        texts |= {"data": trained.dataset, "classes": json.dumps(trained.classes)}
    if temperature:
        texts["temperature"] = str(temperature)
    if trained.recorded:
        texts["test_accuracy"] = str(trained.recorded["accuracy"])
    return texts


def _to_onnx(network: Network, texts: dict[str, str]) -> bytes:
    import onnx

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # torch 2.9 warns of the operators of torchvision
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`", FutureWarning)  # torch 2.13 of itself
        program = torch.onnx.export(
            network,
            (torch.zeros(2, PIXELS),),  # two, because the exporter makes a constant of a dimension of 1
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"images": {0: "batch"}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        part.ClearField("metadata_props")  # stack traces, with the paths of this machine
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _by_onnx(path: Path, images: Tensor, network: Network) -> Logits:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


@contextmanager
def _torchscript() -> Iterator[Any]:
    """Yield torch.jit without its deprecation warnings: torch has no other format that plain C++ programs can load."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        yield torch.jit


def _to_torchscript(network: Network, texts: dict[str, str]) -> bytes:
    saved, content = io.BytesIO(), io.BytesIO()
    with _torchscript() as jit:
        # Only the layers: tracing MLP.forward would include checks of shapes.
        jit.save(jit.trace(network.layers, torch.zeros(2, PIXELS)), saved, _extra_files=texts)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(content, "w") as target:
        for name in source.namelist():
            if not name.endswith(".debug_pkl"):  # stack traces, with the paths of this machine
                target.writestr(zipfile.ZipInfo(name), source.read(name))
    return content.getvalue()


def _by_torchscript(path: Path, images: Tensor, network: Network) -> Logits:
    with _torchscript() as jit:
        return jit.load(path, map_location="cpu")(images)


def _to_safetensors(network: Network, texts: dict[str, str]) -> bytes:
    from safetensors.torch import save

    # A network of the user's own is saved under its own names, and a shared tensor under each of them.
    tensors = (network.network if isinstance(network, OwnNetwork) else network).state_dict()
    return save({name: tensor.clone() for name, tensor in tensors.items()}, texts)


@torch.no_grad()
def _by_safetensors(path: Path, images: Tensor, network: Network) -> Logits:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no mapping
        model = json.loads(file.metadata()["model"])
    if isinstance(network, OwnNetwork):
        loaded: Network = deepcopy(network)
        tensors = {f"network.{name}": tensor for name, tensor in tensors.items()}
    else:
        loaded = MLP(**model)
    loaded.load_state_dict(tensors)
    return loaded.eval()(images)


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxscript"), _to_onnx, _by_onnx, "onnxruntime"),
    "torchscript": Format(".pt", (), _to_torchscript, _by_torchscript, "torch"),
    "safetensors": Format(".safetensors", ("safetensors",), _to_safetensors, _by_safetensors, "safetensors"),
}
