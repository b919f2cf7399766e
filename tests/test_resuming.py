"""A run that is killed at any moment, moved or not, and launched again ends as the undisturbed run, bit for bit."""

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from mnist_mlp.config.checks import problems
from mnist_mlp.config.compose import compose, composing, to_config
from mnist_mlp.config.schema import Config
from mnist_mlp.runs import checkpoint
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import RECORD
from mnist_mlp.training import train

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["mnist_mlp.training"])

HOOKS = [name for name in vars(Callback) if name.startswith("on_") and "checkpoint" not in name]


class Moments(Callback):
    """Counts the moments of a run: every hook of a callback, each checkpoint and the record, before and after it.

    Args:
        last: the one at which the process is killed.
    """

    def __init__(self, last: int | None) -> None:
        self.last = last
        self.count = 0
        for hook in HOOKS:
            setattr(self, hook, self.moment)

    def moment(self, *_: Any) -> None:
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.moment()
            result = function(*arguments)
            self.moment()
            return result

        return counted


def run(config: Config, last: int | None = None) -> int:
    moments = Moments(last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelCheckpoint, "_save_checkpoint", moments.around(ModelCheckpoint._save_checkpoint))
        patch.setattr(Run, "write", moments.around(Run.write))
        patch.setattr(checkpoint, "strip", lambda path: None)  # so that the optimizers' states are compared, too
        train(config, show=False, watchers=[moments])
    return moments.count


def killed(config: Config, last: int) -> None:
    process = PROCESSES.Process(target=run, args=(config, last))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def configuration(overrides: list[str], runs_dir: Path) -> Config:
    with composing():
        config = to_config(compose(["trainer=cpu", "trainer.threads=1", *overrides, f"runs_dir={runs_dir}"]))
    config.name, config.chosen = "run", {"model": "width2", "experiment": "none", "question": "none"}
    return config


def ending(runs_dir: Path) -> Any:
    """Give what must not differ: the record's numbers, and all tensors of the checkpoints."""
    (record,) = runs_dir.glob(f"*/seed*/{RECORD}")
    result = json.loads(record.read_text(encoding="utf-8"))
    epochs = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in result["epochs"]]
    weights = {path.name: tensors(path) for path in sorted(record.parent.glob("checkpoints/*.ckpt"))}
    return epochs, result["test"], result["status"], result["reason"], result["optimizer_steps"], weights


def tensors(path: Path) -> Any:
    content = torch.load(path, weights_only=True)
    states = [content["state_dict"], content.get("current_model_state", {}), *_states(content)]
    return [{name: value.numpy().tobytes() for name, value in state.items()} for state in states]


def _states(content: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    (optimizer,) = content["optimizer_states"]
    return [
        {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
        for state in optimizer["state"].values()
    ]


def options(group: str) -> st.SearchStrategy[str]:
    return st.sampled_from([path.stem for path in sorted((ROOT / "conf" / group).glob("*.yaml"))])


configurations = st.fixed_dictionaries(
    {
        "epochs": st.integers(2, 5),
        "data.steps_per_epoch": st.integers(1, 4),
        "width": st.integers(2, 12),
        "lr": st.sampled_from(
            [1e-9, 0.001, 0.02, 0.5]
        ),  # one that is never better after the first epoch, one that diverges
        "logger": st.sampled_from(["none", "csv", "tensorboard"]),
        "callbacks": st.sampled_from(["none", "light"]),
    },
    optional={
        "batch": st.sampled_from([1, 7, 500]),
        "seed": st.integers(0, 9),
        "activation": options("activation").filter(lambda name: name != "relu_tanh_sigmoid"),
        "optimizer": options("optimizer"),
        "scheduler": options("scheduler"),
        "augmentation": options("augmentation"),
        "data": st.sampled_from(["mnist", "notebook"]),  # which are bundled
        "regularization": st.lists(options("regularization"), max_size=4, unique=True).map(
            lambda names: f"[{','.join(names)}]"
        ),
        "patience": st.integers(1, 2),
        "ema": st.sampled_from([0.5, 0.99]),
        "test": st.sampled_from(["last", "best"]),
        "trainer.steps_per_execution": st.sampled_from(["1", "2", "auto"]),
        "trainer.precision": st.sampled_from(["32-true", "64-true"]),
    },
).map(lambda values: [f"{name}={value}" for name, value in values.items()])


def is_valid(overrides: list[str]) -> bool:
    return problems(configuration(overrides, Path("runs"))) == []  # batch normalization takes no batch of one sample


@pytest.mark.slow
@given(configurations.filter(is_valid), st.floats(0, 1, exclude_max=True), st.booleans())
@settings(deadline=None)
def test_a_run_killed_at_any_moment_ends_as_the_undisturbed_run(
    overrides: list[str], moment: float, moves: bool
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        count = run(configuration(overrides, folder / "undisturbed"))
        killed(configuration(overrides, folder / "killed"), int(moment * count))
        if moves:
            (folder / "killed").rename(folder / "moved")
        resumed = folder / ("moved" if moves else "killed")
        run(configuration(overrides, resumed))
        assert ending(resumed) == ending(folder / "undisturbed")
    finally:
        shutil.rmtree(folder)


QUICK = ["width=8", "data.steps_per_epoch=3", "logger=none", "callbacks=none"]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "undisturbed", tmp_path / "resumed"


@pytest.mark.parametrize(
    "overrides",
    [
        ["patience=1", "lr=1e-9", "epochs=9"],
        ["ema=0.9", "epochs=2"],
        ["test=best", "lr=0.05", "optimizer=momentum", "epochs=6"],
    ],
    ids=["early stopping", "an average of the weights", "the best checkpoint"],
)
def test_a_run_that_ended_but_for_its_record_is_only_tested(overrides: list[str], folders: tuple[Path, Path]) -> None:
    undisturbed, resumed = folders
    run(configuration([*QUICK, *overrides], undisturbed))
    shutil.copytree(undisturbed, resumed)
    (record,) = resumed.glob(f"*/seed0/{RECORD}")
    record.unlink()
    run(configuration([*QUICK, *overrides], resumed))
    assert ending(resumed) == ending(undisturbed)


def test_the_record_of_a_run_that_tests_its_best_weights_has_all_epochs(tmp_path: Path) -> None:
    config = configuration(
        [*QUICK, "test=best", "lr=0.3", "optimizer=momentum", "epochs=8", "data.split_seed=0", "seed=1"], tmp_path
    )
    run(config)
    result = Run(config).result()
    assert result is not None
    accuracies = [epoch.val_accuracy or 0 for epoch in result.epochs]
    assert len(accuracies) == 8
    assert max(accuracies) > accuracies[-1]  # so that the best is not the last


def test_the_best_checkpoint_stays_the_best_in_a_folder_that_was_moved(tmp_path: Path) -> None:
    overrides = [*QUICK, "test=best", "lr=0.3", "optimizer=momentum", "data.split_seed=0", "seed=1"]
    run(configuration([*overrides, "epochs=8"], tmp_path / "undisturbed"))
    count = run(configuration([*overrides, "epochs=8"], tmp_path / "counted"))
    for part in (0.5, 0.7, 0.9):
        before, after = tmp_path / f"before{part}", tmp_path / f"after{part}"
        killed(configuration([*overrides, "epochs=8"], before), int(part * count))
        before.rename(after)
        run(configuration([*overrides, "epochs=8"], after))
        assert ending(after) == ending(tmp_path / "undisturbed")
