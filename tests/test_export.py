"""An exported network gives the same logits as the trained one, and its file says what it is."""

import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import ROOT, SHORT
from safetensors import safe_open

from mnist_mlp import errors
from mnist_mlp.cli.export import FORMATS
from mnist_mlp.cli.train import main
from mnist_mlp.errors import Problem
from mnist_mlp.inference import export
from mnist_mlp.inference import load as trained
from mnist_mlp.inference.load import Trained
from mnist_mlp.mlp import MLP

SCRIPT = ROOT / "scripts" / "export.py"
KEYS = [
    "preprocessing",
    "input",
    "output",
    "model",
    "versions",
    "label",
    "id",
    "seed",
    "temperature",
    "test_accuracy",
    "data",
    "classes",
]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A trained network of a single run."""
    folder = tmp_path_factory.mktemp("exported") / "runs"
    model = ["model.hidden_sizes=[20,12,8]", "model.activation=[relu,tanh,sigmoid]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *SHORT, *model, "logger=none", "name=q10", f"runs_dir={folder}"])
        main()
    return trained.load("best", str(folder))


@pytest.fixture
def run(network: Trained) -> str:
    return str(network.folder)


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run a command line of export.py in this process and in a folder of the test's; give its exit status."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


def file_of(network: Trained, format: str, folder: Path) -> Path:
    path = folder / f"network{export.FORMATS[format].suffix}"
    export.export(network, format, path)
    return path


def logits_by(path: Path, images: torch.Tensor) -> torch.Tensor:
    """Compute logits as a user of the file would, without this project where the format allows it."""
    if path.suffix == ".onnx":
        (logits,) = onnxruntime.InferenceSession(path).run(["logits"], {"images": images.numpy()})
        return torch.from_numpy(logits)
    if path.suffix == ".pt":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated")
            return torch.jit.load(path)(images).detach()
    with safe_open(path, "pt") as file:
        network = MLP(**json.loads(file.metadata()["model"]))
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 # no mapping
    return network(images).detach()


def metadata_of(path: Path) -> dict[str, str]:
    if path.suffix == ".onnx":
        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    if path.suffix == ".pt":
        texts = dict.fromkeys(KEYS, "")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`torch\.jit\.load` is deprecated")
            torch.jit.load(path, _extra_files=texts)
        return {key: text.decode() if isinstance(text, bytes) else text for key, text in texts.items()}
    with safe_open(path, "pt") as file:
        return file.metadata()


@pytest.mark.parametrize("format", export.FORMATS)
def test_the_file_gives_the_same_logits_for_batches_of_any_size(network: Trained, format: str, tmp_path: Path) -> None:
    path = file_of(network, format, tmp_path)
    for batch in (1, 7, 1000):
        images = torch.rand(batch, 784, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            expected = network.model(images)
        logits = logits_by(path, images)
        assert logits.shape == (batch, 10)
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("format", export.FORMATS)
def test_the_file_says_what_it_is(network: Trained, format: str, tmp_path: Path) -> None:
    texts = metadata_of(file_of(network, format, tmp_path))
    assert sorted(texts) == sorted(KEYS)
    assert network.result is not None
    assert network.result.test is not None
    assert (texts["label"], texts["id"], texts["seed"]) == (network.result.label, network.result.id, "0")
    assert float(texts["test_accuracy"]) == network.result.test["accuracy"]
    assert json.loads(texts["model"]) == {
        "hidden_sizes": [20, 12, 8],
        "activation": ["relu", "tanh", "sigmoid"],
        "init": "glorot",
        "normalization": "none",
        "noise": 0.0,
        "dropout": 0.0,
        "input_dropout": 0.0,
    }
    assert {"python", "torch", "mnist-mlp"} <= json.loads(texts["versions"]).keys()
    assert texts["input"] == "images: float32 [batch, 784]"
    assert texts["output"].startswith("logits: float32 [batch, 10]; divided by the temperature, their softmax")
    assert float(texts["temperature"]) == network.temperature != 1
    assert "[0, 1]" in texts["preprocessing"]


def test_an_onnx_file_names_its_input_output_and_batch(network: Trained, tmp_path: Path) -> None:
    model = onnx.load(file_of(network, "onnx", tmp_path))
    onnx.checker.check_model(model, full_check=True)
    for value, name, size in ((model.graph.input[0], "images", 784), (model.graph.output[0], "logits", 10)):
        batch, width = value.type.tensor_type.shape.dim
        assert (value.name, batch.dim_param, width.dim_value) == (name, "batch", size)
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


@pytest.mark.parametrize("format", export.FORMATS)
def test_no_path_of_the_machine_is_in_the_file(network: Trained, format: str, tmp_path: Path) -> None:
    content = file_of(network, format, tmp_path).read_bytes()
    parts = [content]
    if format == "torchscript":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts = [archive.read(name) for name in archive.namelist()]
    assert not any(str(ROOT).encode() in part or b"site-packages" in part for part in parts)


def test_a_checkpoint_outside_a_run_is_exported_under_its_own_name(
    network: Trained, command_line: Callable[..., int], tmp_path: Path
) -> None:
    shutil.copy(network.checkpoint, tmp_path / "mine.ckpt")
    assert command_line("mine.ckpt", "--format", "safetensors") == 0
    texts = metadata_of(tmp_path / "mine.safetensors")
    assert sorted(texts) == ["classes", "data", "input", "model", "output", "preprocessing", "versions"]


@pytest.mark.parametrize("hidden", [[], [5]])
@pytest.mark.parametrize("format", export.FORMATS)
def test_networks_of_few_layers_are_exported_too(
    network: Trained, format: str, hidden: list[int], tmp_path: Path
) -> None:
    model: dict[str, Any] = {"hidden_sizes": hidden, "activation": "gelu", "init": "torch"}
    small = Trained(network.checkpoint, type(network.model)(model, network.model.optimizer).eval(), None, None)
    images = torch.from_numpy(np.random.default_rng(0).random((3, 784), np.float32))
    logits = logits_by(file_of(small, format, tmp_path), images)
    torch.testing.assert_close(logits, small.model(images).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("format", export.FORMATS)
def test_the_script_names_the_file_and_the_largest_difference(
    network: Trained, run: str, command_line: Callable[..., int], capsys: pytest.CaptureFixture[str], format: str
) -> None:
    assert network.result is not None
    name = f"{network.result.label}-seed0{export.FORMATS[format].suffix}"
    assert command_line(run, "--format", format) == 0
    said = capsys.readouterr()
    difference, path = said.out.splitlines()
    assert path == name
    said_before, number = difference.rsplit(" ", 1)
    assert said_before == "largest difference from the network's logits on the test images:"
    assert float(number) < 1e-4
    assert os.listdir() == [name]


def test_a_file_is_replaced_only_if_asked_for(
    run: str, command_line: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.pt").write_text("precious", encoding="utf-8")
    assert command_line(run, "--format", "torchscript", "--out", "mine.pt") == 2
    assert (
        capsys.readouterr().err == "mine.pt: already exists; use --overwrite to replace it, or choose another --out\n"
    )
    assert (tmp_path / "mine.pt").read_text(encoding="utf-8") == "precious"
    assert command_line(run, "--format", "torchscript", "--out", "mine.pt", "--overwrite") == 0
    assert (tmp_path / "mine.pt").stat().st_size > 10_000
    assert os.listdir() == ["mine.pt"]


def test_an_extra_is_installed_as_the_package_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(errors.CHECKOUT)
    assert errors.installing("export") == 'pip install -e ".[export]"'
    monkeypatch.setattr(errors, "CHECKOUT", tmp_path)  # without a pyproject.toml, as where a wheel is installed
    assert errors.installing("export") == 'pip install "mnist-mlp[export]"'


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None if name in packages else name)


@pytest.mark.parametrize(
    ("format", "missing", "line"),
    [
        ("onnx", ["onnxscript"], "onnxscript is not installed"),
        ("onnx", ["onnx", "onnxscript"], "onnx and onnxscript are not installed"),
        ("safetensors", ["safetensors"], "safetensors is not installed"),
    ],
)
def test_a_missing_extra_is_named(
    run: str,
    command_line: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    format: str,
    missing: list[str],
    line: str,
) -> None:
    without(monkeypatch, *missing)
    assert command_line(run, "--format", format) == 2
    assert capsys.readouterr() == ("", f'{line}: pip install -e "{ROOT}[export]"\n')
    assert os.listdir() == []


def test_without_onnxruntime_the_file_is_written_and_not_compared(
    run: str, command_line: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "onnxruntime")
    assert command_line(run, "--format", "onnx", "--out", "a.onnx") == 0
    assert (
        capsys.readouterr().out
        == "not compared with the network: onnxruntime is not installed: pip install onnxruntime\na.onnx\n"
    )
    onnx.checker.check_model("a.onnx")


@pytest.mark.parametrize("wrong", [0.01, float("nan")])
def test_a_file_with_other_logits_is_not_kept(
    network: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: float
) -> None:
    spoilt = export.FORMATS["torchscript"]._replace(
        compute=lambda _, images, network_: network.model(images).detach() + wrong
    )
    monkeypatch.setitem(export.FORMATS, "torchscript", spoilt)
    (tmp_path / "a.pt").write_text("precious", encoding="utf-8")
    with pytest.raises(Problem, match=r"a\.pt: not written, as its logits differ from the network's by "):
        export.export(network, "torchscript", tmp_path / "a.pt", overwrite=True)
    assert (tmp_path / "a.pt").read_text(encoding="utf-8") == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_weights_that_are_not_numbers_are_not_exported(network: Trained, tmp_path: Path) -> None:
    content = torch.load(network.checkpoint, weights_only=True)
    content["state_dict"]["network.layers.0.bias"][:] = float("nan")
    torch.save(content, tmp_path / "nan.ckpt")
    with pytest.raises(Problem, match=r"nan\.ckpt: not exported, as some logits of the network are not finite"):
        export.export(trained.load(str(tmp_path / "nan.ckpt")), "safetensors", tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def test_a_disk_that_is_full_leaves_nothing(network: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Problem, match=r"a\.pt: cannot be written: No space left on device"):
        export.export(network, "torchscript", tmp_path / "a.pt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none", "--format", "onnx"], "none: there is no such folder or file, and there is no folder runs of runs"),
        (["RUN"], "the following arguments are required: --format"),
        (["RUN", "--format", "onx"], "--format: onx is none of onnx, torchscript, safetensors; did you mean onnx?"),
        (["RUN", "--format", "onnx", "--ot", "a"], "--ot: there is no such option; did you mean --out?"),
        (["RUN", "--format", "onnx", "--out", "no/a"], "no/a: cannot be written: No such file or directory"),
        (["RUN", "--format", "torchscript", "--out", "file/a"], "file/a: cannot be written: Not a directory"),
        (
            ["RUN", "--format", "onnx", "--out", "folder"],
            "folder: exists and is not a file; choose another --out",
        ),
        (["RUN", "--format", "onnx", "--out", "x" * 300], f"{'x' * 300}: cannot be written: File name too long"),
        (
            ["damaged", "--format", "onnx"],
            "damaged: not loaded: corrupt, or it has more than weights and plain values",
        ),
    ],
    ids=[str(number) for number in range(9)],
)
def test_what_is_wrong_is_said_in_one_line(
    run: str,
    command_line: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    line: str,
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "damaged").write_text("PK", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert command_line(*(run if argument == "RUN" else argument for argument in arguments)) == 2
    assert capsys.readouterr() == ("", f"{line}\n")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("format", export.FORMATS)
def test_an_exported_file_is_not_taken_for_a_checkpoint(network: Trained, format: str, tmp_path: Path) -> None:
    path = str(file_of(network, format, tmp_path))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(Problem, match=r"not loaded: corrupt, or |incompatible checkpoint"):
            trained.load(path)
    assert not [warning for warning in said if "torch.load" in str(warning.message)]


def test_the_script_says_nothing_else(run: str, tmp_path: Path) -> None:
    line = [sys.executable, "-W", "default::FutureWarning", "-W", "default::DeprecationWarning:mnist_mlp"]
    line += [str(SCRIPT), run, "--format", "onnx", "--out", "network"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, encoding="utf-8", env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["network"]


def test_the_command_offers_every_format() -> None:
    assert tuple(export.FORMATS) == FORMATS
