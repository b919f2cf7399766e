"""The callback that averages weights; the averages are validated, tested and saved."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mnist_mlp.callbacks.lightning_internals import average_of


class Average(WeightAveraging):
    """An exponential moving average of the weights, over optimizer steps.

    Args:
        decay: weight of the average before a step; the new weights have the rest.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call] # torch leaves it so

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average after a step, where Lightning takes the steps."""
        if pl_module.automatic_optimization:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def update(self, pl_module: lightning.LightningModule) -> None:
        """Average after a step that Lightning does not see."""
        average_of(self).update_parameters(pl_module)
