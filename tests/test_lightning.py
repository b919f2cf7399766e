"""Any argument of Lightning's Trainer and any of its callbacks works and counts, or is refused in a line."""

import inspect
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch import callbacks
from test_identity import config
from test_training import results

from mnist_mlp.config.identity import OBSERVERS, identity
from mnist_mlp.config.valid import LIGHTNING, SET_ELSEWHERE, TRAINER
from mnist_mlp.inference import load as trained

Command = Callable[..., int]

LINE = ["width=8", "data.steps_per_epoch=6", "epochs=2", "trainer=cpu", "callbacks=none"]
QUIET = [*LINE, "logger=none"]


def the_result(folder: Path) -> dict[str, Any]:
    (result,) = results(folder / "runs").values()
    return result


def test_every_argument_of_the_trainer_is_known() -> None:
    own = {"threads", "steps_per_execution"}
    assert set(inspect.signature(lightning.Trainer).parameters) <= {*TRAINER, *LIGHTNING, *SET_ELSEWHERE} - own


COMPLETED = ("completed", None)
ARGUMENTS = {
    "accumulate_grad_batches=2": COMPLETED,
    "benchmark=true": COMPLETED,
    "check_val_every_n_epoch=2": ("limited", "check_val_every_n_epoch=2"),
    "detect_anomaly=true": COMPLETED,
    "deterministic=true": COMPLETED,
    "enable_autolog_hparams=false": COMPLETED,
    "enable_model_summary=true": COMPLETED,
    "enable_progress_bar=true": COMPLETED,
    "gradient_clip_val=0.1": COMPLETED,
    "inference_mode=false": COMPLETED,
    "limit_predict_batches=1": COMPLETED,
    "limit_test_batches=0": ("limited", "limit_test_batches=0"),
    "limit_test_batches=0.5": ("limited", "limit_test_batches=0.5"),
    "limit_train_batches=0.5": ("limited", "limit_train_batches=0.5"),
    "limit_train_batches=1": ("limited", "limit_train_batches=1"),
    "limit_train_batches=1.0": COMPLETED,
    "limit_val_batches=0": ("limited", "limit_val_batches=0"),
    "limit_val_batches=2": ("limited", "limit_val_batches=2"),
    "log_every_n_steps=3": COMPLETED,
    "max_steps=4": ("limited", "max_steps=4"),
    "max_steps=12": COMPLETED,
    "max_steps=-1": COMPLETED,
    "max_time={days: 1}": COMPLETED,
    "max_time=00:00:00:00": ("limited", "the time is over"),
    "min_epochs=1": COMPLETED,
    "min_steps=1": COMPLETED,
    "model_registry=name": COMPLETED,
    "num_nodes=1": COMPLETED,
    "num_sanity_val_steps=1": COMPLETED,
    "overfit_batches=2": ("limited", "overfit_batches=2"),
    "plugins=null": COMPLETED,
    "profiler=simple": COMPLETED,
    "sync_batchnorm=true": COMPLETED,
    "use_distributed_sampler=true": COMPLETED,
    "val_check_interval=0.5": COMPLETED,
}


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_an_argument_of_the_trainer_is_taken(argument: str, command: Command, tmp_path: Path) -> None:
    assert command(*QUIET, f"+trainer.{argument}") == 0
    result = the_result(tmp_path)
    assert (result["status"], result["reason"]) == ARGUMENTS[argument]


def test_an_argument_that_was_not_tried_is_refused_or_keeps_no_record() -> None:
    tried = {argument.partition("=")[0] for argument in ARGUMENTS}
    assert LIGHTNING.keys() - tried == {
        "barebones",
        "enable_checkpointing",
        "fast_dev_run",
        "gradient_clip_algorithm",
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["+trainer.max_tim=3"], "lightning.Trainer has no such argument; did you mean max_time?"),
        (["+trainer.max_epochs=3"], "write epochs=10"),
        (["+trainer.reload_dataloaders_every_n_epochs=0"], "each epoch has an order of its own"),
        (["trainer.max_steps=3"], "write +trainer.max_steps=3"),
        (["+trainer.max_steps=three"], "trainer.max_steps is a whole number of at least -1"),
        (["+trainer.barebones=true"], "barebones"),
        (["+trainer.enable_checkpointing=false"], "enable_checkpointing=False"),
        (["+trainer.profiler=quick"], "['simple', 'advanced', 'pytorch', 'xla']"),
        (["+trainer.val_check_interval=7"], "`val_check_interval` (7) must be less than or equal"),
        (["+trainer.limit_val_batches=0", "test=best"], "test=best needs a validation"),
        (["+trainer.limit_val_batches=0", "patience=1"], "patience needs a validation"),
        (["-m", "+trainer.fast_dev_run=true", "seed=0,1"], "leaves no record, but a sweep needs one"),
    ],
)
def test_a_wrong_argument_of_the_trainer_is_one_line_and_leaves_nothing(
    line: list[str], said: str, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*QUIET, *line) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert results(tmp_path / "runs") == {}
    assert not list(tmp_path.glob("runs/*/seed*"))


def test_what_cannot_begin_leaves_the_run_that_it_was_to_replace(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callback = ["+callbacks.own._target_=test_lightning.Broken", "epochs=1"]
    Broken.breaks = False
    assert command(*QUIET, *callback) == 0
    before = the_result(tmp_path)
    Broken.breaks = True
    assert command(*QUIET, *callback, "overwrite=true") == 2
    assert "trainer or callbacks: LookupError: no such thing" in capsys.readouterr().err
    assert the_result(tmp_path) == before
    assert len(list(tmp_path.glob("runs/*/seed0/checkpoints/*.ckpt"))) == 2


class Broken(lightning.Callback):
    """Fails where a run begins."""

    breaks = True

    def on_train_start(self, *_: Any) -> None:
        if self.breaks:
            raise LookupError("no such thing")


def test_accumulated_gradients_take_fewer_steps_and_schedulers_know(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        command(*LINE, "logger=csv", "callbacks=light", "scheduler=linear", "+trainer.accumulate_grad_batches=4") == 0
    )
    assert "plain Lightning: trainer.accumulate_grad_batches is for single optimizer steps" in capsys.readouterr().out
    assert the_result(tmp_path)["optimizer_steps"] == 4  # of 6 batches an epoch: one step of 4, one of 2
    (metrics,) = tmp_path.glob("runs/*/seed0/metrics.csv")
    header, *rows = metrics.read_text(encoding="utf-8").splitlines()
    rates = [row.split(",")[header.split(",").index("optimizer/learning_rate")] for row in rows]
    # The linear scheduler holds for half of the run, and is half way down before the last of four steps.
    assert [float(rate) for rate in rates if rate] == pytest.approx([0.001, 0.0005])


def test_overfitting_shows_the_same_batches_in_each_epoch(command: Command, tmp_path: Path) -> None:
    assert command(*QUIET, "debug=overfit", "+trainer.limit_val_batches=1", "epochs=2", "lr=1e-12") == 0
    first, second = the_result(tmp_path)["epochs"]
    assert first["train_loss"] == pytest.approx(second["train_loss"], rel=1e-6)


def test_an_epoch_without_validation_has_none_in_its_record(command: Command, tmp_path: Path) -> None:
    assert command(*QUIET, "+trainer.check_val_every_n_epoch=2") == 0
    first, second = the_result(tmp_path)["epochs"]
    assert (first["val_loss"], first["val_accuracy"]) == (None, None)
    assert second["val_loss"] > 0


def test_validations_within_an_epoch_leave_its_training_means_alone(command: Command, tmp_path: Path) -> None:
    assert command(*QUIET, "trainer.steps_per_execution=1") == 0
    assert command(*QUIET, "+trainer.val_check_interval=2") == 0
    once, often = (result["epochs"] for result in results(tmp_path / "runs").values())
    assert [epoch["train_loss"] for epoch in once] == [epoch["train_loss"] for epoch in often]
    assert [epoch["val_loss"] for epoch in once] == [epoch["val_loss"] for epoch in often]


def test_a_limited_run_is_none_of_the_others_and_not_averaged(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ["-m", *LINE, "logger=tensorboard", "seed=0,1"]
    assert command(*sweep, "+trainer.max_steps=4") == 0
    assert "limited" in capsys.readouterr().out
    assert not list(tmp_path.glob("runs/mean of 2 seeds/*"))
    assert command(*sweep) == 0
    assert {result["status"] for result in results(tmp_path / "runs").values()} == {"limited", "completed"}
    assert len(list(tmp_path.glob("runs/mean of 2 seeds/*"))) == 1
    assert command(*sweep, "+trainer.max_steps=4") == 0
    assert "2 jobs: 2 reused" in capsys.readouterr().out


def test_one_batch_goes_through_everything_and_leaves_no_record(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("debug=one_batch", "trainer=cpu") == 0
    shown = capsys.readouterr().out
    assert "fast_dev_run keeps no record" in shown
    assert " 1/1 " in shown
    assert not list(tmp_path.glob("runs/*/*"))


def test_the_profile_and_the_summary_are_shown(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*QUIET, "debug=profile", "+callbacks.summary._target_=lightning.pytorch.callbacks.ModelSummary") == 0
    (log,) = tmp_path.glob("runs/*/seed0/train.log")
    for text in (capsys.readouterr().out, log.read_text(encoding="utf-8")):
        assert "Profiler Report" in text
        assert "run_training_epoch" in text
        assert "Total params" in text


def test_a_run_puts_back_what_the_trainers_arguments_set_for_the_process(command: Command) -> None:
    assert command(*QUIET, "+trainer.deterministic=true") == 0
    assert command(*QUIET, "+trainer.benchmark=true") == 0
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark


PACKAGE = "lightning.pytorch.callbacks"
REFUSED: dict[str, list[str]] = {
    "BackboneFinetuning": [],
    "BaseFinetuning": [],
    "BatchSizeFinder": [],
    "LearningRateFinder": [],
    "ModelPruning": ["pruning_fn=l1_unstructured"],
    "OnExceptionCheckpoint": ["dirpath=elsewhere"],
    "StochasticWeightAveraging": ["swa_lrs=0.01"],
}
TAKEN: dict[str, list[str]] = {
    "BasePredictionWriter": [],
    "Callback": [],
    "Checkpoint": [],
    "DeviceStatsMonitor": [],
    "EarlyStopping": ["monitor=val_accuracy", "mode=max"],
    "EMAWeightAveraging": [],
    "GradientAccumulationScheduler": ["scheduling={0: 2}"],
    "LambdaCallback": [],
    "LearningRateMonitor": [],
    "ModelCheckpoint": ["monitor=val_loss"],
    "ModelSummary": [],
    "ProgressBar": [],
    "RichModelSummary": [],
    "RichProgressBar": [],
    "SpikeDetection": [],
    "ThroughputMonitor": ["batch_size_fn._target_=hydra.utils.get_method", "batch_size_fn.path=builtins.len"],
    "Timer": ["duration={days: 1}"],
    "TQDMProgressBar": [],
    "WeightAveraging": [],
}


def added(name: str, parameters: list[str]) -> list[str]:
    return [f"+callbacks.own.{text}" for text in [f"_target_={PACKAGE}.{name}", *parameters]]


def test_every_callback_of_lightning_is_tried() -> None:
    assert set(callbacks.__all__) <= {*TAKEN, *REFUSED}


@pytest.mark.filterwarnings("ignore:When using the `ThroughputMonitor`")
@pytest.mark.parametrize("name", [name for name in TAKEN if hasattr(callbacks, name)])
def test_a_callback_of_lightning_works_and_counts_unless_it_only_looks_on(
    name: str, command: Command, tmp_path: Path
) -> None:
    line = [*LINE, "logger=csv", *added(name, TAKEN[name])]
    if name == "DeviceStatsMonitor":
        pytest.importorskip("psutil")
    assert command(*line) == 0
    result = the_result(tmp_path)
    assert result["status"] == "completed"
    observes = f"{PACKAGE}.{name}" in OBSERVERS
    assert (result["id"] == identity(config(*LINE))) == observes
    (folder,) = tmp_path.glob("runs/*/seed0")
    assert trained.load(str(folder)).recorded == result["test"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_callback_that_a_run_cannot_have_is_refused_in_a_line(
    name: str, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*QUIET, *added(name, REFUSED[name])) == 2
    error = capsys.readouterr().err
    assert f"callbacks.own: {name} is not supported: " in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.glob("runs/*/seed*"))


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("EarlyStopping", ["monitor=val_acc"], "monitors one of train_loss, train_accuracy, val_loss, val_accuracy"),
        ("EarlyStopping", [], "missing 1 required positional argument: 'monitor'"),
        ("ModelCheckpoint", ["monitor=accuracy"], "monitors one of"),
        ("ModelCheckpoint", ["monitor=val_accuracy", "mode=max"], "more than one stateful callback"),
        ("LearningRateMonitor", [], "needs a logger, as in logger=tensorboard"),
        ("NoSuchCallback", [], "NoSuchCallback"),
    ],
)
def test_a_callback_that_cannot_work_is_refused_in_a_line(
    name: str, parameters: list[str], said: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*QUIET, *added(name, parameters)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_the_device_monitor_needs_psutil(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mnist_mlp.callbacks.foreign.find_spec", lambda name: None)
    assert command(*LINE, "logger=csv", *added("DeviceStatsMonitor", [])) == 2
    assert "needs psutil: pip install psutil" in capsys.readouterr().err


def test_a_finished_baseline_does_not_answer_for_a_run_with_another_callback(command: Command, tmp_path: Path) -> None:
    accumulation = added("GradientAccumulationScheduler", ["scheduling={0: 2}"])
    assert command(*QUIET) == 0
    assert command(*QUIET, *accumulation) == 0
    assert {result["optimizer_steps"] for result in results(tmp_path / "runs").values()} == {12, 6}


def test_early_stopping_as_a_callback_stops_as_patience_does(command: Command, tmp_path: Path) -> None:
    line = [*QUIET, "lr=1e-12", "epochs=9"]
    assert command(*line, "patience=1") == 0
    assert command(*line, *added("EarlyStopping", ["monitor=val_accuracy", "mode=max", "patience=1"])) == 0
    assert [len(result["epochs"]) for result in results(tmp_path / "runs").values()] == [2, 2]


def test_a_timer_that_ends_a_run_within_an_epoch_leaves_a_record(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()
    monkeypatch.setattr(callbacks.Timer, "time_elapsed", lambda *_: next(seconds))
    assert command(*QUIET, *added("Timer", ["duration={seconds: 4}"])) == 0
    result = the_result(tmp_path)
    assert (result["status"], result["reason"]) == ("limited", "the time is over")
    assert 0 < result["optimizer_steps"] < 6
    (epoch,) = result["epochs"]
    assert epoch["train_loss"] > 0


class EveryStep(lightning.Callback):
    """Counts the steps it sees."""

    seen = 0

    def on_train_batch_end(self, *_: Any) -> None:
        EveryStep.seen += 1


def test_a_callback_made_of_functions_sees_every_step_too(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    function = ["on_train_batch_end._target_=test_lightning.count", "on_train_batch_end._partial_=true"]
    EveryStep.seen = 0
    assert command(*QUIET, *added("LambdaCallback", function)) == 0
    assert "plain Lightning: LambdaCallback wants to see every optimizer step" in capsys.readouterr().out
    assert EveryStep.seen == 12


def count(*_: Any) -> None:
    EveryStep.seen += 1
