"""The callback that averages weights: what is validated, tested and kept are the averages."""

from typing import Any

import lightning
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average(WeightAveraging):
    """An exponential moving average of the weights, over optimizer steps.

    Args:
        decay: what is left of an average after a step.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call] # torch leaves it so

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average after a step, where Lightning takes the steps."""
        if pl_module.automatic_optimization:
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def update(self, pl_module: lightning.LightningModule) -> None:
        """Average after a step that Lightning does not see."""
        assert self._average_model is not None
        self._average_model.update_parameters(pl_module)
