"""Many optimizer steps in one training step, which Keras calls steps per execution: what makes small batches fast."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import lightning
import torch
from jaxtyping import Int64
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler
from torch import Tensor
from torch.optim import Optimizer

from mnist_mlp import kernel
from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.averaging import Average
from mnist_mlp.classifier import MNISTClassifier, Outputs
from mnist_mlp.config import Config, further_arguments
from mnist_mlp.data import Chunk
from mnist_mlp.kernel import Kernel, Steps, Unavailable
from mnist_mlp.mlp import DIGITS, PIXELS

log = logging.getLogger(__name__)

WORK_OF_A_CHUNK = 20_000_000_000
"""Multiplications in a chunk if the user does not set its steps: some 0.15 s on two cores, so that the progress bar
moves, Ctrl-C is answered, and Lightning's 2 ms around each training step do not count."""

HOOKS_OF_A_STEP = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
)

HONOURED = frozenset(
    {
        "benchmark",
        "check_val_every_n_epoch",
        "deterministic",
        "enable_autolog_hparams",
        "enable_model_summary",
        "enable_progress_bar",
        "inference_mode",
        "limit_predict_batches",
        "limit_test_batches",
        "limit_val_batches",
        "log_every_n_steps",
        "max_time",
        "min_epochs",
        "model_registry",
        "num_nodes",
        "num_sanity_val_steps",
        "profiler",
        "reload_dataloaders_every_n_epochs",
        "sync_batchnorm",
        "use_distributed_sampler",
    }
)
"""The further arguments of `lightning.Trainer` that mean the same where a training step has many optimizer steps."""


class ChunkedClassifier(MNISTClassifier):
    """An `MNISTClassifier` that takes all optimizer steps of a `Chunk` in one training step.

    Lightning counts optimizer steps, not chunks; checkpoints are those of an `MNISTClassifier`.
    """

    def __init__(self, *parameters: Any, **named: Any) -> None:
        super().__init__(*parameters, **named)
        self.automatic_optimization = False

    def on_train_start(self) -> None:
        """Choose how the steps are taken, from the configuration and the machine alone."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        self.take_steps: Kernel | Eager = self._kernel_or_eager(optimizer)
        self.steps_by = self.take_steps.title

    def _kernel_or_eager(self, optimizer: Optimizer) -> "Kernel | Eager":
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined] # Lightning sets it
        average = next((callback for callback in callbacks if isinstance(callback, Average)), None)
        try:
            if self.device.type in ("cpu", "cuda"):
                self._check_plain(average)
            if self.device.type == "cpu":
                return Kernel(self.network, self.hparams["model"]["activation"], optimizer)
            if self.device.type == "cuda":
                return Graph(self, optimizer)
        except Unavailable as reason:
            log.info("slower: %s", reason)
        log_that_threads_count(self.device)
        return Eager(self, optimizer, average)

    def _check_plain(self, average: Average | None) -> None:
        known = ("Linear", *ACTIVATIONS.values())
        strange = {type(layer).__name__ for layer in self.network.layers}.difference(known)
        beyond = {
            **dict.fromkeys(sorted(strange), True),
            "label smoothing": self.label_smoothing,
            "gradient clipping": self.gradient_clip,
            "weight averaging": average,
            "a scheduler": self.scheduler if self.device.type == "cuda" else None,  # a graph keeps its learning rate
        }
        title = "compiled kernel" if self.device.type == "cpu" else "CUDA graph"
        for what, there in beyond.items():
            if there:
                raise Unavailable(f"the {title} does not know {what}")

    def steps_of_the_run(self) -> int:
        """Give the optimizer steps that the run will have taken at its end."""
        batches: Any = self.trainer.train_dataloader
        assert self.trainer.max_epochs is not None
        return self.trainer.max_epochs * batches.steps

    def training_step(self, batch: Any) -> Outputs:
        """Take the steps.

        Args:
            batch: a `Chunk`.
        """
        optimizer = self.trainer.optimizers[0]
        rates = self.rates(optimizer, math.ceil(len(batch.rows) / batch.size))
        steps = self.take_steps(batch, rates)
        optimizer.param_groups[0]["lr"] = rates[-1]
        done = len(steps.losses)
        # The last batch of an epoch may be smaller than the others.
        sizes = torch.full_like(steps.losses, batch.size)
        sizes[-1] = min(batch.size, len(batch.rows) - (done - 1) * batch.size)
        loss_sum = steps.losses.sum(dtype=self.training_totals.sums.dtype)
        self.training_totals.add(loss_sum, steps.correct.sum(), min(len(batch.rows), done * batch.size))
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        for count in (progress.total, progress.current):
            count.ready += done
            count.completed += done
        losses = steps.losses / sizes
        return {"loss": losses[-1], "losses": losses, "accuracies": steps.correct / sizes}


class Eager:
    """Takes the steps one after the other, as plain PyTorch does.

    Args:
        classifier: gives loss and right answers.
        optimizer: of its parameters.
        average: of its weights, if there is one.
    """

    title = "PyTorch"

    def __init__(self, classifier: MNISTClassifier, optimizer: Optimizer, average: Average | None = None) -> None:
        self.classifier = classifier
        self.optimizer = optimizer
        self.average = average

    def __call__(self, chunk: Chunk, rates: list[float]) -> Steps:
        """Take the steps; on the CPU they end at a loss that is not finite, after its step."""
        losses, correct = [], []
        with options(self.optimizer, fused=True):
            for rows, rate in zip(torch.split(chunk.rows, chunk.size), rates, strict=True):
                self.optimizer.param_groups[0]["lr"] = rate
                loss, right = self.step(chunk, rows)
                if self.average:
                    self.average.update(self.classifier)
                losses.append(loss)
                correct.append(right)
                if loss.device.type == "cpu" and not math.isfinite(loss):
                    break
        return Steps(torch.stack(losses), torch.stack(correct))

    def step(self, chunk: Chunk, rows: Int64[Tensor, " samples"]) -> tuple[Tensor, Tensor]:
        """Take one step, and give its sum of losses and its right answers."""
        images = chunk.records.images.index_select(0, rows).float().div_(255)
        labels = chunk.records.labels.index_select(0, rows)
        scores: list[tuple[Tensor, Tensor]] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            loss_sum, correct = self.classifier.score(images, labels, self.classifier.label_smoothing)
            loss = loss_sum * (1 / len(rows))
            loss.backward()  # type: ignore[no-untyped-call] # torch leaves it so
            self.classifier.clip_gradient()
            scores.append((loss_sum.detach(), correct))
            return loss

        self.optimizer.step(closure)  # type: ignore[arg-type] # torch takes tensors, whatever it declares
        return scores[0]


class Graph(Eager):
    """Takes the steps by replaying one that was captured as a CUDA graph: one launch a step, and no waiting.

    Args:
        classifier: gives loss and right answers.
        optimizer: of its parameters; its state begins with zeros.

    Raises:
        Unavailable: the optimizer is not one of which that is known.
    """

    title = "CUDA graph"

    def __init__(self, classifier: MNISTClassifier, optimizer: Optimizer) -> None:
        kernel.kind_of(optimizer)
        super().__init__(classifier, optimizer)
        self.replay: Callable[[], None] | None = None

    def __call__(self, chunk: Chunk, rates: list[float]) -> Steps:
        """Take the steps, all at the graph's rate; a smaller batch at the end is taken without the graph."""
        whole, rest = divmod(len(chunk.rows), chunk.size)
        if whole:
            if self.replay is None:
                self._capture(chunk)
            self.rows[: whole * chunk.size] = chunk.rows[: whole * chunk.size]
            self.position.zero_()
            for _ in range(whole):
                self.replay()
        losses = [self.losses[:whole].clone()] if whole else []
        correct = [self.correct[:whole].clone()] if whole else []
        if rest:
            loss, right = self.step(chunk, chunk.rows[-rest:])
            losses.append(loss.unsqueeze(0))
            correct.append(right.unsqueeze(0))
        return Steps(torch.cat(losses), torch.cat(correct))

    def _capture(self, chunk: Chunk) -> None:
        # The first chunk of an epoch is the longest. Capturing needs some real steps, which are taken back.
        device, steps = chunk.rows.device, len(chunk.rows) // chunk.size
        self.rows = chunk.rows[: steps * chunk.size].clone()
        self.position = torch.zeros((), dtype=torch.int64, device=device)
        self.losses = torch.zeros(steps, device=device)
        self.correct = torch.zeros(steps, dtype=torch.int64, device=device)
        samples = torch.arange(chunk.size, device=device)

        def step() -> None:
            place = self.position % steps
            rows = self.rows.index_select(0, samples + place * chunk.size)
            loss, right = self.step(chunk, rows)
            self.losses.index_copy_(0, place.unsqueeze(0), loss.unsqueeze(0))
            self.correct.index_copy_(0, place.unsqueeze(0), right.unsqueeze(0))
            self.position.add_(1)

        parameters = list(self.classifier.parameters())
        before = [parameter.detach().clone() for parameter in parameters]
        state_before = []
        for parameter in parameters:
            state = self.optimizer.state.get(parameter, {})
            state.update({name: value.to(device) for name, value in state.items()})  # a step count may be on the CPU
            state_before.append({name: value.clone() for name, value in state.items()})
        with options(self.optimizer, capturable=True):
            self.replay = captured(step)
        with torch.no_grad():
            for parameter, values, states in zip(parameters, before, state_before, strict=True):
                parameter.copy_(values)
                for name, value in self.optimizer.state.get(parameter, {}).items():
                    value.copy_(states.get(name, torch.zeros_like(value)))


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """Take some steps to warm up, as CUDA graphs need it, and give a replay of one."""
    others = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    others.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(others):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(others)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


@contextmanager
def options(optimizer: Optimizer, **values: bool) -> Iterator[None]:
    """Set options of an optimizer that has them, for a while: they belong to the machine, not into a checkpoint."""
    before = [dict(group) for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group.update({name: value for name, value in values.items() if name in group})
    try:
        yield
    finally:
        for group, options in zip(optimizer.param_groups, before, strict=True):
            group.update({name: options[name] for name in values if name in group})


def is_foreign(callback: Callback) -> bool:
    """Whether a callback is not this project's."""
    return not type(callback).__module__.startswith(f"{__package__}.")


def instructions(model: MNISTClassifier) -> str:
    """Name the instruction set that takes a model's optimizer steps on the CPU; their last digits depend on it."""
    steps = getattr(model, "take_steps", None)
    return steps.instructions if isinstance(steps, Kernel) else torch.backends.cpu.get_cpu_capability()


def log_that_threads_count(device: torch.device) -> None:
    """Log that the numbers are those of a number of threads, as PyTorch's sums on the CPU are, unlike the kernel's."""
    if device.type == "cpu":
        log.info("PyTorch takes the optimizer steps: the last digits of the numbers depend on the number of threads")


def wants_every_step(callback: Callback) -> bool:
    """Whether a callback, other than this project's, does something at each optimizer step."""
    if not is_foreign(callback):
        return False
    hooks = ((getattr(callback, hook), getattr(Callback, hook)) for hook in HOOKS_OF_A_STEP)
    overridden = any(getattr(own, "__func__", own) is not plain for own, plain in hooks)
    return overridden or isinstance(callback, GradientAccumulationScheduler)  # which changes what a step is


def steps_per_execution(config: Config, trainer: lightning.Trainer, callbacks: list[Callback]) -> int | None:
    """Give the optimizer steps of a chunk, or None where training is plain Lightning; a log line says why it must be.

    Args:
        config: of the run.
        trainer: made from it.
        callbacks: the configuration's own.
    """
    wanted = config.trainer["steps_per_execution"]
    if wanted == 1:
        log_that_threads_count(trainer.strategy.root_device)
        return None
    foreign = [callback for callback in callbacks if wants_every_step(callback)]
    arguments = sorted(further_arguments(config).keys() - HONOURED)
    reason = None
    if trainer.world_size > 1:
        reason = f"{trainer.world_size} processes"
    elif config.trainer["precision"] != "32-true":
        reason = f"precision {config.trainer['precision']}"
    elif foreign:
        reason = f"{type(foreign[0]).__name__} wants to see every optimizer step"
    elif arguments:
        reason = f"trainer.{arguments[0]} is for single optimizer steps"
    if reason:
        log.info("one optimizer step at a time, as plain Lightning: %s", reason)
        log_that_threads_count(trainer.strategy.root_device)
        return None
    if wanted != "auto":
        return int(wanted)
    sizes = [PIXELS, *config.model.hidden_sizes, DIGITS]
    parameters = sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    return max(1, WORK_OF_A_CHUNK // kernel.work(parameters, config.data.batch))
