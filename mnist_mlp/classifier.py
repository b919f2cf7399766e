"""The LightningModule: loss, metrics and optimizer around a network."""

from typing import Any, NamedTuple, TypedDict

import lightning
import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional

from mnist_mlp.config.targets import instantiate
from mnist_mlp.data import Batch, Stream
from mnist_mlp.networks import build
from mnist_mlp.scheduler import Progress, Scheduler


class Outputs(TypedDict):
    """The output of a training step, for callbacks.

    Attributes:
        loss: of its last, or only, optimizer step.
        losses: of each of its optimizer steps, the mean over the samples.
        accuracies: of each of its optimizer steps, as fractions.
    """

    loss: Float[Tensor, ""]
    losses: Float[Tensor, " steps"]
    accuracies: Float[Tensor, " steps"]


class Metrics(NamedTuple):
    """Means over samples: the loss in nats and the accuracy as a fraction."""

    loss: float
    accuracy: float


class Totals:
    """The sums, over samples, of loss and correct answers, and the number of samples; they stay on the device."""

    def __init__(self, device: torch.device) -> None:
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self.sums: Float64[Tensor, " 3"] | Float[Tensor, " 3"] = torch.zeros(3, dtype=dtype, device=device)

    def add(self, loss: Tensor, correct: Tensor, samples: int) -> None:
        """Add some samples' sum of losses and number of right answers."""
        self.sums[0] += loss
        self.sums[1] += correct
        self.sums[2] += samples

    def mean(self, trainer: lightning.Trainer) -> Metrics:
        """Divide the sums of all processes by the number of samples."""
        loss, correct, samples = trainer.strategy.reduce(self.sums.clone(), reduce_op="sum").tolist()
        return Metrics(loss / samples, correct / samples)


class MNISTClassifier(lightning.LightningModule):
    """Trains a network by cross-entropy. A checkpoint of it holds plain values and loads with `weights_only=True`.

    Args:
        model: the parameters of `MLP`, or a network of the user's own as `networks.build` takes it.
        optimizer: a partial of an optimizer class in Hydra's form: `_target_`, `_partial_`, and its parameters.
        scheduler: a partial of a `Scheduler` in the same form; an empty one leaves the learning rate as it is.
        label_smoothing: the fraction of a training label spread over all digits (Szegedy et al. 2016).
        gradient_clip: the maximum norm of a step's gradient; None does not clip (Pascanu et al. 2013).
        instance: the network itself, if `model` describes an instance.
    """

    training_totals: Totals
    totals: Totals
    steps_by: str = "Lightning"
    """What takes the optimizer steps, as a run's record names it."""
    instructions: str = torch.backends.cpu.get_cpu_capability()
    """The instruction set of the steps on the CPU, on which the last digits of the results depend."""

    def __init__(
        self,
        model: dict[str, Any],
        optimizer: dict[str, Any],
        scheduler: dict[str, Any] | None = None,
        label_smoothing: float = 0.0,
        gradient_clip: float | None = None,
        instance: torch.nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["instance"], logger=False)
        self.network = build(model, instance)
        self.optimizer = optimizer
        self.scheduler: Scheduler | None = instantiate(scheduler) if scheduler else None
        self.label_smoothing = label_smoothing
        self.gradient_clip = gradient_clip
        self.metrics: dict[str, Metrics] = {}
        """The latest means of the stages "train" (an epoch), "val" and "test"."""
        self.val_accuracies: list[float] = []
        """Of each epoch so far, as fractions."""
        self.right: Bool[Tensor, " images"] | None = None
        """Which test images were classified correctly, in their order; None if not all of them were used."""
        self.temperature: float | None = None
        """What to divide the logits by for calibrated probabilities, if it is known."""
        self.data_set: dict[str, Any] = {}
        """`dataset`, `dir` and `content` of the run's data and the names of its `classes`, for checkpoints."""

    def forward(self, images: Float[Tensor, " batch *pixels"]) -> Float[Tensor, "batch 10"]:
        """Compute the logits of images with values in [0, 1]."""
        logits: torch.Tensor = self.network(images)
        return logits

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Complete the partial of the optimizer with the network's parameters."""
        optimizer: torch.optim.Optimizer = instantiate(self.optimizer)(self.network.parameters())
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return optimizer

    def rates(self, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
        """Return the learning rates of an optimizer's next steps."""
        (group,) = optimizer.param_groups
        if self.scheduler is None:
            return [group["lr"]] * steps
        total, taken = self.steps_of_the_run(), self.trainer.global_step
        return [
            group["initial_lr"] * self.scheduler(Progress(step, total, self.val_accuracies))
            for step in range(taken, taken + steps)
        ]

    def steps_of_the_run(self) -> int:
        """Return the optimizer steps that the run will have taken at its end."""
        return int(self.trainer.estimated_stepping_batches)

    def on_train_epoch_start(self) -> None:
        """Begin the sums of the epoch, and its random numbers, which a resumed run shall have too."""
        self.training_totals = Totals(self.device)
        self.metrics.pop("val", None)  # of the epoch before: not every epoch need be validated
        data = self.trainer.datamodule  # type: ignore[attr-defined] # Lightning sets it
        seeds = np.random.SeedSequence([Stream.DROPOUT, data.seed, self.current_epoch])
        torch.manual_seed(int(seeds.generate_state(1)[0]))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of a step."""
        optimizer = self.trainer.optimizers[0]
        (optimizer.param_groups[0]["lr"],) = self.rates(optimizer, 1)

    def training_step(self, batch: Any, batch_idx: int) -> Outputs:
        """Return the loss of which the mean over the processes is the mean over the whole batch's samples.

        Args:
            batch: a `Batch`, this process's share.
            batch_idx: its place in the epoch.
        """
        batches: Any = self.trainer.train_dataloader
        share = self.trainer.world_size / batches.size_of(batch_idx)
        loss_sum, correct = self.score(batch.images, batch.labels, self.label_smoothing)
        self.training_totals.add(loss_sum.detach(), correct, len(batch.labels))
        loss = loss_sum * share
        return {"loss": loss, "losses": loss.detach().unsqueeze(0), "accuracies": (correct * share).unsqueeze(0)}

    def score(
        self, images: Float[Tensor, "samples 784"], labels: Int64[Tensor, " samples"], label_smoothing: float = 0.0
    ) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
        """Return the sum of the samples' losses and the number of right answers."""
        return self.score_logits(self(images), labels, label_smoothing)

    @staticmethod
    def score_logits(
        logits: Float[Tensor, "samples 10"], labels: Int64[Tensor, " samples"], label_smoothing: float = 0.0
    ) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
        """As `score`, from logits."""
        loss_sum = functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=label_smoothing)
        return loss_sum, (logits.argmax(dim=1) == labels).sum()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient, where Lightning takes the steps; then as the Trainer's arguments say."""
        self.clip_gradient()
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def clip_gradient(self) -> None:
        """Clip the norm of the gradient."""
        if self.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_clip)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what a scheduler goes by, and what the weights are of."""
        checkpoint["val_accuracies"] = self.val_accuracies
        checkpoint["data_set"] = self.data_set

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore it."""
        self.val_accuracies = checkpoint.get("val_accuracies", [])

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Take the means of an epoch at its last batch, which may come early."""
        trainer = self.trainer
        if trainer.is_last_batch or trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step:
            self._end_training_totals()

    def on_train_epoch_end(self) -> None:
        """Log the means of the epoch."""
        self._log("train")

    def _end_training_totals(self) -> None:
        # Means over the epoch's samples while the weights changed, as Keras prints them.
        self.metrics["train"] = self.training_totals.mean(self.trainer)

    def on_validation_epoch_start(self) -> None:
        """Begin the sums; a validation within an epoch may end it."""
        self.totals = Totals(self.device)
        if self.trainer.training and not self.trainer.is_last_batch:
            self._end_training_totals()

    def validation_step(self, batch: Batch) -> None:
        """Add a batch to the sums."""
        self.totals.add(*self.score(batch.images, batch.labels), len(batch.labels))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the validation images, unless Lightning only tries out whether they can be had."""
        if self.trainer.sanity_checking:
            return
        self.metrics["val"] = self.totals.mean(self.trainer)
        self.val_accuracies.append(self.metrics["val"].accuracy)
        self._log("val")

    def on_test_epoch_start(self) -> None:
        """Begin the sums."""
        self.totals, self.right = Totals(self.device), None

    def test_step(self, batch: Batch) -> Float[Tensor, "samples 10"]:
        """Add a batch to the sums; give its logits to callbacks."""
        logits = self(batch.images)
        if self.trainer.num_test_batches == [1]:  # of all images, of which each process has a share
            self.right = logits.argmax(dim=1) == batch.labels
        self.totals.add(*self.score_logits(logits, batch.labels), len(batch.labels))
        return logits

    def on_test_epoch_end(self) -> None:
        """Log the means over the test images."""
        self.metrics["test"] = self.totals.mean(self.trainer)
        if self.right is not None:
            self.right = self._of_all_processes(self.right)
        self._log("test")

    def _of_all_processes(self, share: Bool[Tensor, " share"]) -> Bool[Tensor, " images"]:
        reduce, rank, processes = self.trainer.strategy.reduce, self.global_rank, self.trainer.world_size
        images = int(reduce(torch.tensor(len(share), device=self.device), reduce_op="sum"))
        right = torch.zeros(images, dtype=torch.int32, device=self.device)
        right[rank::processes] = share.int()
        return reduce(right, reduce_op="sum") > 0

    def _log(self, stage: str) -> None:
        # For callbacks to monitor; the callback Curves writes to the loggers.
        values = {f"{stage}_{name}": value for name, value in self.metrics[stage]._asdict().items()}
        self.log_dict(values, logger=False, rank_zero_only=True)
