"""One run from its configuration to its result: seed, build, fit, test, record."""

import inspect
import logging
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import numpy as np
import torch
from hydra.utils import instantiate
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, ProgressBar, Timer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from mnist_mlp import checkpoint, engine, foreign, loggers, machine, ranks, terminal
from mnist_mlp.averaging import Average
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config import Config, further_arguments, one_line, shown
from mnist_mlp.data import MNISTDataModule
from mnist_mlp.history import Diverged, History, Stopped
from mnist_mlp.lab import notebook_run_of
from mnist_mlp.problem import Problem
from mnist_mlp.resuming import Resuming
from mnist_mlp.runs import SCHEMA, Result, Run, Status
from mnist_mlp.scheduler import Progress

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
        result = _finished(config, run)
        if result is None:
            with isolated(config):
                _check(config, run)
            stack.enter_context(run.held(lambda: log.info("waits for %s", run.folder)))
            result = _finished(config, run)
        if result is None:
            if config.overwrite or not _can_go_on(run):
                stack.enter_context(run.replacing())
            run.begin()
            open_log()
            result = _train(config, run, show, first_process=True, watchers=watchers)
        else:
            log.info("%s before: %s (overwrite=true trains it again)", result.status, run.folder)
        if result.status == "limited":
            log.info("limited: %s", result.reason)
        if result.epochs:
            place = "fast_dev_run keeps no record" if config.trainer.get("fast_dev_run") else run.folder
            log.info("\n%s\n%s\n", terminal.table(result, notebook_run_of(config)), place)
    return result


def _finished(config: Config, run: Run) -> Result | None:
    result = None if config.overwrite else run.result()
    return result if result is not None and result.finished else None


def _check(config: Config, run: Run) -> None:
    # Makes everything once before the run's folder is touched, or what overwrite=true is to replace.
    callbacks = []
    for name, callback in config.callbacks.items():
        with _naming(f"callbacks.{name}"):
            made = _callback(callback, config)
            if not isinstance(made, Callback):
                raise TypeError(f"no lightning.Callback; callbacks.{name}._target_ is the name of one")
            if problem := foreign.problem_of(made, config):
                raise TypeError(problem)
            callbacks.append(made)
    for name, logger in config.logger.items():
        with _naming(f"logger.{name}"):
            made = instantiate(logger, _convert_="all")
            if not isinstance(made, partial):
                raise TypeError(f"no function of a run; logger.{name}._partial_=true completes a _target_ that is")
            inspect.signature(made).bind(run=run)
    with _naming("optimizer"):
        optimizer = instantiate(config.optimizer)([torch.nn.Parameter(torch.zeros(1))])
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError("no torch.optim.Optimizer; optimizer._target_ is the name of one")
    with _naming("scheduler"):
        if config.scheduler:
            float(instantiate(config.scheduler)(Progress(0, 1, [])))
    with _naming("augmentation"):
        if config.augmentation and not callable(instantiate(config.augmentation)):
            raise TypeError("no function of images and a seed; augmentation._target_ is the name of a class of them")
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
        log.warning("%s is damaged: the run begins anew", damaged)
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


@contextmanager
def isolated(config: Config, first_process: bool = True) -> Iterator[None]:
    """Seed everything and set the threads for one run, and put back afterwards what was there before.

    Args:
        config: of the run.
        first_process: whether this is the run's only process, or the one that starts the others.
    """
    python, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    in_main_thread = threading.current_thread() is threading.main_thread()
    interrupt = signal.getsignal(signal.SIGINT)  # Lightning ignores Ctrl-C after the first
    of_threads = threading.excepthook
    gpus = [] if config.trainer["accelerator"] == "cpu" else list(range(torch.cuda.device_count()))
    leading = ranks.leading(config.trainer.get("num_nodes", 1)) if first_process else nullcontext()
    with leading, torch.random.fork_rng(devices=gpus), warnings.catch_warnings():
        if first_process:
            rank_zero_only.rank = 0  # type: ignore[attr-defined] # Lightning has read a scheduler's variables when it was imported
        # Lightning 2.6 with torch 2.14; nothing a user could do about.
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # as it should
        warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
        warnings.filterwarnings("ignore", message=r"`ModelCheckpoint\(monitor='val_accuracy'\)` could not find")
        warnings.filterwarnings("ignore", message="It is recommended to use `self.log")  # they are means already
        warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        torch.manual_seed(config.seed)
        np.random.seed(config.seed)
        random.seed(config.seed)
        # What torch takes by itself is less where jobs of a sweep share the cores.
        own = min(threads, machine.cores())
        torch.set_num_threads(own if config.trainer["threads"] == "auto" else config.trainer["threads"])
        threading.excepthook = _without_disks(of_threads)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
            torch.backends.cudnn.benchmark = benchmark
            threading.excepthook = of_threads
            if in_main_thread:
                signal.signal(signal.SIGINT, interrupt)


def _without_disks(of_threads: Callable[[Any], object]) -> Callable[[Any], object]:
    # A disk that is full stops TensorBoard's writer, which says so to the main thread as well.
    return lambda failed: None if issubclass(failed.exc_type, OSError) else of_threads(failed)


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
