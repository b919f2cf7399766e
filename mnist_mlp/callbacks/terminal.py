"""What a run shows: a progress bar on a terminal, a line for each epoch, and a table at the end."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from mnist_mlp.callbacks.history import History
from mnist_mlp.config.schema import Config
from mnist_mlp.console import console, moves, rendered, stop
from mnist_mlp.images import DIGITS, PIXELS
from mnist_mlp.lab import PROTOCOLS, NotebookRun
from mnist_mlp.language import _, figure, ngettext
from mnist_mlp.runs import checkpoint
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import Result

log = logging.getLogger(__name__)


class Terminal(Callback):
    """Shows a bar of an epoch's optimizer steps while it runs, on a terminal, and logs a line when it ends.

    It also says where a run resumes.

    Args:
        history: has the figures of the epochs.
        show: the bar.
    """

    def __init__(self, history: History, show: bool) -> None:
        self.history = history
        self.show = show
        self.bar = Progress(disable=True)

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Say where a run goes on."""
        if self.history.epochs:
            said = _("resuming after epoch {epoch} of {epochs}")
            log.info(said.format(epoch=len(self.history.epochs), epochs=trainer.max_epochs))

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Log the header of the epochs' lines before the first, and begin the bar."""
        if not self.bar.tasks:
            log.info(Text(_line(_titles()), "bold"))
        batches: Any = trainer.train_dataloader
        out = console(stderr=True)
        self.bar = Progress(
            TextColumn(_("epoch {epoch}/{epochs}").format(epoch=trainer.current_epoch + 1, epochs=trainer.max_epochs)),
            BarColumn(30),
            MofNCompleteColumn(),
            TextColumn(_("steps")),
            TimeRemainingColumn(),
            console=out,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # what callbacks print stands above the bar, unless it goes to a file
            disable=not (self.show and moves(out)) or trainer.progress_bar_callback is not None,
        )
        self.bar.add_task("", total=trainer.num_training_batches if pl_module.automatic_optimization else batches.steps)
        with suppress(OSError):
            self.bar.start()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        self.bar.advance(self.bar.task_ids[0], len(outputs["losses"]))

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """End the bar and log the epoch's line."""
        stop(self.bar)
        epoch = self.history.epochs[-1]
        cells = [f"{epoch.epoch}/{trainer.max_epochs}", figure(epoch.seconds, ".1f")]
        cells += [figure(epoch.train_loss, ".4f"), figure(epoch.train_accuracy, ".2%")]
        if epoch.val_loss is not None and epoch.val_accuracy is not None:
            cells += [figure(epoch.val_loss, ".4f"), figure(epoch.val_accuracy, ".2%")]
        log.info(_line(cells))

    def on_exception(self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Take the bar away."""
        stop(self.bar)


def _titles() -> tuple[str, ...]:
    return (_("epoch"), _("seconds"), _("train loss"), _("accuracy"), _("validation loss"), _("accuracy"))


def _line(cells: Sequence[str]) -> str:
    widths = map(max, (7, 9, 12, 10, 17, 10), (len(title) + 1 for title in _titles()))
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=False))


class Shown(logging.StreamHandler[Any]):
    """Logs for whoever reads: a run goes on when nobody does any more, as after `| head -1`, or the disk is full."""

    def format(self, record: logging.LogRecord) -> str:
        """Lay out a message for a terminal, if there is one."""
        return rendered(record.msg if isinstance(record.msg, Text) else record.getMessage())

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
    level, propagates = package.level, package.propagate
    package.setLevel(logging.INFO if run else logging.CRITICAL)
    package.propagate = False  # or an application that logs by itself, as Hydra's do, would show it, or show it twice
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
        package.propagate = propagates
        for name in Reports.LOGGERS:
            logging.getLogger(name).removeHandler(reports)
            logging.getLogger(name).propagate = True
        for handler in handlers:
            package.removeHandler(handler)
            handler.close()


def heading(config: Config, device: str) -> Text:
    """Say in two lines what is trained, and how."""
    optimizer = f"{config.optimizer['_target_'].rsplit('.', 1)[-1]} lr {figure(config.optimizer['lr'], 'g')}"
    trained = ngettext(
        "{network}, {optimizer}, batch {batch}, {epochs} epoch",
        "{network}, {optimizer}, batch {batch}, {epochs} epochs",
        config.epochs,
    ).format(network=network(config), optimizer=optimizer, batch=figure(config.data.batch, ","), epochs=config.epochs)
    how = _("{protocol}, seed {seed}, {device}")
    if config.data.dataset != "mnist":
        how = f"{config.data.dataset}, {how}"
    said = how.format(protocol=_(PROTOCOLS[config.data.protocol]), seed=config.seed, device=device)
    return Text.assemble((trained, "bold"), f"\n{said}")


def network(config: Config) -> str:
    """Describe a network by its layers, or one of the user's own by its class and parameters."""
    if config.network:
        given = [f"{name}={value}" for name, value in config.network.items() if not name.startswith("_")]
        return f"{config.network['_target_']}({', '.join(given)})"
    sizes = "-".join(str(size) for size in (PIXELS, *config.model.hidden_sizes, DIGITS))
    activation = config.model.activation
    return f"{sizes} {activation if isinstance(activation, str) else '-'.join(activation)}"


def interruption(run: Run) -> str:
    """Say how far an interrupted run had come by its last checkpoint, and how it goes on."""
    try:
        epochs = checkpoint.read(run.checkpoints / "last.ckpt")["epoch"] + 1
    except (OSError, checkpoint.Damaged):
        return _("interrupted in its first epoch; the same command starts it again")
    said = _("interrupted after epoch {epoch} of {epochs}; the same command resumes it")
    return said.format(epoch=epochs, epochs=run.config.epochs)


def summary(result: Result, notebook: NotebookRun | None, note: bool = True) -> Text:
    """Lay out a run's last figures, with the notebook's and a note on them where it ran the same.

    Args:
        result: of the run.
        notebook: what the notebook ran, if it is the same.
        note: whether to say that the notebook's validation leaks.
    """
    last = result.epochs[-1]
    rows = [(_("train"), last.train_loss, last.train_accuracy)]
    if last.val_loss is not None and last.val_accuracy is not None:
        rows.append((_("validation"), last.val_loss, last.val_accuracy))
    if result.test:
        rows.append((_("test"), result.test["loss"], result.test["accuracy"]))
    if notebook is None:
        alone = [[stage, figure(loss, ".4f"), figure(accuracy, ".2%")] for stage, loss, accuracy in rows]
        alone.append([_("seconds"), figure(result.fit_seconds, ".1f")])
        return _table(["", _("loss"), _("accuracy")], alone)
    seconds = sum(epoch.seconds for epoch in result.epochs[notebook.epochs_before :])  # of the epochs it printed
    printed = notebook.epochs[-1]
    theirs = [
        (printed["loss"], printed["accuracy"]),
        (printed["val_loss"], printed["val_accuracy"]),
        (notebook.test["loss"], notebook.test["accuracy"]),
    ]
    lines = [
        [stage, figure(loss, ".4f"), figure(their_loss, ".4f"), figure(accuracy, ".2%"), figure(their_accuracy, ".2%")]
        for (stage, loss, accuracy), (their_loss, their_accuracy) in zip(rows, theirs, strict=False)
    ]
    lines.append([_("seconds"), figure(seconds, ".1f"), figure(notebook.seconds, ".1f")])
    both = result.config["data"]["protocol"] == "notebook"
    leaking = _("both validations") if both else _("notebook's validation")
    said = _("{validation}: 58% of the images are also trained on in each epoch").format(validation=leaking)
    header = ["", _("loss"), _("notebook"), _("accuracy"), _("notebook")]
    return _table(header, lines, f"{said}\n(docs/protocols.md)" if note else "")


def _table(header: list[str], lines: list[list[str]], note: str = "") -> Text:
    first, width = max(10, *(len(cells[0]) for cells in lines)), max(8, *map(len, header))

    def line(cells: list[str]) -> str:
        return "  ".join([f"{cells[0]:<{first}}", *(f"{cell:>{width}}" for cell in cells[1:])])

    body = "\n".join(map(line, lines))
    return Text.assemble("\n", (line(header), "bold"), "\n", body, (f"\n{note}" if note else "", "dim"))


def place(text: object) -> Text:
    """Return the name of a folder as a line that is never broken, so that it can be copied."""
    return Text(f"{text}\n", no_wrap=True, overflow="ignore")
