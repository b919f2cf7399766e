"""The learning rate over a run: the shapes, and that they are torch's where torch has them."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_training import assert_same_runs, results

from mnist_mlp import scheduler
from mnist_mlp.config.schema import Config
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


def test_after_a_warm_up_alone_the_rate_stays() -> None:
    found = factors(lambda progress: scheduler.warmup(progress, warm_up=0.2), 20)
    assert found == pytest.approx([(step + 1) / 5 for step in range(4)] + [1] * 16)
    assert found[4:] == [1] * 16


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


parts = st.one_of(
    st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.67, 0.999999, math.nextafter(1, 0), 5e-324]),
    st.floats(0, 1, exclude_max=True),
    st.fractions(0, 1, max_denominator=200).filter(lambda part: part < 1).map(float),  # a whole number of the steps
)
ends = st.floats(0, 1)
schedulers = st.one_of(
    st.builds(partial, st.just(scheduler.cosine), warm_up=parts, final=ends),
    st.builds(partial, st.just(scheduler.warmup), warm_up=parts),
    st.builds(partial, st.just(scheduler.linear), hold=parts, final=ends),
    st.builds(partial, st.just(scheduler.one_cycle), warm_up=parts, initial=ends, final=ends),
    st.builds(partial, st.just(scheduler.plateau), factor=ends, patience=st.integers(0, 5)),
)
accuracies = st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=20)


@given(st.data(), schedulers, st.one_of(st.integers(1, 300), st.integers(1, 10**9)), accuracies)
def test_every_factor_is_finite_and_from_0_to_1_and_the_run_ends_at_the_final_one(
    data: st.DataObject, schedule: Scheduler, steps: int, accuracies: list[float]
) -> None:
    near_the_ends = st.sampled_from([0, 1, steps - 2, steps - 1, steps, steps + 1, 2 * steps]).map(abs)
    step = data.draw(st.one_of(st.integers(0, steps), near_the_ends))
    factor = schedule(Progress(step, steps, accuracies))
    assert 0 <= factor <= 1  # which no NaN is
    parameters: dict[str, float] = schedule.keywords  # type: ignore[attr-defined]
    if "final" in parameters and step >= steps:
        assert factor == pytest.approx(parameters["final"], abs=1e-15)
    warms_up = (scheduler.cosine, scheduler.warmup)
    if schedule.func not in warms_up:  # type: ignore[attr-defined] # a warm-up begins below any
        lowest = min(parameters.get("initial", 1), parameters.get("final", 0))
        assert factor >= lowest - 1e-15


@given(schedulers, st.integers(1, 300))
def test_a_factor_rises_to_its_highest_and_then_falls(schedule: Scheduler, steps: int) -> None:
    found = factors(schedule, steps + 2)
    top = found.index(max(found))
    assert all(later - earlier > -1e-15 for earlier, later in pairwise(found[: top + 1]))
    assert all(later - earlier < 1e-15 for earlier, later in pairwise(found[top:]))


def before(name: str, step: int, steps: int) -> float:
    """The formulas that the published runs were trained with."""

    def half_cosine(begin: float, end: float, part: float) -> float:
        return end + (begin - end) * (1 + math.cos(math.pi * part)) / 2

    if name == "cosine":
        rising = 0.05 * steps
        return (step + 1) / (rising + 1) if step < rising else half_cosine(1.0, 0.0, (step - rising) / (steps - rising))
    if name == "linear":
        return 1 + (0.0 - 1) * (max(0.0, step / steps - 0.67) / (1 - 0.67))
    peak = 0.3 * steps - 1
    if step <= peak:
        return half_cosine(0.04, 1.0, step / peak)
    return half_cosine(1.0, 4e-6, (step - peak) / (steps - 1 - peak))


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("cosine", scheduler.cosine),
        ("linear", partial(scheduler.linear, hold=0.67)),
        ("one_cycle", scheduler.one_cycle),
    ],
)
@pytest.mark.parametrize("steps", [1, 2, 7, 100, 540, 2700, 2997])
def test_the_published_configurations_have_their_factors_to_the_bit(name: str, schedule: Scheduler, steps: int) -> None:
    assert factors(schedule, steps) == [before(name, step, steps) for step in range(steps)]


def test_a_warm_up_of_a_single_step_is_trained_with(command: Command) -> None:
    line = ["scheduler=one_cycle", "scheduler.warm_up=0.05", "data.steps_per_epoch=20", "epochs=1", "trainer=cpu"]
    assert command(*line) == 0


@pytest.mark.parametrize("option", ["cosine", "linear", "one_cycle", "plateau", "warmup"])
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

    from mnist_mlp import training
    from mnist_mlp.interactive import jobs

    class Interrupt(Callback):
        def on_train_epoch_start(self, trainer: object, pl_module: torch.nn.Module) -> None:
            if getattr(pl_module, "current_epoch", 0) == 2:
                raise KeyboardInterrupt

    def interrupted(config: Config, show: bool = True, network: torch.nn.Module | None = None) -> float:
        return training.train(config, show, watchers=[Interrupt()], network=network)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "training_function", lambda show, library: interrupted)
        assert command(*line) == 130
