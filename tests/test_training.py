"""Runs from the command line: what they leave, and that nothing of one reaches the next."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, SHORT

from mnist_mlp.callbacks.history import History
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.data import MNISTDataModule
from mnist_mlp.runs.machine import cores
from mnist_mlp.runs.record import read

Command = Callable[..., int]


def results(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        str(path.parent.relative_to(folder)): json.loads(path.read_text(encoding="utf-8"))
        for path in folder.glob("**/result.json")
    }


def numbers(result: dict[str, Any]) -> Any:
    epochs = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in result["epochs"]]
    return epochs, result["test"], result["status"], result["optimizer_steps"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    (path,) = folder.glob("*/seed*/checkpoints/last.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def assert_same_runs(one: Path, other: Path) -> None:
    ours, theirs = results(one), results(other)
    assert {name: numbers(result) for name, result in ours.items()} == {
        name: numbers(result) for name, result in theirs.items()
    }
    for name in theirs:
        state, expected = (
            torch.load(folder / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
            for folder in (one, other)
        )
        assert all(torch.equal(state[key], value) for key, value in expected.items())


def test_a_run_leaves_its_record(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("data.steps_per_epoch=3", "epochs=2", "trainer=cpu", "seed=7") == 0
    ((name, result),) = results(tmp_path / "runs").items()
    assert name == f"steps_per_epoch=3,epochs=2-{result['id']}/seed7"
    assert result["schema"] == 1
    assert result["status"] == "completed"
    assert result["seed"] == 7
    assert [epoch["epoch"] for epoch in result["epochs"]] == [1, 2]
    assert result["optimizer_steps"] == 6
    assert result["parameters"] == 784 * 200 + 200 + 200 * 200 + 200 + 200 * 10 + 10
    assert result["config"]["model"]["hidden_sizes"] == [200, 200]
    assert result["fit_seconds"] == sum(epoch["seconds"] for epoch in result["epochs"])
    assert 0 < result["test"]["accuracy"] < 1
    assert {"python", "torch", "lightning"} <= set(result["versions"])
    folder = tmp_path / "runs" / name
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert "hidden_sizes" in (folder / "config.yaml").read_text(encoding="utf-8")
    log = (folder / "train.log").read_text(encoding="utf-8")
    shown = capsys.readouterr().out
    for text in (log, shown):
        assert " 2/2 " in text
        assert str(folder) in text


def test_the_table_has_the_notebooks_figures_where_the_notebook_ran_the_same(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("experiment=q06", "trainer=cpu") == 0
    shown = capsys.readouterr().out
    assert "notebook" in shown
    for figure in ("0.3529", "89.70%", "0.3282", "90.37%", "0.3205", "91.00%"):
        assert figure in shown


def test_the_metrics_are_means_over_samples(command: Command, tmp_path: Path) -> None:
    command("data.steps_per_epoch=1", "batch=50", "epochs=1", "trainer=cpu")
    (result,) = results(tmp_path / "runs").values()
    data = MNISTDataModule(batch=50, steps_per_epoch=1)
    data.setup()
    torch.manual_seed(0)
    model = MNISTClassifier(result["config"]["model"], result["config"]["optimizer"])
    (batch,) = data.training_batches(0)
    logits = model(batch.images)
    epoch = result["epochs"][0]
    assert epoch["train_loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, batch.labels).item())
    assert epoch["train_accuracy"] == (logits.argmax(1) == batch.labels).double().mean().item()
    model.load_state_dict(weights(tmp_path / "runs"))
    (test,) = data.test_dataloader()
    right = model(test.images).argmax(1) == test.labels
    assert result["test"]["accuracy"] == pytest.approx(right.float().mean())
    (record,) = tmp_path.glob("runs/*/seed0/result.json")
    assert (read(record).right == right.numpy()).all()


def test_a_limited_test_keeps_no_answers_of_single_images(command: Command, tmp_path: Path) -> None:
    command(*SHORT, "+trainer.limit_test_batches=2")
    (result,) = results(tmp_path / "runs").values()
    assert (result["status"], result["correct"]) == ("limited", None)


def test_a_checkpoint_alone_gives_a_usable_model(command: Command, tmp_path: Path) -> None:
    command(*SHORT, "model=combined", "activation=relu_tanh_sigmoid")
    (path,) = tmp_path.glob("runs/*/seed0/checkpoints/last.ckpt")
    model = MNISTClassifier.load_from_checkpoint(path, weights_only=True)
    assert model(torch.zeros(2, 28, 28)).shape == (2, 10)


def test_the_best_weights_are_tested_where_asked(command: Command, tmp_path: Path) -> None:
    # A learning rate that spoils the weights again: the best validation is not the last.
    overrides = ["lr=0.05", "optimizer=momentum", "epochs=4", "data.steps_per_epoch=8", "trainer=cpu"]
    command(*overrides, "test=best", "name=best")
    command(*overrides, "test=last", "name=last")
    found = {result["label"]: result for result in results(tmp_path / "runs").values()}
    best = {label.split(",")[0]: result["test"]["accuracy"] for label, result in found.items()}
    accuracies = [epoch["val_accuracy"] for epoch in next(iter(found.values()))["epochs"]]
    (path,) = tmp_path.glob("runs/best*/seed0/checkpoints/best.ckpt")
    assert torch.load(path, weights_only=True)["epoch"] == int(np.argmax(accuracies))
    assert np.argmax(accuracies) == 3 or best["best"] != best["last"]


def test_a_run_repeated_is_identical(command: Command, tmp_path: Path) -> None:
    command(*SHORT, "seed=0")
    ((name, first),) = results(tmp_path / "runs").items()
    first_weights = weights(tmp_path / "runs")
    command(*SHORT, "seed=0", "overwrite=true")
    second = results(tmp_path / "runs")[name]
    assert second["started"] >= first["started"]
    assert numbers(second) == numbers(first)
    second_weights = weights(tmp_path / "runs")
    assert all(torch.equal(first_weights[name], second_weights[name]) for name in first_weights)


def test_seed_0_is_a_seed_and_differs_from_the_others(command: Command, tmp_path: Path) -> None:
    command("-m", *SHORT, "seed=0,1")
    losses = {result["seed"]: result["epochs"][0]["train_loss"] for result in results(tmp_path / "runs").values()}
    assert sorted(losses) == [0, 1]
    assert losses[0] != losses[1]


def test_a_finished_run_is_not_trained_again(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/seed0/**/*") if path.is_file()}

    command(*SHORT)
    before = times()
    assert before
    capsys.readouterr()
    assert command(*SHORT) == 0
    assert "already completed" in capsys.readouterr().out
    assert times() == before


def test_a_job_of_a_sweep_gives_exactly_what_it_gives_alone(command: Command, tmp_path: Path) -> None:
    sweep = ["-m", *SHORT, "trainer.threads=1", "seed=5,0", "trainer.precision=64-true,32-true"]
    command(*sweep)
    swept = results(tmp_path / "runs")
    (tmp_path / "runs").rename(tmp_path / "swept")
    command(*SHORT, "seed=0", "trainer.threads=1")
    ((name, alone),) = results(tmp_path / "runs").items()
    assert numbers(swept[name]) == numbers(alone)


def test_a_run_puts_back_seeds_threads_and_signals(command: Command) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), torch.get_num_threads()
    handler = signal.getsignal(signal.SIGINT)
    environment = dict(os.environ)
    command(*SHORT, "trainer.threads=2")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), torch.get_num_threads()) == before[1:]
    assert signal.getsignal(signal.SIGINT) is handler
    assert dict(os.environ) == environment


def test_a_key_of_the_chosen_optimizer_can_be_set(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT, "optimizer=momentum", "optimizer.momentum=0.5") == 0
    (result,) = results(tmp_path / "runs").values()
    assert result["config"]["optimizer"]["momentum"] == 0.5


@pytest.mark.parametrize(
    ("override", "steps_by"),
    [("trainer.steps_per_execution=auto", "compiled kernel"), ("trainer.steps_per_execution=1", "Lightning")],
)
def test_the_record_says_what_took_the_steps(override: str, steps_by: str, command: Command, tmp_path: Path) -> None:
    assert command(*SHORT, override) == 0
    (result,) = results(tmp_path / "runs").values()
    assert result["hardware"]["steps_by"] == steps_by


@pytest.mark.slow
def test_the_jobs_of_a_parallel_sweep_share_the_cores(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    sweep = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1", *SHORT, f"runs_dir={tmp_path}"]
    subprocess.run([sys.executable, str(ROOT / "train.py"), *sweep], check=True, env=environment)
    found = results(tmp_path).values()
    assert [result["hardware"]["threads"] for result in found] == [max(1, cores() // 2)] * 2


def test_a_run_that_diverges_is_recorded_and_the_sweep_goes_on(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("-m", "lr=1e30,0.001", "data.steps_per_epoch=4", "epochs=1", "trainer=cpu") == 0
    found = {result["config"]["lr"]: result for result in results(tmp_path / "runs").values()}
    assert found[0.001]["status"] == "completed"
    assert found[1e30]["status"] == "diverged"
    assert "at optimizer step" in found[1e30]["reason"]
    assert found[1e30]["test"] is None
    output = capsys.readouterr()
    assert "diverged: the training loss became" in output.out
    assert "Traceback" not in output.out + output.err


def test_a_gpu_that_is_not_there_is_one_line_and_status_2(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    too_many = ["trainer.devices=99"] if torch.cuda.is_available() else []
    assert command("trainer=gpu", *too_many, "data.steps_per_epoch=1", "epochs=1") == 2
    error = capsys.readouterr().err
    assert error.startswith("trainer: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "override", ["optimizer._target_=torch.optim.Adamm", "+optimizer.foo=1", "optimizer.betas=[0.9]"]
)
def test_an_optimizer_that_is_none_is_one_line_and_status_2(
    command: Command, override: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, override) == 2
    error = capsys.readouterr().err
    assert error.startswith("optimizer: ")
    assert error.count("\n") == 1


def test_damaged_data_is_one_line_and_status_2(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"\0\0\10\3")
    assert command(*SHORT, f"data.dir={tmp_path / 'data'}") == 2
    error = capsys.readouterr().err
    assert "train-images-idx3-ubyte is corrupt: it has 4 bytes" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("logger", ["csv", "none", "[tensorboard,csv]"])
def test_curves_go_to_the_loggers_that_are_chosen(command: Command, tmp_path: Path, logger: str) -> None:
    assert command(*SHORT, f"logger={logger}") == 0
    (folder,) = tmp_path.glob("runs/*/seed0")
    assert (folder / "metrics.csv").exists() == ("csv" in logger)
    assert bool(list(folder.glob("events*"))) == ("tensorboard" in logger)


def test_ctrl_c_ends_cleanly_with_status_130_and_a_result_that_says_so(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Within the epoch: what a signal interrupts elsewhere, as in an import or a destructor, may not pass it on.
    monkeypatch.setattr(History, "on_train_batch_end", lambda *arguments: signal.raise_signal(signal.SIGINT))
    assert command(*SHORT) == 130
    output, error = capsys.readouterr()
    assert "interrupted in its first epoch; the same command starts it again: " in output
    assert error == ""
    (result,) = results(tmp_path / "runs").values()
    assert result["status"] == "interrupted"


@pytest.mark.slow
def test_two_processes_train_as_one_does(command: Command, tmp_path: Path) -> None:
    # 101 samples a batch, so that the shares of the processes differ in size.
    overrides = ["data.steps_per_epoch=5", "epochs=2", "batch=101", "trainer.threads=1"]
    line = [sys.executable, str(ROOT / "train.py"), *overrides, f"runs_dir={tmp_path / 'runs'}"]
    devices = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    done = subprocess.run([*line, *devices], capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" 1/2 ") == 1  # the second process is silent
    ((name, shared),) = results(tmp_path / "runs").items()
    assert shared["hardware"]["processes"] == 2
    shared_weights = weights(tmp_path / "runs")
    assert command(*overrides, "trainer=cpu", "overwrite=true") == 0
    alone = results(tmp_path / "runs")[name]
    assert shared["optimizer_steps"] == alone["optimizer_steps"] == 10
    assert shared["correct"] == alone["correct"]
    assert shared["test"]["loss"] == pytest.approx(alone["test"]["loss"], rel=1e-4)
    for theirs, ours in zip(shared["epochs"], alone["epochs"], strict=True):
        assert theirs["train_loss"] == pytest.approx(ours["train_loss"], rel=1e-5)
        assert theirs["val_loss"] == pytest.approx(ours["val_loss"], rel=1e-4)
    for name, tensor in weights(tmp_path / "runs").items():
        torch.testing.assert_close(shared_weights[name], tensor, atol=1e-4, rtol=0)
