"""What keeps a network from learning by heart: each does what it says, in every engine, and a resumed run too."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from test_scheduler import ended_after_two_epochs
from test_training import assert_same_runs, results, weights
from torch import nn

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.config.identity import identity
from mnist_mlp.fast import kernel
from mnist_mlp.mlp import MLP, Noise

Command = Callable[..., int]

ALL = sorted(path.stem for path in (ROOT / "conf" / "regularization").glob("*.yaml"))
SHORT = ["batch=100", "epochs=3", "data.steps_per_epoch=6", "trainer=cpu", "width=30"]


def test_the_layers_are_in_the_order_of_their_papers() -> None:
    network = MLP([8], normalization="batch", noise=0.3, dropout=0.5, input_dropout=0.2)
    assert [type(layer) for layer in network.layers] == [
        *(nn.Dropout, Noise),
        *(nn.Linear, nn.BatchNorm1d, Noise, nn.ReLU, nn.Dropout),
        nn.Linear,
    ]
    assert [layer.p for layer in network.layers if isinstance(layer, nn.Dropout)] == [0.2, 0.5]


def test_layer_normalization_has_the_layers_size() -> None:
    (layer,) = (layer for layer in MLP([8], normalization="layer").layers if isinstance(layer, nn.LayerNorm))
    assert layer.normalized_shape == (8,)


def test_noise_is_added_in_training_alone() -> None:
    torch.manual_seed(0)
    noise, zeros = Noise(0.3), torch.zeros(100, 200)
    assert noise(zeros).std().item() == pytest.approx(0.3, rel=0.02)
    assert torch.equal(noise.eval()(zeros), zeros)


@pytest.mark.parametrize("option", [*ALL, "dropout,batch_norm,ema"])
def test_training_is_the_same_whether_lightning_takes_the_steps_or_the_engine(
    option: str, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    line = [f"regularization=[{option}]", *SHORT]
    found = []
    if option in ("dropout", "noise"):  # the kernel draws random numbers of its own
        monkeypatch.setenv("CXX", "no-such-compiler")
        kernel.compiled.cache_clear()
    for steps in ("auto", "1"):
        assert command(*line, f"trainer.steps_per_execution={steps}", "overwrite=true") == 0
        (result,) = results(tmp_path / "runs").values()
        found.append([epoch[name] for epoch in result["epochs"] for name in ("train_loss", "val_loss")])
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize("option", ["dropout", "noise", "batch_norm", "ema", "early_stopping"])
def test_a_resumed_run_ends_as_an_undisturbed_one(option: str, command: Command, tmp_path: Path) -> None:
    line = [f"regularization=[{option}]", *SHORT, "epochs=4"]
    assert command(*line) == 0
    (tmp_path / "runs").rename(tmp_path / "undisturbed")
    ended_after_two_epochs(command, *line)
    assert command(*line) == 0
    assert_same_runs(tmp_path / "runs", tmp_path / "undisturbed")


@pytest.mark.parametrize("option", ALL)
def test_each_is_in_the_identity_and_the_label(option: str) -> None:
    with composing():
        without, regularized = (compose_run([f"regularization=[{name}]", *SHORT]) for name in ("", option))
    assert identity(regularized) != identity(without)
    assert len(regularized.name) > len(without.name)


def test_several_go_together(command: Command, tmp_path: Path) -> None:
    assert command("regularization=[dropout,label_smoothing]", *SHORT) == 0
    (result,) = results(tmp_path / "runs").values()
    assert (result["config"]["model"]["dropout"], result["config"]["label_smoothing"]) == (0.5, 0.1)


def test_what_the_kernel_does_not_support_is_said_in_one_line(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("regularization=[batch_norm,ema]", *SHORT) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.endswith("which is slower")]
    assert line == (
        "batch normalization with weight averaging: not supported by the compiled kernel; PyTorch takes the steps, "
        "which is slower"
    )


@pytest.mark.parametrize("without", [{"batch_norm"}, {"layer_norm", "ema"}])
def test_the_kernel_takes_the_steps_of_all_other_options(without: set[str], command: Command, tmp_path: Path) -> None:
    assert command(f"regularization=[{','.join(sorted(set(ALL) - without))}]", *SHORT) == 0
    (result,) = results(tmp_path / "runs").values()
    assert result["hardware"]["steps_by"] == "compiled kernel"


def test_smoothed_labels_are_trained_on_but_not_validated_on() -> None:
    torch.manual_seed(0)
    model = MNISTClassifier({"hidden_sizes": [5]}, {}, label_smoothing=0.5)
    images, labels = torch.rand(20, 784), torch.arange(20) % 10
    logits = model(images)
    spread = (1 - 0.5) * nn.functional.one_hot(labels, 10) + 0.5 / 10
    expected = -(spread * logits.log_softmax(dim=1)).sum()
    assert model.score(images, labels, 0.5)[0].item() == pytest.approx(expected.item(), rel=1e-5)
    assert model.score(images, labels)[0].item() == pytest.approx(
        nn.functional.cross_entropy(logits, labels, reduction="sum").item()
    )


def test_a_clipped_gradient_has_the_norm_asked_for() -> None:
    model = MNISTClassifier({"hidden_sizes": [5]}, {}, gradient_clip=0.01)
    loss_sum, _ = model.score(torch.rand(20, 784), torch.arange(20) % 10)
    loss_sum.backward()  # type: ignore[no-untyped-call]
    model.clip_gradient()
    norms = [parameter.grad.norm() for parameter in model.parameters() if parameter.grad is not None]
    assert torch.stack(norms).norm().item() == pytest.approx(0.01, rel=1e-4)


def test_an_average_follows_its_formula(command: Command, tmp_path: Path) -> None:
    line = ["optimizer=sgd", "batch=100", "width=10", "trainer=cpu", "logger=none", "callbacks=none"]
    states = []
    for steps in (1, 2, 3):
        assert command(*line, f"data.steps_per_epoch={steps}", "epochs=1", "overwrite=true") == 0
        states.append(weights(tmp_path / "runs"))
        (tmp_path / "runs").rename(tmp_path / f"runs{steps}")
    assert command(*line, "data.steps_per_epoch=3", "epochs=1", "ema=0.9") == 0
    averaged = weights(tmp_path / "runs")
    for name, first in states[0].items():
        expected = 0.9 * (0.9 * first + 0.1 * states[1][name]) + 0.1 * states[2][name]
        torch.testing.assert_close(averaged[name], expected, rtol=1e-4, atol=1e-6)


def test_early_stopping_ends_a_run_that_gets_no_better(command: Command, tmp_path: Path) -> None:
    line = ["patience=2", "lr=1e-12", "data.steps_per_epoch=2", "epochs=50", "trainer=cpu"]
    assert command(*line) == 0
    (result,) = results(tmp_path / "runs").values()
    assert result["status"] == "completed"
    assert len(result["epochs"]) == 3


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.dropout=1", "model.dropout=1.0: model.dropout is a number of at least 0 and below 1"),
        ("ema=1.5", "ema=1.5: ema is a number of at least 0 and below 1"),
        ("gradient_clip=0", "gradient_clip=0.0: gradient_clip is a number above 0"),
        ("patience=0", "patience=0: patience is a whole number of at least 1"),
        ("regularization=[dropout,nose]", "did you mean noise?"),
        ("scheduler=cosin", "did you mean cosine?"),
        ("scheduler.warm_up=2", "there is no key scheduler.warm_up"),
        ("model.normalization=group", "model.normalization is one of none, batch, layer"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    override: str, said: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(override) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
