"""One run from its configuration to its result: seed, build, fit, test, record."""

import inspect
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import torch
from hydra.utils import instantiate
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, ProgressBar, Timer
from lightning.pytorch.loggers import Logger

from mnist_mlp.callbacks import foreign, terminal
from mnist_mlp.callbacks.averaging import Average
from mnist_mlp.callbacks.history import Diverged, History, Stopped
from mnist_mlp.callbacks.resuming import Resuming
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.identity import further_arguments
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import one_line, shown
from mnist_mlp.data import MNISTDataModule
from mnist_mlp.errors import Problem
from mnist_mlp.fast import engine
from mnist_mlp.lab import notebook_run_of
from mnist_mlp.runs import checkpoint, machine, ranks
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.isolation import isolated
from mnist_mlp.runs.record import SCHEMA, Result, Status
from mnist_mlp.scheduler import Progress
from mnist_mlp.tracking import loggers

log = logging.getLogger(__name__)


LIMITS: dict[str, float] = {
    "check_val_every_n_epoch": 1,
    "fast_dev_run": 0,
    "limit_test_batches": 1.0,
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "overfit_batches": 0,
}
"""Arguments of `lightning.Trainer` that leave out a part of the images, and their values that leave out none."""


def train(config: Config, show: bool = True, watchers: Sequence[Callback] = ()) -> float:
    """Train a configuration, or take up its finished result, and give its last validation accuracy.

    Args:
        config: of the run.
        show: on the standard output, beside the run's own log.
        watchers: callbacks beside the configuration's.

    Returns:
        A fraction; NaN if the run diverged before its first epoch ended.

    Raises:
        Problem: the data, the device, or what a `_target_` names cannot be used; nothing has been written then.
        KeyboardInterrupt: the user ended the run; its result says so.
        Stopped: a watcher ended it.
    """
    if config.trainer.get("fast_dev_run"):
        with TemporaryDirectory() as folder:
            return _accuracy(_train_or_reuse(replace(config, runs_dir=folder), show, watchers))
    return _accuracy(_train_or_reuse(config, show, watchers))


def _train_or_reuse(config: Config, show: bool, watchers: Sequence[Callback]) -> Result:
    run = Run(config)
    if ranks.is_follower(config.trainer.get("num_nodes", 1)):
        with terminal.logging_to(None, show=False):
            return _train(config, run, show=False, first_process=False)
    with ExitStack() as stack:
        open_log = stack.enter_context(terminal.logging_to(run, show))
        result = run.answer()
        if result is None:
            with isolated(config):
                _check(config, run)
            stack.enter_context(run.held(lambda: log.info("waiting: another process is training %s", run.folder)))
            result = run.answer()
        if result is None:
            if config.overwrite or not _can_go_on(run):
                stack.enter_context(run.replacing())
            run.begin()
            open_log()
            result = _train(config, run, show, first_process=True, watchers=watchers)
        else:
            log.info("already %s: %s (overwrite=true trains it again)", result.status, run.folder)
        if result.status == "limited":
            log.info("limited: %s", result.reason)
        if result.epochs:
            place = "fast_dev_run keeps no record" if config.trainer.get("fast_dev_run") else run.folder
            log.info("\n%s\n%s\n", terminal.table(result, notebook_run_of(config)), place)
    return result


def _check(config: Config, run: Run) -> None:
    # Makes everything once before the run's folder is touched, or what overwrite=true is to replace.
    callbacks = []
    for name, callback in config.callbacks.items():
        with _naming(f"callbacks.{name}"):
            made = _callback(callback, config)
            if not isinstance(made, Callback):
                raise TypeError(f"must be a lightning.Callback; set callbacks.{name}._target_ to such a class")
            if problem := foreign.problem_of(made, config):
                raise TypeError(problem)
            callbacks.append(made)
    for name, logger in config.logger.items():
        with _naming(f"logger.{name}"):
            made = instantiate(logger, _convert_="all")
            if not isinstance(made, partial):
                raise TypeError(f"must be a callable that takes `run`; add logger.{name}._partial_=true")
            inspect.signature(made).bind(run=run)
    with _naming("optimizer"):
        optimizer = instantiate(config.optimizer)([torch.nn.Parameter(torch.zeros(1))])
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError("must be a torch.optim.Optimizer; set optimizer._target_ to such a class")
    with _naming("scheduler"):
        if config.scheduler:
            float(instantiate(config.scheduler)(Progress(0, 1, [])))
    with _naming("augmentation"):
        if config.augmentation and not callable(instantiate(config.augmentation)):
            raise TypeError("must be a callable that takes images and a seed; set augmentation._target_ to one")
    _trainer(config, run, [], callbacks)
    MNISTDataModule(**asdict(config.data)).prepare_data()


@contextmanager
def _naming(key: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a class of the user's can raise anything
        raise Problem(f"{key}: {one_line(str(error.__cause__ or error))}") from error


def _accuracy(result: Result) -> float:
    accuracy = result.epochs[-1].val_accuracy if result.epochs else None
    return float("nan") if accuracy is None else accuracy


def _can_go_on(run: Run) -> bool:
    needed = ["last.ckpt", "best.ckpt"] if run.config.test == "best" else ["last.ckpt"]
    try:
        for name in needed:
            checkpoint.read(run.checkpoints / name)
    except FileNotFoundError:
        return False
    except checkpoint.Damaged as damaged:
        log.warning("%s is corrupt; restarting from the beginning", damaged)
        return False
    return True


def _train(config: Config, run: Run, show: bool, first_process: bool, watchers: Sequence[Callback] = ()) -> Result:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    history = History()
    with isolated(config, first_process):
        callbacks = callbacks_of(config)
        chosen = [logger(run=run) for logger in instantiate(config.logger, _convert_="all").values()]
        own = [Resuming(), *_averaging(config), history]
        trainer = _trainer(config, run, chosen, [*own, *callbacks, *watchers, terminal.Terminal(history, show)])
        steps = engine.steps_per_execution(config, trainer, callbacks)
        classifier = MNISTClassifier if steps is None else engine.ChunkedClassifier
        model = classifier(
            asdict(config.model), config.optimizer, config.scheduler, config.label_smoothing, config.gradient_clip
        )
        # Before a checkpoint is loaded into it, which would otherwise be rounded, and before its weights are averaged.
        trainer.precision_plugin.convert_module(model)
        augmentation = instantiate(config.augmentation) if config.augmentation else None
        data = MNISTDataModule(**asdict(config.data), augmentation=augmentation, steps_per_execution=steps)
        log.info("%s", terminal.heading(config, _device(trainer)))
        test: dict[str, float] | None = None

        def record(status: Status, reason: str | None = None) -> Result:
            result = Result(
                schema=SCHEMA,
                id=run.id,
                label=run.label,
                status=status,
                reason=reason,
                seed=config.seed,
                config=asdict(config),
                epochs=history.epochs,
                test=test,
                fit_seconds=sum((epoch.seconds for epoch in history.epochs), 0.0),
                optimizer_steps=trainer.global_step,
                parameters=sum(parameter.numel() for parameter in model.parameters()),
                hardware=_hardware(trainer, model),
                versions=machine.versions(),
                started=started,
                git=machine.commit(),
            )
            if first_process:
                run.write(result)
            return result

        try:
            with loggers.closing(trainer.loggers):
                test = _fit_and_test(trainer, model, data, run, config.test)
        except Diverged as diverged:
            log.info("diverged: %s", diverged)
            return record("diverged", str(diverged))
        except Stopped as stopped:
            record("interrupted", str(stopped))
            raise
        except KeyboardInterrupt:
            record("interrupted", "by the user")
            log.info("\ninterrupted; %s", run.folder)
            raise
        except Exception as error:
            record("failed", f"{type(error).__name__}: {error}")
            if trainer.global_step == 0 and (further_arguments(config) or any(map(engine.is_foreign, callbacks))):
                # What the user has added cannot begin.
                raise Problem(f"trainer or callbacks: {type(error).__name__}: {one_line(str(error))}") from error
            raise
        limit = _limit(config, trainer, history)
        return record("limited", limit) if limit else record("completed")


def _limit(config: Config, trainer: lightning.Trainer, history: History) -> str | None:
    # What cut the run short: an argument of the Trainer, or a callback that stopped it within an epoch.
    arguments = further_arguments(config)
    for name, unlimited in LIMITS.items():
        value = arguments.get(name, unlimited)
        if value != unlimited or (name.startswith("limit_") and isinstance(value, int)):  # 1 is one batch, 1.0 all
            return f"{name}={shown(value)}"
    whole = trainer.is_last_batch or not history.epochs
    if len(history.epochs) == config.epochs and whole:
        return None
    if 0 <= trainer.max_steps <= trainer.global_step:
        return f"max_steps={trainer.max_steps}"
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    if any(left is not None and left <= 0 for left in (timer.time_remaining() for timer in timers)):
        return "the time is over"
    if not history.epochs:
        return "stopped before its first epoch"
    return None if whole else f"stopped within epoch {len(history.epochs)}"


def callbacks_of(config: Config) -> list[Callback]:
    """Make the configuration's callbacks; those that are partials get the configuration."""
    return [_callback(callback, config) for callback in config.callbacks.values()]


def _callback(given: Any, config: Config) -> Any:
    made = instantiate(given, _convert_="all")
    return made(config=config) if isinstance(made, partial) else made


def _fit_and_test(
    trainer: lightning.Trainer, model: MNISTClassifier, data: MNISTDataModule, run: Run, tested: str
) -> dict[str, float] | None:
    last = run.checkpoints / "last.ckpt"
    try:
        trainer.fit(model, data, ckpt_path=last if last.exists() else None, weights_only=True)
        if tested == "none":
            return None
        # As Lightning counts where all epochs are done; it does not where a run goes on that had stopped early.
        epochs: Any = trainer.fit_loop.epoch_progress.current
        epochs.completed = epochs.processed
        if not trainer.fast_dev_run:  # type: ignore[attr-defined] # Lightning sets it
            if not last.exists():  # stopped before its first epoch
                return None
            # What is kept is tested. Lightning's own way to load it would also put the record of the epochs back.
            model.load_state_dict(checkpoint.read(run.checkpoints / f"{tested}.ckpt")["state_dict"])
        trainer.test(model, data, verbose=False)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from stop
    tests = model.metrics.get("test")
    return dict(tests._asdict()) if tests else None


def _trainer(config: Config, run: Run, chosen: list[Logger], callbacks: list[Callback]) -> lightning.Trainer:
    # The last comes after the best, of which it holds the accuracy to go on with.
    checkpoints = [_checkpoint(run, "best", monitor="val_accuracy"), _checkpoint(run, "last", monitor=None)]
    ends: list[Callback] = []
    if config.patience is not None:
        ends.append(EarlyStopping("val_accuracy", mode="max", patience=config.patience))
    own = {
        "max_epochs": config.epochs,
        "logger": chosen,
        "callbacks": [*callbacks, *ends, *checkpoints],
        "default_root_dir": run.folder,
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "enable_model_summary": False,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        "reload_dataloaders_every_n_epochs": 1,  # each epoch has an order of its own
        "use_distributed_sampler": False,  # the data module gives each process its share
    }
    given = {name: value for name, value in config.trainer.items() if name not in ("threads", "steps_per_execution")}
    with _naming("trainer"):
        made = instantiate(given, _convert_="all")
        plugins = [LightningEnvironment(), *(made.pop("plugins", None) or [])]  # a run starts its processes itself
        return lightning.Trainer(**(own | made), plugins=plugins)


def _averaging(config: Config) -> list[Callback]:
    return [] if config.ema is None else [Average(config.ema)]


def _checkpoint(run: Run, name: str, monitor: str | None) -> ModelCheckpoint:
    return ModelCheckpoint(
        dirpath=run.checkpoints,
        filename=name,
        monitor=monitor,
        mode="max",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )


def _device(trainer: lightning.Trainer) -> str:
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' if threads != 1 else ''}"


def _hardware(trainer: lightning.Trainer, model: MNISTClassifier) -> dict[str, Any]:
    device = trainer.strategy.root_device
    return {
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "cpu": machine.processor(),
        "instructions": engine.instructions(model) if device.type == "cpu" else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": trainer.world_size,
        "steps_by": model.steps_by,
    }
