"""The learning rate over a run: the shapes, and that they are torch's where torch has them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_training import assert_same_runs, results

from mnist_mlp import scheduler
from mnist_mlp.scheduler import Progress, Scheduler

Command = Callable[..., int]


def factors(schedule: Scheduler, steps: int) -> list[float]:
    return [schedule(Progress(step, steps, [])) for step in range(steps)]


def torchs(make: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler], steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_a_cosine_without_warm_up_is_torchs() -> None:
    expected = torchs(lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.1), 50)
    assert factors(lambda progress: scheduler.cosine(progress, warm_up=0, final=0.1), 50) == pytest.approx(expected)


def test_one_cycle_is_torchs() -> None:
    def make(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=50, cycle_momentum=False)

    assert factors(scheduler.one_cycle, 50) == pytest.approx(torchs(make, 50))


def test_a_warm_up_rises_in_a_line() -> None:
    found = factors(lambda progress: scheduler.cosine(progress, warm_up=0.5), 20)
    assert found[:11] == pytest.approx([(step + 1) / 11 for step in range(11)])
    assert found[11:] == sorted(found[11:], reverse=True)


def test_linear_holds_and_falls() -> None:
    assert factors(lambda progress: scheduler.linear(progress, hold=0.5, final=0.2), 8) == pytest.approx(
        [1, 1, 1, 1, 1, 0.8, 0.6, 0.4]
    )


@given(st.lists(st.integers(0, 10).map(lambda tenths: tenths / 10), max_size=40), st.integers(0, 4))
def test_a_plateau_is_torchs(accuracies: list[float], patience: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=patience, threshold=0)
    for accuracy in accuracies:
        torchs.step(accuracy)
    found = scheduler.plateau(Progress(0, 1, accuracies), factor=0.5, patience=patience)
    assert found == pytest.approx(optimizer.param_groups[0]["lr"])


@given(
    st.sampled_from([scheduler.cosine, scheduler.linear, scheduler.one_cycle, scheduler.plateau]),
    st.integers(1, 200),
)
def test_every_factor_is_from_0_to_1(schedule: Scheduler, steps: int) -> None:
    assert all(0 <= factor <= 1 for factor in factors(schedule, steps))


@pytest.mark.parametrize("option", ["cosine", "linear", "one_cycle", "plateau"])
def test_the_kernel_plain_pytorch_and_lightning_take_the_same_rates(
    option: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = [f"scheduler={option}", "batch=500", "epochs=3", "data.steps_per_epoch=10", "trainer=cpu", "logger=csv"]
    found = []
    for name, steps in (("chunks", "auto"), ("plain", "1")):
        monkeypatch.chdir(tmp_path)
        assert command(*line, f"trainer.steps_per_execution={steps}", "overwrite=true") == 0
        (result,) = results(tmp_path / "runs").values()
        assert result["hardware"]["steps_by"] == ("compiled kernel" if name == "chunks" else "Lightning")
        found.append([epoch["val_loss"] for epoch in result["epochs"]])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_a_run_with_a_scheduler_goes_on_as_if_it_had_not_been_ended(command: Command, tmp_path: Path) -> None:
    line = ["scheduler=plateau", "scheduler.patience=0", "lr=0.05", "data.steps_per_epoch=20", "epochs=6"]
    assert command(*line, "trainer=cpu") == 0
    (tmp_path / "runs").rename(tmp_path / "undisturbed")
    ended_after_two_epochs(command, *line, "trainer=cpu")
    assert command(*line, "trainer=cpu") == 0
    assert_same_runs(tmp_path / "runs", tmp_path / "undisturbed")


def ended_after_two_epochs(command: Command, *line: str) -> None:
    """Let a run be interrupted at the end of its second epoch, after its checkpoint."""
    from lightning.pytorch.callbacks import Callback

    from mnist_mlp import command as commands
    from mnist_mlp import training

    class Interrupt(Callback):
        def on_train_epoch_start(self, trainer: object, pl_module: torch.nn.Module) -> None:
            if getattr(pl_module, "current_epoch", 0) == 2:
                raise KeyboardInterrupt

    def interrupted(config: object, show: bool = True) -> float:
        return training.train(config, show, watchers=[Interrupt()])  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands, "training_function", lambda: interrupted)
        assert command(*line) == 130
