"""A trained network as a file that other software reads: ONNX, TorchScript or safetensors."""

import io
import json
import logging
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mnist_mlp.errors import Problem
from mnist_mlp.inference.evaluation import data_module
from mnist_mlp.inference.load import Trained
from mnist_mlp.mlp import DIGITS, MLP, PIXELS
from mnist_mlp.runs import machine

INPUT, OUTPUT = "images", "logits"
OPSET = 18  # of ONNX; the first that torch's exporter writes
ROUNDING = 1e-4
"""The difference of two logits, relative to the largest, that the order of sums in float32 explains, and some more."""

Logits = Float[Tensor, "batch 10"]


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        suffix: of its name.
        packages: that it is written with; the extra `export` brings them.
        encode: makes the file's content from a network and its metadata.
        compute: gives the logits of images (float32, batch × 784) by what the file holds.
        verified_by: the package that `compute` needs.
    """

    suffix: str
    packages: tuple[str, ...]
    encode: Callable[[MLP, dict[str, str]], bytes]
    compute: Callable[[Path, Tensor], Logits]
    verified_by: str


class Exported(NamedTuple):
    """A file that was written.

    Attributes:
        path: of the file.
        difference: the largest between its logits and the network's on the test images; None if it was not verified.
    """

    path: Path
    difference: float | None


def export(trained: Trained, format: str, out: Path | None = None, overwrite: bool = False) -> Exported:
    """Write a network to a file, whose logits are compared with the network's before it gets its name.

    Args:
        trained: the network.
        format: a name of `FORMATS`.
        out: the file; None names it by the run's label and seed, in the current folder.
        overwrite: replaces a file that is there.

    Raises:
        Problem: a package is missing, the file is there already or cannot be written, or its logits are others.
    """
    suffix, packages, encode, compute, verified_by = FORMATS[format]
    missing = [package for package in packages if not find_spec(package)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise Problem(f"{' and '.join(missing)} {verb} not installed: pip install -e .[export]")
    result = trained.result
    stem = f"{result.label}-seed{result.seed}" if result else trained.checkpoint.stem
    path = out or Path(f"{stem}{suffix}")
    there = os.path.lexists(path)
    if there and not path.is_file():
        raise Problem(f"{path}: exists and is not a file; choose another --out")
    if there and not overwrite:
        raise Problem(f"{path}: it is there already; --overwrite replaces it, --out names another")
    network = trained.model.network
    (batch,) = data_module(trained.config).test_dataloader()
    with torch.no_grad():
        expected = network(batch.images)
    if not expected.isfinite().all():
        raise Problem(f"{trained.checkpoint}: its logits are not all finite numbers")
    difference = None
    with whole(path) as partial:
        partial.write_bytes(encode(network, describe(trained)))
        if find_spec(verified_by):
            difference = (compute(partial, batch.images) - expected).abs().max().item()
            if not difference <= ROUNDING * max(1, expected.abs().max().item()):
                raise Problem(f"{path}: not written, for its logits differ from the network's by {difference:.1e}")
    return Exported(path, difference)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; the file gets its own when it is whole, and is removed if it is not.

    Raises:
        Problem: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            yield partial
            partial.replace(path)
        finally:
            if partial.exists():
                partial.unlink()
    except OSError as error:
        raise Problem(f"{path}: it cannot be written: {error.strerror or error}") from error


def describe(trained: Trained) -> dict[str, str]:
    """Give what a file says of itself. What is not known of a checkpoint outside a run's folder is left out."""
    parameters: Any = trained.model.hparams["model"]
    texts = {
        "preprocessing": "the 28 x 28 pixels row by row as 784 numbers in [0, 1], each value / 255: "
        "0 is paper and 1 is ink, white on black as in MNIST",
        "input": f"{INPUT}: float32 [batch, {PIXELS}]",
        "output": f"{OUTPUT}: float32 [batch, {DIGITS}]; their softmax has the probabilities of the digits 0 to 9",
        "model": json.dumps(dict(parameters)),
        "versions": json.dumps(machine.versions()),
    }
    if trained.result:
        texts |= {"label": trained.result.label, "id": trained.result.id, "seed": str(trained.result.seed)}
    if trained.recorded:
        texts["test_accuracy"] = str(trained.recorded["accuracy"])
    return texts


def _to_onnx(network: MLP, texts: dict[str, str]) -> bytes:
    import onnx

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # torch 2.9 warns of the operators of torchvision
    program = torch.onnx.export(
        network,
        (torch.zeros(2, PIXELS),),  # two, for the exporter takes a dimension of 1 for a constant
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


def _by_onnx(path: Path, images: Tensor) -> Logits:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


@contextmanager
def _torchscript() -> Iterator[Any]:
    """Give torch.jit. From torch 2.14 on it warns of its use, but there is nothing else that it gives to plain C++."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", FutureWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        yield torch.jit


def _to_torchscript(network: MLP, texts: dict[str, str]) -> bytes:
    saved, content = io.BytesIO(), io.BytesIO()
    with _torchscript() as jit:
        # The layers alone, for checks of shapes in forward would be traced too.
        jit.save(jit.trace(network.layers, torch.zeros(2, PIXELS)), saved, _extra_files=texts)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(content, "w") as target:
        for name in source.namelist():
            if not name.endswith(".debug_pkl"):  # stack traces, with the paths of this machine
                target.writestr(zipfile.ZipInfo(name), source.read(name))
    return content.getvalue()


def _by_torchscript(path: Path, images: Tensor) -> Logits:
    with _torchscript() as jit:
        return jit.load(path, map_location="cpu")(images)


def _to_safetensors(network: MLP, texts: dict[str, str]) -> bytes:
    from safetensors.torch import save

    return save(network.state_dict(), texts)


@torch.no_grad()
def _by_safetensors(path: Path, images: Tensor) -> Logits:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        network = MLP(**json.loads(file.metadata()["model"]))
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 # no mapping
    return network.eval()(images)


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxscript"), _to_onnx, _by_onnx, "onnxruntime"),
    "torchscript": Format(".pt", (), _to_torchscript, _by_torchscript, "torch"),
    "safetensors": Format(".safetensors", ("safetensors",), _to_safetensors, _by_safetensors, "safetensors"),
}
