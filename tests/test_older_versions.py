"""What version 0.1.0 left goes on: its runs, checkpoints and searches, as data/version_0.1.0/README.md made them."""

import json
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial, TrialState
from test_tensorboard import events, points

from mnist_mlp import mnist
from mnist_mlp.cli.verbs import main
from mnist_mlp.config.compose import composing
from mnist_mlp.config.identity import identity
from mnist_mlp.config.schema import Config
from mnist_mlp.inference import load as trained
from mnist_mlp.search import space
from mnist_mlp.search.trials import Search

LEFT = ROOT / "tests" / "data" / "version_0.1.0"
SPACE = str(LEFT / "small.yaml")

PLAIN = "width=2 lr=0.01 data.split_seed=0 data.steps_per_epoch=20 epochs=3"
SWEEP = f"-m {PLAIN} trainer=cpu trainer.threads=1 logger=csv callbacks=light seed=0,1"
AVERAGED = (
    "width=3 activation=tanh optimizer=momentum lr=0.1 data.split_seed=0 data.steps_per_epoch=5 epochs=6 trainer=cpu "
    "trainer.threads=1 ema=0.8 scheduler=plateau scheduler.patience=0 patience=2 seed=33"
)
DIVERGED = (
    "width=3 optimizer=sgd lr=1e30 data.split_seed=0 data.steps_per_epoch=20 epochs=3 trainer=cpu logger=none "
    "callbacks=none"
)

Lab = Callable[..., str]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder of the runs, where command lines look for it."""
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(LEFT / "runs", tmp_path / "runs")


@pytest.fixture
def lab(runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lab:
    """Run a command line of mnist-mlp in this process; give what it prints."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["mnist-mlp", *arguments])
        with suppress(SystemExit):
            main()
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return run


def read(record: Path) -> Any:
    return json.loads(record.read_text(encoding="utf-8"))


def checkpoint(run: Path, name: str) -> Any:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def epochs_so_far(run: Path) -> Any:
    return checkpoint(run, "last")["callbacks"]["History"]["epochs"]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def figures(result: Any) -> list[float]:
    epochs = [value for epoch in result["epochs"] for name, value in epoch.items() if name != "seconds"]
    return [*epochs, *result["test"].values(), result["optimizer_steps"]]


@pytest.mark.parametrize(
    "record", sorted(LEFT.rglob("result.json")), ids=lambda path: f"{path.parents[1].name[-8:]}, {path.parent.name}"
)
def test_the_configuration_in_a_record_has_the_identity_in_it(record: Path) -> None:
    result = read(record)
    config: Any = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), result["config"]))
    assert identity(config) == result["id"]
    assert record.parents[1].name == f"{result['label']}-{result['id']}"


@pytest.mark.parametrize(("command", "status"), [(f"{PLAIN} seed=0", "completed"), (DIVERGED, "diverged")])
def test_a_finished_run_is_not_trained_again(command: str, status: str, runs: Path, lab: Lab) -> None:
    before = contents(runs)
    assert f"already {status}" in lab(*command.split())
    assert contents(runs) == before


@pytest.mark.parametrize(
    ("command", "seed"), [(SWEEP, 1), (AVERAGED, 33)], ids=["of a sweep", "with an average, a scheduler and patience"]
)
def test_a_half_done_run_goes_on_from_its_checkpoint_and_ends_as_the_undisturbed_one(
    command: str, seed: int, runs: Path, lab: Lab
) -> None:
    (run,), (record,) = runs.glob(f"*/seed{seed}"), LEFT.glob(f"undisturbed/*/seed{seed}/result.json")
    before, variants = epochs_so_far(run), set(runs.glob("*-*"))
    lab(*command.split())
    result, undisturbed = read(run / "result.json"), read(record)
    assert result["epochs"][: len(before)] == before  # with their seconds: they were not trained again
    # Another processor's losses differ by 1e-6, and those of a run that lost a part of its state by 0.01.
    assert figures(result) == pytest.approx(figures(undisturbed), abs=1e-3)
    assert (result["status"], result["id"]) == ("completed", undisturbed["id"])
    best = max(result["epochs"], key=lambda epoch: epoch["val_accuracy"])
    assert checkpoint(run, "best")["epoch"] + 1 == best["epoch"]
    assert set(runs.glob("*-*")) == variants


def test_the_curves_of_a_half_done_run_go_on(runs: Path, lab: Lab) -> None:
    (run,) = runs.glob("*/seed33")
    lab(*AVERAGED.split())
    assert [step for step, _ in points(events(run), "accuracy/val")] == [1, 2, 3, 4]


def test_a_trained_network_tells_digits_and_is_tested_again(tmp_path: Path, lab: Lab) -> None:
    assert json.loads(lab("evaluate", "best", "--json"))["agrees"] is True
    images = mnist.load(mnist.default_directory(), train=False).images[:50]
    np.save(tmp_path / "digits.npy", images.reshape(-1, 28, 28).numpy())
    told = json.loads(lab("predict", "best", "digits.npy", "--json"))["images"]
    network = trained.load("best").model
    assert [image["guess"] for image in told] == network(images.reshape(-1, 784) / 255).argmax(dim=1).tolist()


def test_the_report_and_the_table_have_what_is_completed(runs: Path, lab: Lab) -> None:
    (tested,) = (read(record)["test"] for record in runs.glob("*,lr=0.01,*/seed0/result.json"))
    lab("report", "--questions", "q02", "--seeds", "1", "--", *PLAIN.split())
    (row,) = pd.read_csv(runs / "report" / "results.csv").itertuples()
    assert (row.status, row.test_accuracy) == ("completed", tested["accuracy"])
    lab("table", PLAIN, "--csv", "table.csv")
    (row,) = pd.read_csv("table.csv").itertuples()
    assert row.test_loss == tested["loss"]


def trials() -> list[FrozenTrial]:
    with composing():
        return Search(space.read(SPACE), Path("runs")).study.trials


def test_a_search_keeps_its_trials_and_goes_on_with_the_killed_one(runs: Path, lab: Lab) -> None:
    *done, killed = trials()
    (run,) = (run for run in runs.glob("searches/small/*/seed100") if not (run / "result.json").exists())
    before = epochs_so_far(run)
    assert "small: 2 of 3 trials" in lab("search", SPACE, "--fresh", "1")
    *kept, failed, again = trials()
    assert kept == done
    assert (failed.state, again.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert again.params == failed.params == killed.params
    assert read(run / "result.json")["epochs"][: len(before)] == before
