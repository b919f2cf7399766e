"""Many optimizer steps in one training step, which Keras calls steps per execution: what makes small batches fast."""

import logging
import math
from itertools import pairwise
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler
from torch.optim import Optimizer

from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.callbacks.averaging import Average
from mnist_mlp.classifier import MNISTClassifier, Outputs
from mnist_mlp.config.identity import further_arguments
from mnist_mlp.config.schema import Config
from mnist_mlp.fast import kernel
from mnist_mlp.fast.cuda_graph import Graph
from mnist_mlp.fast.eager import Eager
from mnist_mlp.fast.kernel import Kernel, Unavailable
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
            log.info("%s; PyTorch takes the steps, which is slower", reason)
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
                raise Unavailable(f"{what}: not supported by the {title}")

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


def is_foreign(callback: Callback) -> bool:
    """Whether a callback is not this project's."""
    return not type(callback).__module__.startswith("mnist_mlp.")


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
