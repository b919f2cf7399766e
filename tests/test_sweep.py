"""Sweeps: what happens to the others when a job fails, is killed, or is another process's too."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, SHORT
from test_training import assert_same_runs, numbers, results, weights

from mnist_mlp import files, training
from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.sweep import Sweep

Command = Callable[..., int]


def fail_at(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    fit_and_test = training._fit_and_test

    def failing(trainer: Any, model: Any, data: Any, run: Run, best: bool) -> Any:
        if run.config.seed == seed:
            raise RuntimeError("a cosmic ray")
        return fit_and_test(trainer, model, data, run, best)

    monkeypatch.setattr(training, "_fit_and_test", failing)


def test_a_failing_job_does_not_stop_its_sweep(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, "seed=2") == 0
    capsys.readouterr()
    with monkeypatch.context() as patch:
        fail_at(patch, seed=0)
        assert command("-m", *SHORT, "seed=0,1,2") == 1
    shown = capsys.readouterr()
    assert "failed: steps_per_epoch=2,epochs=1, seed 0: RuntimeError: a cosmic ray" in shown.err.splitlines()
    table = re.split(r"job +test\n", shown.out)[1].splitlines()
    assert [line.split()[0] for line in table[:4]] == ["failed", "RuntimeError:", "completed", "reused"]
    assert table[1] == "    RuntimeError: a cosmic ray"
    assert table[4] == "3 jobs: 1 failed, 1 completed, 1 reused"
    (failed,) = tmp_path.glob("runs/*/seed0/result.json")
    assert json.loads(failed.read_text(encoding="utf-8"))["reason"] == "RuntimeError: a cosmic ray"
    assert command("-m", *SHORT, "seed=0,1,2") == 0
    assert "3 jobs: 2 reused, 1 completed" in capsys.readouterr().out


def test_fail_fast_ends_the_sweep(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_at(monkeypatch, seed=0)
    assert command("-m", *SHORT, "seed=0,1", "fail_fast=true") == 1
    assert not list(tmp_path.glob("runs/*/seed1"))


def test_a_diverged_job_is_a_result(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("-m", *SHORT, "lr=1e30,0.001", "optimizer=sgd", "data.steps_per_epoch=9") == 0
    assert "2 jobs: 1 diverged, 1 completed" in capsys.readouterr().out


@pytest.mark.parametrize("devices", [["trainer=ddp"], ["trainer.devices=2"]])
def test_a_sweep_of_runs_on_several_devices_is_refused(
    devices: list[str], command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command("-m", *devices, "seed=0,1") == 2
    assert "a sweep trains on one device" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def launch(*arguments: str) -> "subprocess.Popen[str]":
    line = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")


def read_until(process: "subprocess.Popen[str]", text: str) -> None:
    assert process.stdout is not None
    assert any(text in line for line in process.stdout)


@pytest.mark.slow
def test_a_sweep_killed_three_times_ends_as_an_undisturbed_one_does(tmp_path: Path) -> None:
    sweep = ["question=q02", "seed=0,1", "epochs=3", "batch=20", "data.steps_per_epoch=400", "trainer=cpu"]
    for moment in ([" 1/3 "], [" 2/3 "], ["test   ", " 1/3 "]):
        process = launch(*sweep, f"runs_dir={tmp_path / 'killed'}")
        for text in moment:
            read_until(process, text)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert len(results(tmp_path / "killed")) < 4
    for name in ("killed", "undisturbed"):
        process = launch(*sweep, f"runs_dir={tmp_path / name}")
        output, _ = process.communicate()
        assert process.returncode == 0, output
    assert len(results(tmp_path / "undisturbed")) == 4
    assert_same_runs(tmp_path / "killed", tmp_path / "undisturbed")


@pytest.mark.slow
def test_of_two_processes_at_one_run_one_trains_and_the_other_takes_its_result(tmp_path: Path) -> None:
    run = ["epochs=2", "batch=20", "data.steps_per_epoch=2000", "trainer=cpu", f"runs_dir={tmp_path}"]
    first, second = launch(*run), launch(*run)
    outputs = [process.communicate()[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert sum(" 1/2 " in output for output in outputs) == 1
    assert sum("already completed" in output for output in outputs) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: b"",
        lambda whole: b"PK\x03" * 99,
        lambda whole: whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :],
    ],
    ids=["cut", "empty", "garbage", "one bit"],
)
def test_a_damaged_checkpoint_is_one_warning_and_the_run_begins_anew(
    damage: Callable[[bytes], bytes], command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = [*SHORT, "epochs=2"]
    assert command(*run) == 0
    expected, (path,) = weights(tmp_path / "runs"), tmp_path.glob("runs/*/seed0/checkpoints/last.ckpt")
    (record,) = tmp_path.glob("runs/*/seed0/result.json")
    record.write_text(record.read_text(encoding="utf-8")[:100], encoding="utf-8")
    path.write_bytes(damage(path.read_bytes()))
    capsys.readouterr()
    assert command(*run) == 0
    shown = capsys.readouterr().out
    assert shown.count("is corrupt") == 1
    assert " 1/2 " in shown
    assert all(torch.equal(value, expected[name]) for name, value in weights(tmp_path / "runs").items())


def test_after_an_interruption_the_best_weights_are_still_the_best(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The second epoch is the best, and the run is interrupted in the third.
    run = ["test=best", "lr=0.05", "optimizer=momentum", "epochs=4", "data.steps_per_epoch=8", "trainer=cpu"]
    accuracies = iter([0.5, 0.9, 0.6, 0.7, 0.5, 0.9, 0.6, 0.7])
    log_metrics = training.MNISTClassifier._log

    def log(self: Any, stage: str) -> None:
        if stage == "val":
            self.metrics["val"] = self.metrics["val"]._replace(accuracy=next(accuracies))
        log_metrics(self, stage)

    monkeypatch.setattr(training.MNISTClassifier, "_log", log)
    assert command(*run) == 0
    ((_, undisturbed),) = results(tmp_path / "runs").items()
    with monkeypatch.context() as patch:
        taken = training.History.on_train_batch_end

        def interrupt(self: Any, trainer: Any, *arguments: Any) -> None:
            taken(self, trainer, *arguments)
            if trainer.global_step > 16:
                raise KeyboardInterrupt

        patch.setattr(training.History, "on_train_batch_end", interrupt)
        assert command(*run, "overwrite=true") == 130
    assert command(*run) == 0
    ((_, resumed),) = results(tmp_path / "runs").items()
    assert resumed["test"] == undisturbed["test"]


def test_what_is_half_written_is_not_taken_for_finished(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT) == 0
    (record,) = tmp_path.glob("runs/*/seed0/result.json")
    whole = record.read_text(encoding="utf-8")
    for text in ("", whole[:-20], "[]", '{"status": "completed"}', whole.replace('"epochs"', '"epoks"')):
        record.write_text(text, encoding="utf-8")
        assert command(*SHORT) == 0
        assert numbers(json.loads(record.read_text(encoding="utf-8"))) == numbers(json.loads(whole))


def test_a_sweep_that_is_interrupted_ends_with_the_table_too(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training.History, "on_train_batch_end", interrupt)
    assert command("-m", *SHORT, "seed=0,1") == 130
    assert capsys.readouterr().out.endswith("2 jobs: 1 interrupted, 1 not run\nthe same command resumes the sweep\n")


def test_a_job_that_is_killed_with_its_interrupted_sweep_has_not_failed(tmp_path: Path) -> None:
    with composing():
        config = compose_run([*SHORT, f"runs_dir={tmp_path}"])
    sweep = Sweep([config])
    Run(config).folder.mkdir(parents=True)
    (Run(config).folder / "config.yaml").write_text("", encoding="utf-8")
    sweep.began = Run(config).began()
    assert sweep.outcomes() == ["failed"]
    sweep.interrupted = True
    assert sweep.outcomes() == ["interrupted"]


def test_a_full_disk_is_one_line_a_job_and_nothing_half_written_is_taken_for_finished(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = files.write

    def full(path: Path, text: str) -> None:
        if path.name == "result.json":
            path.with_name(f"{path.name}.partial").write_text(text[:100], encoding="utf-8")
            raise OSError(28, "No space left on device")
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", full)
        assert command("-m", *SHORT, "seed=0,1") == 1
    shown = capsys.readouterr()
    assert shown.err.count("OSError: [Errno 28] No space left on device") == 2
    assert "2 jobs: 2 failed" in shown.out
    assert command("-m", *SHORT, "seed=0,1") == 0
    assert "2 jobs: 2 completed" in capsys.readouterr().out


@contextmanager
def readable_only(folder: Path) -> Iterator[Callable[[], None]]:
    """Give a function that takes the right to write to a folder from this process: root becomes nobody for it."""
    others = [path for path in (folder, *folder.parents) if not path.stat().st_mode & 0o001]
    modes = {path: path.stat().st_mode for path in others}

    def close() -> None:
        for path in folder.rglob("*"):
            if path.is_dir():
                path.chmod(0o555)
        if os.geteuid() == 0:
            os.seteuid(65534)

    for path, mode in modes.items():
        path.chmod(mode | 0o055)
    try:
        yield close
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        for path in folder.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_folder_that_becomes_read_only_is_one_line_a_job_and_the_next_launch_goes_on(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["-m", *SHORT, "epochs=3", "logger=none", "seed=0,1"]
    (tmp_path / "runs").mkdir()
    taken = training.History.on_train_epoch_start
    with readable_only(tmp_path / "runs") as close, monkeypatch.context() as patch:

        def start(self: Any, trainer: Any, *arguments: Any) -> None:
            taken(self, trainer, *arguments)
            if trainer.current_epoch == 2:
                close()

        patch.setattr(training.History, "on_train_epoch_start", start)
        assert command(*sweep) == 1
    shown = capsys.readouterr()
    assert len(re.findall("^failed: .* PermissionError: ", shown.err, re.MULTILINE)) == 2
    assert "2 jobs: 1 failed, 1 not run" in shown.out
    assert command(*sweep) == 0
    shown = capsys.readouterr()
    assert "2 jobs: 2 completed" in shown.out
    assert shown.out.count(" 3/3 ") == 2
    assert shown.out.count(" 1/3 ") == 1  # of the second alone: the first goes on
