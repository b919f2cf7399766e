"""What a run shows: a progress bar on a terminal, a line for each epoch, and a table at the end."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from tqdm import tqdm

from mnist_mlp.callbacks.history import History
from mnist_mlp.config.schema import Config
from mnist_mlp.lab import NotebookRun
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import Epoch, Result

log = logging.getLogger(__name__)


class Terminal(Callback):
    """Shows a bar of an epoch's optimizer steps while it runs, on a terminal, and logs a line when it ends.

    Args:
        history: has the figures of the epochs.
        show: the bar.
    """

    def __init__(self, history: History, show: bool) -> None:
        self.history = history
        self.show = show
        self.bar: Any = None

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Begin the bar."""
        batches: Any = trainer.train_dataloader
        self.bar = tqdm(
            total=trainer.num_training_batches if pl_module.automatic_optimization else batches.steps,
            desc=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
            unit="step",
            leave=False,
            disable=not (self.show and sys.stderr.isatty()) or trainer.progress_bar_callback is not None,
        )

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        self.bar.update(len(outputs["losses"]))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """End the bar and log the epoch's line."""
        self.bar.close()
        epoch = self.history.epochs[-1]
        number = f"epoch {epoch.epoch:{len(str(trainer.max_epochs))}}/{trainer.max_epochs}  {epoch.seconds:6.1f} s"
        log.info("%s", "   ".join([number, *_figures(epoch)]))

    def on_exception(self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()


def _figures(epoch: Epoch) -> Iterator[str]:
    yield f"train loss {epoch.train_loss:.4f} accuracy {epoch.train_accuracy:7.2%}"
    if epoch.val_loss is not None and epoch.val_accuracy is not None:
        yield f"validation loss {epoch.val_loss:.4f} accuracy {epoch.val_accuracy:7.2%}"


class Shown(logging.StreamHandler[Any]):
    """Logs for whoever reads: a run goes on when nobody does any more, as after `| head -1`, or the disk is full."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 # logging's name
        """Say what is wrong, the stream itself aside."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class Reports(logging.Handler):
    """Passes on what Lightning's profilers and model summaries report."""

    LOGGERS = ("lightning.pytorch.callbacks.model_summary", "lightning.pytorch.profilers.profiler")

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record as this package's own."""
        log.log(record.levelno, "%s", record.getMessage())


@contextmanager
def logging_to(run: Run | None, show: bool) -> Iterator[Callable[[], None]]:
    """Show what the package logs on standard output, if wanted; None logs nothing, as in all but one of many processes.

    Gives a function that starts to write to the run's `train.log` as well.
    """
    package = logging.getLogger("mnist_mlp")
    level = package.level
    package.setLevel(logging.INFO if run else logging.CRITICAL)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    handlers: list[logging.Handler] = [Shown(sys.stdout) if show else logging.NullHandler()]
    package.handlers += handlers
    reports = Reports()
    for name in Reports.LOGGERS:
        logging.getLogger(name).addHandler(reports)
        logging.getLogger(name).setLevel(logging.INFO)
        logging.getLogger(name).propagate = False

    def open_file() -> None:
        assert run is not None
        handlers.append(logging.FileHandler(run.folder / "train.log", encoding="utf-8"))
        handlers[-1].setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        package.addHandler(handlers[-1])

    try:
        yield open_file
    finally:
        package.setLevel(level)
        for name in Reports.LOGGERS:
            logging.getLogger(name).removeHandler(reports)
            logging.getLogger(name).propagate = True
        for handler in handlers:
            package.removeHandler(handler)
            handler.close()


def heading(config: Config, device: str) -> str:
    """Say in a line what is trained, and where."""
    sizes = "-".join(str(size) for size in (784, *config.model.hidden_sizes, 10))
    activation = config.model.activation
    names = activation if isinstance(activation, str) else "-".join(activation)
    optimizer = config.optimizer["_target_"].rsplit(".", 1)[-1]
    return (
        f"{sizes} {names}, {optimizer} lr {config.optimizer['lr']:g}, batch {config.data.batch:,}, "
        f"{config.epochs} epochs, {config.data.protocol} protocol, seed {config.seed}, {device}"
    )


def table(result: Result, notebook: NotebookRun | None) -> str:
    """Lay out a run's last figures, with the notebook's beside them where it ran the same."""
    last = result.epochs[-1]
    rows = [("train", last.train_loss, last.train_accuracy)]
    if last.val_loss is not None and last.val_accuracy is not None:
        rows.append(("validation", last.val_loss, last.val_accuracy))
    if result.test:
        rows.append(("test", result.test["loss"], result.test["accuracy"]))
    if notebook is None:
        lines = [f"{'':<10}  {'loss':>8}  {'accuracy':>8}"]
        lines += [f"{stage:<10}  {loss:8.4f}  {accuracy:8.2%}" for stage, loss, accuracy in rows]
        lines.append(f"{'seconds':<10}  {result.fit_seconds:8.1f}")
        return "\n".join(lines)
    seconds = sum(epoch.seconds for epoch in result.epochs[notebook.epochs_before :])  # of the epochs it printed
    printed = notebook.epochs[-1]
    theirs = [
        (printed["loss"], printed["accuracy"]),
        (printed["val_loss"], printed["val_accuracy"]),
        (notebook.test["loss"], notebook.test["accuracy"]),
    ]
    lines = [
        f"{'':<10}  {'loss':>8}  {'notebook':>8}  {'accuracy':>8}  {'notebook':>8}",
        *(
            f"{stage:<10}  {loss:8.4f}  {their_loss:8.4f}  {accuracy:8.2%}  {their_accuracy:8.2%}"
            for (stage, loss, accuracy), (their_loss, their_accuracy) in zip(rows, theirs, strict=False)
        ),
        f"{'seconds':<10}  {seconds:8.1f}  {notebook.seconds:8.1f}",
    ]
    return "\n".join(lines)
