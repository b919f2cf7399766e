"""Many optimizer steps in one training step (Keras: `steps_per_execution`), which makes small batches fast."""

import logging
import math
from itertools import pairwise
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler
from torch.optim import Optimizer
from typing_extensions import override

from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.callbacks.averaging import Average
from mnist_mlp.callbacks.lightning_internals import count_optimizer_steps
from mnist_mlp.classifier import MNISTClassifier, Outputs
from mnist_mlp.config.identity import further_arguments
from mnist_mlp.config.schema import Config
from mnist_mlp.fast import kernel
from mnist_mlp.fast.cuda_graph import Graph
from mnist_mlp.fast.eager import Eager
from mnist_mlp.fast.kernel import Kernel, Unavailable
from mnist_mlp.images import DIGITS, PIXELS
from mnist_mlp.language import N_, _
from mnist_mlp.networks import OwnNetwork

log = logging.getLogger(__name__)


WORK_OF_A_CHUNK = 20_000_000_000
"""Multiplications in a chunk unless the user sets its steps: about 0.15 s on two cores, short enough for the progress
bar to move and for Ctrl-C to act, and long enough to hide Lightning's 2 ms around each training step."""


SAMPLES_OF_A_CHUNK = 2_000
"""Samples in a chunk of a network of the user's own, whose work is not known."""


HOOKS_OF_A_STEP = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
)


SUPPORTED = frozenset(
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
        "sync_batchnorm",
        "use_distributed_sampler",
    }
)
"""The additional arguments of `lightning.Trainer` that mean the same if a training step has many optimizer steps."""


class ChunkedClassifier(MNISTClassifier):
    """An `MNISTClassifier` that takes all optimizer steps of a `Chunk` in one training step.

    Lightning counts optimizer steps, not chunks; checkpoints are those of an `MNISTClassifier`.
    """

    def __init__(self, *parameters: Any, **named: Any) -> None:
        super().__init__(*parameters, **named)
        self.automatic_optimization = False

    @override
    def on_train_start(self) -> None:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        self.take_steps: Kernel | Eager = self._kernel_or_eager(optimizer)
        self.steps_by = self.take_steps.title
        if isinstance(self.take_steps, Kernel):
            self.instructions = self.take_steps.instructions

    def _kernel_or_eager(self, optimizer: Optimizer) -> "Kernel | Eager":
        """Choose how to take the steps, by the configuration and the machine alone."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined] # Lightning sets it
        average = next((callback for callback in callbacks if isinstance(callback, Average)), None)
        if isinstance(self.network, OwnNetwork):
            log_dependence_on_threads(self.device)
            return Eager(self, optimizer, average)
        try:
            if self.device.type == "cpu":
                return Kernel(self, optimizer, average)
            if self.device.type == "cuda":
                self._check_supported(average)
                return Graph(self, optimizer)
        except Unavailable as reason:
            log.info(_("{reason}; PyTorch takes the steps, which is slower").format(reason=reason))
        log_dependence_on_threads(self.device)
        return Eager(self, optimizer, average)

    def _check_supported(self, average: Average | None) -> None:
        supported = ("Linear", *ACTIVATIONS.values())
        other_layers = {type(layer).__name__ for layer in self.network.layers.children()}.difference(supported)
        unsupported = {
            **dict.fromkeys(sorted(other_layers), True),
            N_("label smoothing"): self.label_smoothing,
            N_("gradient clipping"): self.gradient_clip,
            N_("weight averaging"): average,
            N_("a scheduler"): self.scheduler,  # a graph keeps its learning rate
        }
        for feature, used in unsupported.items():
            if used:
                raise Unavailable(_("{feature}: not supported by the CUDA graph").format(feature=_(feature)))

    @override
    def steps_of_the_run(self) -> int:
        batches: Any = self.trainer.train_dataloader
        assert self.trainer.max_epochs is not None
        return self.trainer.max_epochs * batches.steps

    @override
    def training_step(self, batch: Any, batch_idx: int) -> Outputs:
        """Take all optimizer steps of a `Chunk`."""
        optimizer = self.trainer.optimizers[0]
        rates = self.rates(optimizer, math.ceil(len(batch.rows) / batch.size))
        steps = self.take_steps(batch, rates)
        self.steps_by = self.take_steps.title  # a graph may turn out to be impossible
        optimizer.param_groups[0]["lr"] = rates[-1]
        done = len(steps.losses)
        # The last batch of an epoch may be smaller than the others.
        sizes = torch.full_like(steps.losses, batch.size)
        sizes[-1] = min(batch.size, len(batch.rows) - (done - 1) * batch.size)
        loss_sum = steps.losses.sum(dtype=self.training_totals.sums.dtype)
        self.training_totals.add(loss_sum, steps.correct.sum(), min(len(batch.rows), done * batch.size))
        count_optimizer_steps(self.trainer, done)
        losses = steps.losses / sizes
        return {"loss": losses[-1], "losses": losses, "accuracies": steps.correct / sizes}


def is_foreign(callback: Callback) -> bool:
    """Whether a callback is not one of this project's."""
    return not type(callback).__module__.startswith("mnist_mlp.")


def log_dependence_on_threads(device: torch.device) -> None:
    """Log that PyTorch's results on the CPU depend on the number of threads, unlike the kernel's."""
    if device.type == "cpu":
        log.info(_("PyTorch takes the optimizer steps: the last digits of the numbers depend on the number of threads"))


def wants_every_step(callback: Callback) -> bool:
    """Whether a callback that is not one of this project's does something at each optimizer step."""
    if not is_foreign(callback):
        return False
    hooks = ((getattr(callback, hook), getattr(Callback, hook)) for hook in HOOKS_OF_A_STEP)
    overridden = any(getattr(own, "__func__", own) is not plain for own, plain in hooks)
    return overridden or isinstance(callback, GradientAccumulationScheduler)  # it changes what a step is


def steps_per_execution(config: Config, trainer: lightning.Trainer, callbacks: list[Callback]) -> int | None:
    """Return the optimizer steps in a chunk, or None for plain Lightning; unless the user chose that, log the reason.

    Args:
        config: of the run.
        trainer: made from it.
        callbacks: the configuration's own.
    """
    wanted = config.trainer["steps_per_execution"]
    if wanted == 1:
        log_dependence_on_threads(trainer.strategy.root_device)
        return None
    foreign = [callback for callback in callbacks if wants_every_step(callback)]
    arguments = sorted(further_arguments(config).keys() - SUPPORTED)
    reason = None
    if trainer.world_size > 1:
        reason = _("{number} processes").format(number=trainer.world_size)
    elif config.trainer["precision"] != "32-true":
        reason = _("precision {precision}").format(precision=config.trainer["precision"])
    elif foreign:
        reason = _("{callback} wants to see every optimizer step").format(callback=type(foreign[0]).__name__)
    elif arguments:
        reason = _("{argument} is for single optimizer steps").format(argument=f"trainer.{arguments[0]}")
    if reason:
        log.info(_("one optimizer step at a time, as plain Lightning: {reason}").format(reason=reason))
        log_dependence_on_threads(trainer.strategy.root_device)
        return None
    if wanted != "auto":
        return int(wanted)
    if config.network:
        return max(1, SAMPLES_OF_A_CHUNK // config.data.batch)
    sizes = [PIXELS, *config.model.hidden_sizes, DIGITS]
    parameters = sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes))
    return max(1, WORK_OF_A_CHUNK // kernel.work(parameters, config.data.batch))
