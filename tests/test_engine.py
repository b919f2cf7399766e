"""Many optimizer steps in one training step are the same training as one at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import lightning
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Callback
from test_training import numbers, results, weights

from mnist_mlp import mnist
from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.compose import compose, composing, to_config
from mnist_mlp.data import Chunk, MNISTDataModule
from mnist_mlp.fast import cuda_graph, engine, kernel
from mnist_mlp.fast.eager import Eager, options

Command = Callable[..., int]
Way = Literal["plain", "double", "eager", "kernel"]

ARITHMETIC = ("relu", "leaky_relu", "softsign")
"""The activations without a function of the mathematics library, in which glibc rounds less well than PyTorch."""

OPTIMIZERS = ["adam", "adamw", "sgd", "momentum", "rmsprop"]
EAGER = "CXX=no-such-compiler"


class Losses(Callback):
    """Keeps what each training step gives to callbacks."""

    def __init__(self) -> None:
        self.of_each_training_step: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.of_each_training_step.append(outputs["losses"].double())

    def all(self) -> torch.Tensor:
        return torch.cat(self.of_each_training_step)


def shipped(optimizer: str) -> dict[str, Any]:
    with composing():
        return to_config(compose([f"optimizer={optimizer}"])).optimizer


def classifier(way: Way, optimizer: dict[str, Any], activation: str = "relu") -> MNISTClassifier:
    torch.manual_seed(0)
    model = {"hidden_sizes": [48, 20], "activation": activation}
    return (MNISTClassifier if way in ("plain", "double") else engine.ChunkedClassifier)(model, optimizer)


def fit(model: MNISTClassifier, way: Way, monkeypatch: pytest.MonkeyPatch, steps: int) -> tuple[Any, torch.Tensor]:
    monkeypatch.setenv("CXX", "no-such-compiler" if way == "eager" else "g++")
    kernel.compiled.cache_clear()
    losses = Losses()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=1,
        precision="64-true" if way == "double" else "32-true",
        logger=False,
        callbacks=[losses],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    chunk = None if way in ("plain", "double") else 150
    trainer.fit(model, MNISTDataModule(batch=20, steps_per_epoch=steps, steps_per_execution=chunk))
    return trainer, losses.all()


def flat(model: MNISTClassifier) -> torch.Tensor:
    return torch.cat([parameter.detach().double().flatten() for parameter in model.parameters()])


def root_mean_square(difference: torch.Tensor) -> float:
    return difference.square().mean().sqrt().item()


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.parametrize(
    ("optimizer", "activation"),
    [(optimizer, "relu") for optimizer in OPTIMIZERS]
    + [pytest.param("adam", activation, marks=pytest.mark.slow) for activation in list(ACTIVATIONS)[1:]],
)
def test_after_200_steps_all_ways_are_as_near_to_double_precision(
    optimizer: str, activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = shipped(optimizer)
    trained = {}
    for way in ("double", "plain", "eager", "kernel"):
        model = classifier(way, configured, activation)
        trainer, losses = fit(model, way, monkeypatch, steps=200)
        assert trainer.global_step == len(losses) == 200
        trained[way] = (losses, flat(model))
    for exact, plain, eager, compiled in zip(*trained.values(), strict=True):
        rounding = root_mean_square(plain - exact)
        assert 0 < rounding < 5e-6
        assert root_mean_square(eager - exact) < 2 * rounding
        assert root_mean_square(compiled - exact) < (2 if activation in ARITHMETIC else 5) * rounding


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_checkpoint_has_the_same_contents(optimizer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    configured = shipped(optimizer)
    checkpoints = {}
    for way in ("plain", "eager", "kernel"):
        model = classifier(way, configured)
        trainer, _ = fit(model, way, monkeypatch, steps=20)
        trainer.save_checkpoint(tmp_path / way)
        checkpoints[way] = torch.load(tmp_path / way, weights_only=True)
    plain = checkpoints["plain"]
    for way in ("eager", "kernel"):
        other = checkpoints[way]
        assert other.keys() == plain.keys()
        for name in ("epoch", "global_step", "hyper_parameters", "lr_schedulers"):
            assert other[name] == plain[name]
        assert other["state_dict"].keys() == plain["state_dict"].keys()
        (state,), (plain_state,) = other["optimizer_states"], plain["optimizer_states"]
        assert state["param_groups"] == plain_state["param_groups"]
        assert state["state"].keys() == plain_state["state"].keys()
        for number, expected in plain_state["state"].items():
            assert state["state"][number].keys() == expected.keys()
            for name, value in expected.items():
                assert state["state"][number][name].dtype == value.dtype
                torch.testing.assert_close(state["state"][number][name], value, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("way", ["plain", "eager", "kernel"])
def test_the_mean_of_an_epoch_is_exact_with_a_smaller_last_batch(
    way: Way, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler" if way == "eager" else "g++")
    kernel.compiled.cache_clear()
    collected: list[torch.Tensor] = []
    for kind in (engine.ChunkedClassifier, MNISTClassifier):
        monkeypatch.setattr(kind, "training_step", _spied(kind.training_step, collected))
    overrides = ["trainer.steps_per_execution=1"] if way == "plain" else []
    command("batch=7000", "epochs=1", "trainer=cpu", *overrides)
    (result,) = results(tmp_path / "runs").values()
    losses = torch.cat(collected).double()
    sizes = torch.tensor([7000] * 7 + [5000])
    assert result["epochs"][0]["train_loss"] == pytest.approx(float((losses * sizes).sum() / 54_000), rel=1e-7)
    assert float(54_000 * result["epochs"][0]["train_accuracy"]) == pytest.approx(
        round(54_000 * result["epochs"][0]["train_accuracy"]), abs=1e-6
    )


def _spied(step: Callable[..., Any], collected: list[torch.Tensor]) -> Callable[..., Any]:
    def spy(self: Any, batch: Any, batch_idx: int) -> Any:
        outputs = step(self, batch, batch_idx)
        collected.append(outputs["losses"])
        return outputs

    return spy


@pytest.mark.parametrize(
    "overrides", [["trainer.steps_per_execution=1"], [EAGER], []], ids=["plain", "eager", "kernel"]
)
def test_a_run_interrupted_in_an_epoch_and_resumed_is_bit_for_bit_the_undisturbed_one(
    overrides: list[str], command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if EAGER in overrides:
        monkeypatch.setenv(*EAGER.split("="))
        overrides = []
    kernel.compiled.cache_clear()
    run = ["epochs=3", "batch=50", "data.steps_per_epoch=9", "trainer=cpu", *overrides]
    if not overrides:
        run.append("trainer.steps_per_execution=4")
    assert command(*run) == 0
    ((_, undisturbed),) = results(tmp_path / "runs").items()
    expected = weights(tmp_path / "runs")
    from mnist_mlp.callbacks.history import History

    taken = History.on_train_batch_end

    def interrupt(self: History, trainer: Any, *arguments: Any) -> None:
        taken(self, trainer, *arguments)
        if trainer.global_step >= 13:
            raise KeyboardInterrupt

    monkeypatch.setattr(History, "on_train_batch_end", interrupt)
    assert command(*run, "overwrite=true") == 130
    ((_, interrupted),) = results(tmp_path / "runs").items()
    assert interrupted["status"] == "interrupted"
    assert [epoch["epoch"] for epoch in interrupted["epochs"]] == [1]
    monkeypatch.setattr(History, "on_train_batch_end", taken)
    assert command(*run) == 0
    ((_, resumed),) = results(tmp_path / "runs").items()
    assert numbers(resumed) == numbers(undisturbed)
    assert all(torch.equal(value, expected[name]) for name, value in weights(tmp_path / "runs").items())


def chunk(batch: int, steps: int, first: int = 0) -> Chunk:
    records = mnist.load(mnist.default_directory(), train=True)
    return Chunk(records, torch.arange(first, first + batch * steps), batch)


def take(take_steps: Any, chunk: Chunk) -> kernel.Steps:
    """Take the steps of a chunk at the optimizer's own rate."""
    steps = -(-len(chunk.rows) // chunk.size)
    return take_steps(chunk, [take_steps.optimizer.param_groups[0]["lr"]] * steps)


def kernel_of(model: MNISTClassifier) -> kernel.Kernel:
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Optimizer)
    return kernel.Kernel(model, optimizer)


@pytest.mark.parametrize(("batch", "steps"), [(1, 40), (7, 6), (300, 2)])
def test_the_kernel_gives_the_same_bits_with_any_number_of_threads(
    batch: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "WORK_OF_A_THREAD", 1)
    optimizer = shipped("adam")
    outcomes = []
    for threads in (1, 2, 3, 8):
        model = MNISTClassifier({"hidden_sizes": [70, 33], "activation": "tanh"}, optimizer)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).view_as(parameter))
        take_steps = kernel_of(model)
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        taken = take(take_steps, chunk(batch, steps))
        monkeypatch.undo()
        monkeypatch.setattr(kernel, "WORK_OF_A_THREAD", 1)
        outcomes.append((taken, flat(model)))
    for taken, trained in outcomes[1:]:
        assert torch.equal(taken.losses, outcomes[0][0].losses)
        assert torch.equal(taken.correct, outcomes[0][0].correct)
        assert torch.equal(trained, outcomes[0][1])


@settings(max_examples=60, deadline=None)
@given(
    hidden_sizes=st.lists(st.integers(1, 80), max_size=4),
    batch=st.one_of(st.integers(1, 70), st.integers(250, 260)),
    short=st.integers(0, 3),
    momentum=st.sampled_from([0, 0.5]),
    activation=st.sampled_from(list(ACTIVATIONS)),
)
def test_the_kernel_takes_the_steps_of_torch_for_any_sizes(
    hidden_sizes: list[int], batch: int, short: int, momentum: float, activation: str
) -> None:
    optimizer = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.5, "momentum": momentum, "weight_decay": 0.1}
    torch.manual_seed(0)
    model = MNISTClassifier({"hidden_sizes": hidden_sizes, "activation": activation}, optimizer)
    exact = MNISTClassifier({"hidden_sizes": hidden_sizes, "activation": activation}, optimizer)
    exact.load_state_dict(model.state_dict())
    exact.double()
    samples = chunk(batch, 3)
    samples = samples._replace(rows=samples.rows[: len(samples.rows) - min(short, batch - 1)])
    taken = take(kernel_of(model), samples)
    torch_optimizer = exact.configure_optimizers()
    assert isinstance(torch_optimizer, torch.optim.Optimizer)
    for step, rows in enumerate(samples.rows.split(batch)):
        torch_optimizer.zero_grad()
        logits = exact.network(samples.records.images[rows].double() / 255)
        loss = torch.nn.functional.cross_entropy(logits, samples.records.labels[rows])
        loss.backward()
        torch_optimizer.step()
        assert taken.losses[step] / len(rows) == pytest.approx(loss.item(), rel=1e-4, abs=1e-4)
    torch.testing.assert_close(flat(model), flat(exact), rtol=1e-3, atol=1e-4)


def test_the_steps_of_a_chunk_do_not_count(command: Command, tmp_path: Path) -> None:
    run = ["epochs=2", "batch=30", "data.steps_per_epoch=10", "trainer=cpu"]
    found = []
    for steps in ("auto", 3, 10, 4000):
        assert command(*run, f"trainer.steps_per_execution={steps}", "overwrite=true") == 0
        (result,) = results(tmp_path / "runs").values()
        found.append(numbers(result))
    assert all(other == found[0] for other in found)


@pytest.mark.parametrize("overrides", [[], ["trainer.steps_per_execution=1"]], ids=["chunks", "plain"])
def test_a_run_diverges_at_the_same_optimizer_step(overrides: list[str], command: Command, tmp_path: Path) -> None:
    command("optimizer=sgd", "lr=1e20", "epochs=1", "data.steps_per_epoch=30", "trainer=cpu", *overrides)
    (result,) = results(tmp_path / "runs").values()
    assert result["status"] == "diverged"
    assert "at optimizer step 2" in result["reason"]
    assert result["optimizer_steps"] == 2


def test_without_a_compiler_one_line_says_so_and_the_run_goes_on(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.compiled.cache_clear()
    monkeypatch.setenv(*EAGER.split("="))
    assert command("epochs=1", "data.steps_per_epoch=2", "trainer=cpu") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.endswith("which is slower")]
    assert line == "there is no C++ compiler no-such-compiler; PyTorch takes the steps, which is slower"


def test_a_compiler_that_fails_is_as_good_as_none(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    kernel.compiled.cache_clear()
    monkeypatch.setenv("CXX", "false")
    assert command("epochs=1", "data.steps_per_epoch=2", "trainer=cpu") == 0
    assert "false does not compile the kernel: status 1" in capsys.readouterr().out


def test_the_kernel_is_compiled_once_for_all_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\necho called >> {tmp_path}/calls\nexec g++ -O0 "$@"\n', encoding="utf-8")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(kernel, "user_cache_path", lambda name: tmp_path / name)
    for _ in range(3):
        kernel.compiled.cache_clear()
        kernel.compiled("SGD")
    kernel.compiled.cache_clear()
    assert (tmp_path / "calls").read_text(encoding="utf-8") == "called\n"
    assert [path.suffix for path in (tmp_path / "mnist_mlp").iterdir()] == [".so"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["optimizer._target_=torch.optim.NAdam"],
            "NAdam: not supported by the compiled kernel; PyTorch takes the steps, which is slower",
        ),
        (
            ["+optimizer.amsgrad=true"],
            "Adam's amsgrad: not supported by the compiled kernel; PyTorch takes the steps, which is slower",
        ),
        (
            ["optimizer=momentum", "+optimizer.nesterov=true"],
            "SGD's nesterov: not supported by the compiled kernel; PyTorch takes the steps, which is slower",
        ),
        (["trainer.precision=64-true"], "one optimizer step at a time, as plain Lightning: precision 64-true"),
        (
            ["+callbacks.lr._target_=lightning.pytorch.callbacks.LearningRateMonitor"],
            "one optimizer step at a time, as plain Lightning: LearningRateMonitor wants to see every optimizer step",
        ),
    ],
)
def test_what_the_fast_way_does_not_know_goes_the_plain_one_and_a_line_says_why(
    overrides: list[str], line: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.compiled.cache_clear()
    assert command("epochs=1", "data.steps_per_epoch=2", "trainer=cpu", *overrides) == 0
    assert line in capsys.readouterr().out.splitlines()


def test_one_step_per_execution_is_plain_lightning_and_no_line_says_so(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ChunkedClassifier", None)
    assert command("epochs=1", "data.steps_per_epoch=2", "trainer=cpu", "trainer.steps_per_execution=1") == 0
    assert "plain Lightning" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "depends"),
    [
        ([], False),
        (["trainer.steps_per_execution=1"], True),
        (["trainer.precision=64-true"], True),
        (["model.dropout=0.1"], False),
        (["model.normalization=layer"], False),
        (["optimizer._target_=torch.optim.NAdam"], True),
    ],
)
def test_a_line_says_where_the_numbers_depend_on_the_number_of_threads(
    overrides: list[str], depends: bool, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.compiled.cache_clear()
    assert command("epochs=1", "data.steps_per_epoch=2", "trainer=cpu", *overrides) == 0
    line = "PyTorch takes the optimizer steps: the last digits of the numbers depend on the number of threads"
    assert capsys.readouterr().out.splitlines().count(line) == depends


def test_the_page_promises_the_same_weights_with_any_number_of_threads_of_the_kernel_alone() -> None:
    page = " ".join((ROOT / "docs" / "performance.md").read_text(encoding="utf-8").split())
    (sentence,) = (text for text in page.split(". ") if "any number of threads" in text)
    assert sentence.startswith("With the compiled kernel this holds for any number of threads; with PyTorch")


@pytest.mark.parametrize("overrides", [["trainer.steps_per_execution=1"], ["model.dropout=0.1"]])
def test_where_pytorch_takes_the_steps_a_run_repeats_to_the_bit_with_the_same_number_of_threads(
    overrides: list[str], command: Command, tmp_path: Path
) -> None:
    found = []
    for _ in range(2):
        line = ["epochs=1", "data.steps_per_epoch=5", "trainer=cpu", "trainer.threads=2", "overwrite=true"]
        assert command(*line, *overrides) == 0
        found.append(weights(tmp_path / "runs"))
    assert all(torch.equal(found[0][name], values) for name, values in found[1].items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_captured_step_replayed_takes_the_steps_of_the_eager_way(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a GPU the replay is the step itself; the static buffers and what capturing takes back are real.
    def captured(step: Callable[[], None]) -> Callable[[], None]:
        with options(torch_optimizer, capturable=False):
            for _ in range(3):
                step()
        return step

    monkeypatch.setattr(cuda_graph, "captured", captured)
    configured = shipped(optimizer)
    outcomes = []
    for way in (Eager, cuda_graph.Graph):
        model = classifier("plain", configured)
        torch_optimizer = model.configure_optimizers()
        assert isinstance(torch_optimizer, torch.optim.Optimizer)
        for group in torch_optimizer.param_groups:
            if "fused" in group:
                monkeypatch.setitem(group, "foreach", False)
        take_steps = way(model, torch_optimizer)
        parts = [chunk(5, 4), chunk(5, 4, first=20), chunk(5, 2, first=40), chunk(5, 1, first=50)]
        parts[-1] = parts[-1]._replace(rows=parts[-1].rows[:3])
        taken = [take(take_steps, part) for part in parts]
        outcomes.append((torch.cat([steps.losses for steps in taken]), flat(model)))
    (losses, trained), (graph_losses, graph_trained) = outcomes
    torch.testing.assert_close(graph_losses, losses, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(graph_trained, trained, rtol=1e-4, atol=1e-5)


def test_after_a_capture_that_fails_the_steps_are_those_of_the_eager_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def captured(step: Callable[[], None]) -> Callable[[], None]:
        step()
        raise RuntimeError("operation not permitted\nwhen the stream is capturing")

    monkeypatch.setattr(cuda_graph, "captured", captured)
    caplog.set_level("INFO", "mnist_mlp")
    outcomes = []
    for way in (Eager, cuda_graph.Graph):
        model = classifier("plain", shipped("sgd"))
        torch_optimizer = model.configure_optimizers()
        assert isinstance(torch_optimizer, torch.optim.Optimizer)
        take_steps = way(model, torch_optimizer)
        losses = [take(take_steps, part).losses for part in (chunk(5, 4), chunk(5, 4, first=20))]
        outcomes.append(torch.cat([*losses, flat(model)]))
    assert torch.equal(*outcomes)
    assert take_steps.title == "PyTorch"
    (line,) = caplog.messages
    assert line.startswith("the CUDA graph cannot be captured: operation not permitted")
    assert line.endswith("PyTorch takes the steps, which is slower")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_cuda_graph_takes_the_steps_of_plain_torch(optimizer: str) -> None:
    configured = shipped(optimizer)
    outcomes = []
    for way in (Eager, cuda_graph.Graph):
        model = classifier("plain", configured).cuda()
        torch_optimizer = model.configure_optimizers()
        assert isinstance(torch_optimizer, torch.optim.Optimizer)
        take_steps = way(model, torch_optimizer)
        records = mnist.Records(*(tensor.cuda() for tensor in chunk(5, 1).records))
        rows = torch.arange(5 * 40 + 3, device="cuda")
        taken = take(take_steps, Chunk(records, rows, 5))
        outcomes.append((taken.losses, flat(model)))
    torch.testing.assert_close(outcomes[1], outcomes[0], rtol=1e-4, atol=1e-5)
