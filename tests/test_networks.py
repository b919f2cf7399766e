"""A network of the user's own: trained, resumed, reused, evaluated and exported as the multilayer perceptron is."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SHORT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_training import numbers, results
from torch import nn

from mnist_mlp.callbacks.history import History
from mnist_mlp.cli import verbs
from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.errors import Problem
from mnist_mlp.inference.load import load
from mnist_mlp.networks import OwnNetwork, described, shape_of
from mnist_mlp.training import train

Command = Callable[..., int]

NET = """
from torch import nn

from own_package.parts import activation


class Net(nn.Module):
    def __init__(self, channels: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, channels, 6, stride=4)
        self.norm = nn.BatchNorm2d(channels)
        self.activation = activation()
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(channels * 36, 10)

    def forward(self, images):
        values = self.activation(self.norm(self.convolution(images)))
        return self.logits(self.dropout(values.flatten(1)))


class Shared(nn.Sequential):
    def __init__(self) -> None:
        layer = nn.Linear(28, 28)
        super().__init__(layer, layer, nn.Flatten(), nn.Linear(784, 10))


class Eleven(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(784, 11))


class Empty(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :10]


class Broken(nn.Module):
    def __init__(self) -> None:
        raise LookupError("no such thing")


class Single(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10))


def function():
    return Net()
"""
OWN = "model._target_=own_package.net.Net"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder that has a package with a convolutional network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    folder = tmp_path / "own_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "parts.py").write_text("from torch.nn import ReLU as activation\n", encoding="utf-8")
    (folder / "net.py").write_text(NET, encoding="utf-8")
    forget()
    yield folder
    forget()


def forget() -> None:
    """Import the package anew, as another process does."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_package"]:
        del sys.modules[name]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    forget()


def verb(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["mnist-mlp", *arguments])
    try:
        verbs.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.usefixtures("package")
def test_a_network_of_ones_own_is_trained_and_reused(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, OWN, "model.channels=8") == 0
    ((name, result),) = results(tmp_path / "runs").items()
    assert name == f"model=Net,channels=8,steps_per_epoch=2,epochs=1-{result['id']}/seed0"
    assert (result["status"], result["hardware"]["steps_by"]) == ("completed", "PyTorch")
    network = result["config"]["network"]
    assert network == {"_target_": "own_package.net.Net", "channels": 8, "_source_": network["_source_"]}
    assert result["parameters"] == 8 * 36 + 8 + 2 * 8 + 10 * 8 * 36 + 10
    assert command(*SHORT, OWN, "model.channels=8") == 0
    assert "already completed" in capsys.readouterr().out


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("name", ["Net", "Shared"])
def test_an_interrupted_run_is_resumed_with_the_numbers_of_an_undisturbed_one(
    name: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["data.steps_per_epoch=3", "epochs=3", "trainer=cpu", f"model._target_=own_package.net.{name}"]
    assert command(*line) == 0
    (undisturbed,) = results(tmp_path / "runs").values()
    (tmp_path / "runs").rename(tmp_path / "undisturbed")
    with monkeypatch.context() as patch:

        def interrupt(self: Any, trainer: Any, *arguments: Any) -> None:
            if trainer.current_epoch == 1:
                signal.raise_signal(signal.SIGINT)

        patch.setattr(History, "on_train_batch_end", interrupt)
        assert command(*line) == 130
    assert command(*line) == 0
    (resumed,) = results(tmp_path / "runs").values()
    assert numbers(resumed) == numbers(undisturbed)


@pytest.mark.parametrize(
    ("file", "old", "new"), [("net.py", "flatten(1)", "flatten(start_dim=1)"), ("parts.py", "ReLU", "Tanh")]
)
def test_an_edited_network_is_another_one(
    file: str,
    old: str,
    new: str,
    package: Path,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command(*SHORT, OWN) == 0
    ((name, _),) = results(tmp_path / "runs").items()
    edit(package / file, old, new)
    capsys.readouterr()
    for arguments in (["evaluate"], ["predict", "digit.png"], ["export", "--format", "torchscript"]):
        said = (arguments[0], str(tmp_path / "runs" / name), *arguments[1:])
        assert verb(monkeypatch, *said) == 2
        error = capsys.readouterr().err
        assert "own_package.net.Net has changed since this run; restore its source, or train it again" in error
        assert error.count("\n") == 1
    assert command(*SHORT, OWN) == 0
    assert len(results(tmp_path / "runs")) == 2


def test_a_class_that_was_edited_after_its_import_is_refused(
    package: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, OWN) == 0
    path = package / "net.py"
    path.write_text(path.read_text(encoding="utf-8").replace("flatten(1)", "flatten(start_dim=1)"), encoding="utf-8")
    assert command(*SHORT, OWN) == 2
    assert "its source has changed since it was imported; restart Python" in capsys.readouterr().err


@pytest.mark.usefixtures("package")
def test_a_trained_network_is_evaluated_and_predicts(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, OWN, "ema=0.9", "test=best") == 0
    ((name, result),) = results(tmp_path / "runs").items()
    run = str(tmp_path / "runs" / name)
    capsys.readouterr()
    assert verb(monkeypatch, "evaluate", run, "--json") == 0
    evaluated = json.loads(capsys.readouterr().out)
    assert evaluated["agrees"]
    assert evaluated["test"]["accuracy"] == result["test"]["accuracy"]
    trained = load(run)
    assert isinstance(trained.model.network, OwnNetwork)
    assert trained.model(torch.zeros(2, 28, 28)).shape == (2, 10)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("format", ["torchscript", "safetensors", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_trained_network_is_exported(
    format: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip({"torchscript": "torch", "onnx": "onnxscript"}.get(format, format))
    assert command(*SHORT, OWN) == 0
    (name,) = results(tmp_path / "runs")
    assert verb(monkeypatch, "export", str(tmp_path / "runs" / name), "--format", format) == 0
    assert "largest difference" in capsys.readouterr().out


@pytest.mark.usefixtures("package")
def test_tensorboard_has_its_configuration_and_histograms(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT, OWN, "callbacks=full") == 0
    events = EventAccumulator(str(next(tmp_path.glob("runs/*/seed0"))), size_guidance={"histograms": 0})
    events.Reload()
    tags = events.Tags()
    assert {"weights/convolution.weight", "gradients/logits.bias", "activations/layer_1"} <= set(tags["histograms"])
    assert {"mistakes/test", "confusion_matrix/test"} <= set(tags["images"])
    (text,) = events.Tensors("configuration/text_summary")
    assert "own_package.net.Net" in text.tensor_proto.string_val[0].decode()


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    "override", ["model.channels=2,3", "model._target_=own_package.net.Net,own_package.net.Shared"]
)
def test_a_sweep_trains_each(override: str, command: Command, tmp_path: Path) -> None:
    first = [] if "_target_" in override else [OWN]
    assert command("-m", *SHORT, *first, override) == 0
    assert [result["status"] for result in results(tmp_path / "runs").values()] == ["completed"] * 2


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("steps", ["1", "auto"])
def test_plain_lightning_and_the_engine_train_the_same(steps: str, command: Command, tmp_path: Path) -> None:
    assert command(*SHORT, OWN, f"trainer.steps_per_execution={steps}", "gradient_clip=1", "scheduler=cosine") == 0
    (result,) = results(tmp_path / "runs").values()
    assert result["test"]["loss"] == pytest.approx(2.27, abs=0.2)


@pytest.mark.usefixtures("package")
def test_a_file_of_the_group_model_can_name_a_network(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "model" / "mynet.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("_target_: own_package.net.Net\nchannels: 6\n", encoding="utf-8")
    assert command(*SHORT, "--config-dir", "mine", "model=mynet") == 0
    assert command(*SHORT, "--config-dir", "mine", "model=mynet", "model.channels=2") == 0
    channels = {name.split(",")[0]: each["config"]["network"]["channels"] for name, each in results(tmp_path).items()}
    assert channels == {"runs/model=mynet": 6, "runs/model=Net": 2}


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model._target_=own_package.net.Nett"], "own_package.net has no Nett; did you mean Net?"),
        (["model._target_=own_pakage.Net"], "there is no module own_pakage"),
        (["model._target_=Net"], "must be a module and a class, as in my_package.Net"),
        (["model._target_=own_package.net.function"], "must be a class of torch.nn.Module"),
        (["model._target_=own_package.net.Broken"], "model=Broken: LookupError: no such thing"),
        (["model._target_=own_package.net.Empty"], "model=Empty: has no parameters to train"),
        (
            ["model._target_=own_package.net.Eleven"],
            "model=Eleven: must give 2 x 10 logits of two images, but batch x 784 gave 2 x 11, "
            "batch x 1 x 28 x 28 gave 2 x 11, batch x 28 x 28 gave 2 x 11",
        ),
        (["model._target_=own_package.net.Single", "batch=1"], "Expected more than 1 value per channel"),
        ([OWN, "model.chanels=3"], "model.chanels: Net has no such parameter; did you mean channels?"),
        ([OWN, "model.dropout=none"], "model=Net: TypeError: "),
        ([OWN, "model._seed_=3"], "model._seed_: there is no such key of a network"),
        ([OWN, "width=200"], "width=200: a key of our multilayer perceptron"),
        ([OWN, "activation=tanh"], "activation=tanh: a key of our multilayer perceptron"),
        ([OWN, "model=deep5"], "model.hidden_sizes=[256,128,512,128,256]: a key of our multilayer perceptron"),
        ([OWN, "regularization=batch_norm"], "model.normalization=batch: a key of our multilayer perceptron"),
        ([OWN, "experiment=q04"], "model.activation=sigmoid: a key of our multilayer perceptron"),
        (["model.channels=3"], "model.channels=3: there is no key model.channels"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_writes_nothing(
    overrides: list[str], said: str, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, *overrides) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert results(tmp_path) == {}


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.GRU(28, 10, batch_first=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.rows(images)[0][:, -1]


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (nn.Linear(784, 10), (784,)),
        (nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten()), (1, 28, 28)),
        (Recurrent(), (28, 28)),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10).double()), (784,)),
    ],
)
def test_the_shape_that_a_network_takes_is_found(network: nn.Module, shape: tuple[int, ...]) -> None:
    assert shape_of(network) == shape


def sequential(activation: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(784, 12), activation or nn.ReLU(), nn.Linear(12, 10))


def run(tmp_path: Path, network: Any, *overrides: str) -> tuple[dict[str, Any], Path]:
    with composing():
        config = compose_run([*SHORT, f"runs_dir={tmp_path / 'runs'}", *overrides], described(network))
    train(config, show=False, network=network if isinstance(network, nn.Module) else None)
    newest = max(tmp_path.glob("runs/*/seed*/result.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(newest.read_text(encoding="utf-8")), newest.parent


def test_an_instance_is_trained_from_its_own_weights_and_stays_as_it_was(tmp_path: Path) -> None:
    network = sequential().eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    result, folder = run(tmp_path, network)
    assert folder.parent.name.startswith("model=Sequential,steps_per_epoch=2,epochs=1-")
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not network.training
    again, _ = run(tmp_path, sequential())  # the same one
    assert again == result
    trained = load(str(folder))
    assert not torch.equal(trained.model.network.state_dict()["network.0.weight"], before["0.weight"])
    assert trained.model(torch.zeros(2, 784)).shape == (2, 10)


def test_instances_are_told_apart_by_weights_and_by_parts(tmp_path: Path) -> None:
    other = sequential()
    with torch.no_grad():
        other[0].weight[0, 0] += 1  # type: ignore[index, operator]
    networks = [
        sequential(),
        other,
        sequential(nn.Tanh()),
        sequential(nn.LeakyReLU(0.1)),
        sequential(nn.LeakyReLU(0.2)),
    ]
    assert len({described(network)["_state_"] for network in networks}) == 5


@pytest.mark.usefixtures("package")
def test_a_class_and_a_partial_of_it_are_what_the_command_line_trains(command: Command, tmp_path: Path) -> None:
    import own_package.net  # type: ignore[import-not-found]

    assert command(*SHORT, OWN, "model.channels=3") == 0
    result, _ = run(tmp_path, partial(own_package.net.Net, 3))
    assert list(results(tmp_path / "runs").values()) == [result]
    assert described(own_package.net.Net) == {
        "_target_": "own_package.net.Net",
        "_source_": result["config"]["network"]["_source_"],
    }


def test_an_instance_of_an_edited_class_is_not_loaded(package: Path, tmp_path: Path) -> None:
    import own_package.net

    _, folder = run(tmp_path, nn.Sequential(own_package.net.Net()))
    edit(package / "parts.py", "ReLU", "Tanh")
    with pytest.raises(Problem, match="has changed since this run"):
        load(str(folder))


def test_a_file_that_is_no_network_is_not_unpickled(tmp_path: Path) -> None:
    _, folder = run(tmp_path, sequential())
    torch.save(partial(print, "executed"), folder / "network.pt")
    with pytest.raises(Problem, match="is no part of a network"):
        load(str(folder))
    (folder / "network.pt").unlink()
    with pytest.raises(Problem, match="it has the layers of the network"):
        load(str(folder))


@pytest.mark.usefixtures("package")
def test_the_python_interface_trains_an_instance_a_partial_and_a_class(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import own_package.net

    import mnist_mlp as lab

    monkeypatch.chdir(tmp_path)
    trained = lab.train(*SHORT, model=sequential(), show=False)
    assert trained.network(torch.zeros(2, 784)).shape == (2, 10)
    assert lab.train(*SHORT, model=sequential(), show=False).folder == trained.folder
    assert command(*SHORT, OWN, "model.channels=3") == 0
    assert lab.train(*SHORT, model=partial(own_package.net.Net, 3), show=False).folder.is_relative_to("runs")
    assert len(results(tmp_path / "runs")) == 2
    with pytest.raises(Problem, match="width=3: a key of our multilayer perceptron"):
        lab.train(*SHORT, model=own_package.net.Net, width=3, show=False)
    with pytest.raises(Problem, match="or an instance"):
        lab.train(*SHORT, model=3, show=False)


class WithLambda(nn.Linear):
    def __init__(self) -> None:
        super().__init__(784, 10)
        self.function = lambda values: values


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (3, "must be a class of torch.nn.Module, a functools.partial of one, or an instance"),
        (lambda images: images, "must be a class of torch.nn.Module"),
        (partial(nn.Linear, 784, out_feature=10), "unexpected keyword argument 'out_feature'"),
        (partial(nn.Linear, 784, 10, dtype=torch.float64), "model.dtype=torch.float64: not a plain value"),
        (WithLambda(), "WithLambda.function is <function .*>, which cannot be identified"),
    ],
)
def test_what_cannot_be_identified_is_refused(network: Any, said: str) -> None:
    with pytest.raises(Problem, match=said):
        described(network)


CELL = """
import torch
from torch import nn
FACTOR = {factor}
def scaled(values):
    return FACTOR * values
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)
    def forward(self, images):
        return scaled(self.layer(images))
"""


def test_a_class_of_a_notebook_is_identified_by_its_cell_and_what_it_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    import linecache

    main, found = sys.modules["__main__"], []
    for number, factor in enumerate((1, 2, 1)):
        text, file, names = CELL.format(factor=factor), f"<cell {number}>", {"__name__": "__main__"}
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        exec(compile(text, file, "exec"), names)
        for name, value in names.items():
            if not name.startswith("__"):
                monkeypatch.setattr(main, name, value, raising=False)
        found.append(described(vars(main)["Net"])["_source_"])
    assert found[0] == found[2] != found[1]
    exec(compile(CELL.format(factor=1), "<typed>", "exec"), names)
    monkeypatch.setattr(main, "Net", names["Net"])
    with pytest.raises(Problem, match="has no source by which a change would be noticed; write it in a Python file"):
        described(vars(main)["Net"])
