"""What a run keeps on the disk: once it is finished, no more than the weights, the record and the curves."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import SHORT

from mnist_mlp.callbacks.history import History
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.runs import checkpoint
from mnist_mlp.runs.record import RECORD, read

Command = Callable[..., int]

FORTY_RUNS = 100e6
"""Bytes."""


def checkpoints(tmp_path: Path) -> dict[str, dict[str, Any]]:
    found = tmp_path.glob("runs/*/seed0/checkpoints/*.ckpt")
    return {path.stem: torch.load(path, weights_only=True) for path in found}


def test_forty_runs_of_the_baseline_keep_at_most_100_mb(command: Command, tmp_path: Path) -> None:
    assert command("trainer=cpu", "data.steps_per_epoch=5") == 0
    assert 40 * sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < FORTY_RUNS


@pytest.mark.parametrize("overrides", [[], ["test=best"], ["ema=0.9"], ["optimizer=sgd", "lr=1e30", "epochs=3"]])
def test_a_finished_run_keeps_weights_parameters_and_the_record_of_its_epochs(
    overrides: list[str], command: Command, tmp_path: Path
) -> None:
    assert command("data.steps_per_epoch=2", "epochs=2", "trainer=cpu", *overrides) == 0
    for kept in checkpoints(tmp_path).values():
        assert kept.keys() == {*checkpoint.KEPT, "callbacks"}
        assert kept["callbacks"].keys() == {"History"}
    for path in tmp_path.glob("runs/*/seed0/checkpoints/*.ckpt"):
        MNISTClassifier.load_from_checkpoint(path, weights_only=True)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (RuntimeError, 1)])
def test_a_run_that_resumes_keeps_what_resuming_needs(
    error: type[BaseException], status: int, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = History.on_train_epoch_start

    def start(self: Any, trainer: Any, *arguments: Any) -> None:
        taken(self, trainer, *arguments)
        if trainer.current_epoch == 1:
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_epoch_start", start)
        assert command(*SHORT, "epochs=2") == status
    kept = checkpoints(tmp_path)
    assert kept.keys() == {"best", "last"}
    assert all({"optimizer_states", "loops"} <= content.keys() for content in kept.values())
    assert command(*SHORT, "epochs=2") == 0
    assert all("optimizer_states" not in content for content in checkpoints(tmp_path).values())


def test_a_finished_run_whose_record_is_lost_is_trained_again_to_the_same_end(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT) == 0
    (record,) = tmp_path.glob(f"runs/*/seed0/{RECORD}")
    before = read(record)
    record.unlink()
    capsys.readouterr()
    assert command(*SHORT) == 0
    assert "last.ckpt is of a finished run; restarting from the beginning" in capsys.readouterr().out
    after = read(record)
    assert before is not None
    assert after is not None
    assert after.test == before.test


def test_a_checkpoint_that_cannot_be_written_again_stays_whole(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "files", SimpleNamespace(replacing=full))
    assert command(*SHORT) == 0
    assert all("optimizer_states" in content for content in checkpoints(tmp_path).values())
