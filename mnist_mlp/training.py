"""One run from its configuration to its result: seed, build, fit, test, record."""

import inspect
import logging
import os
import random
import shutil
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

import lightning
import numpy as np
import torch
from hydra.utils import instantiate
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger

from mnist_mlp import checkpoint, engine, loggers, machine, terminal
from mnist_mlp.averaging import Average
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config import Config, one_line
from mnist_mlp.data import MNISTDataModule
from mnist_mlp.history import Diverged, History, Stopped
from mnist_mlp.lab import notebook_run_of
from mnist_mlp.problem import Problem
from mnist_mlp.runs import SCHEMA, Result, Run, Status
from mnist_mlp.scheduler import Progress

log = logging.getLogger(__name__)


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
    run = Run(config)
    if int(os.environ.get("LOCAL_RANK", "0")) > 0:  # a process that Lightning has started beside the first
        with terminal.logging_to(None, show=False):
            return _accuracy(_train(config, run, show=False, first_process=False))
    with ExitStack() as stack:
        open_log = stack.enter_context(terminal.logging_to(run, show))
        if _finished(config, run) is None:
            _check(config, run)
        stack.enter_context(run.held(lambda: log.info("waits for %s", run.folder)))
        result = _finished(config, run)
        if result is None:
            if config.overwrite or not _can_go_on(run):
                shutil.rmtree(run.folder, ignore_errors=True)
            run.begin()
            open_log()
            result = _train(config, run, show, first_process=True, watchers=watchers)
        else:
            log.info("%s before: %s", result.status, run.folder)
        if result.epochs:
            log.info("\n%s\n%s\n", terminal.table(result, notebook_run_of(config)), run.folder)
    return _accuracy(result)


def _finished(config: Config, run: Run) -> Result | None:
    result = None if config.overwrite else run.result()
    return result if result is not None and result.finished else None


def _check(config: Config, run: Run) -> None:
    # Makes everything once before the run's folder is touched, or what overwrite=true is to replace.
    for name, callback in config.callbacks.items():
        with _naming(f"callbacks.{name}"):
            if not isinstance(_callback(callback, config), Callback):
                raise TypeError(f"no lightning.Callback; callbacks.{name}._target_ is the name of one")
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
    _trainer(config, run, [], [])
    MNISTDataModule(**asdict(config.data)).prepare_data()


@contextmanager
def _naming(key: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a class of the user's can raise anything
        raise Problem(f"{key}: {one_line(str(error.__cause__ or error))}") from error


def _accuracy(result: Result) -> float:
    return result.epochs[-1].val_accuracy if result.epochs else float("nan")


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
    with isolated(config):
        callbacks = callbacks_of(config)
        chosen = [logger(run=run) for logger in instantiate(config.logger, _convert_="all").values()]
        trainer = _trainer(
            config, run, chosen, [*_averaging(config), history, *callbacks, *watchers, terminal.Terminal(history, show)]
        )
        steps = engine.steps_per_execution(config, trainer, callbacks)
        classifier = MNISTClassifier if steps is None else engine.ChunkedClassifier
        model = classifier(
            asdict(config.model), config.optimizer, config.scheduler, config.label_smoothing, config.gradient_clip
        )
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
            raise
        return record("completed")


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
        weights = run.checkpoints / "best.ckpt" if tested == "best" else None
        trainer.test(model, data, ckpt_path=weights, verbose=False, weights_only=True)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from stop
    return dict(model.metrics["test"]._asdict())


def _trainer(config: Config, run: Run, chosen: list[Logger], callbacks: list[Callback]) -> lightning.Trainer:
    # The last comes after the best, of which it holds the accuracy to go on with.
    checkpoints = [_checkpoint(run, "best", monitor="val_accuracy"), _checkpoint(run, "last", monitor=None)]
    ends: list[Callback] = []
    if config.patience is not None:
        ends.append(EarlyStopping("val_accuracy", mode="max", patience=config.patience))
    try:
        return lightning.Trainer(
            accelerator=config.trainer.accelerator,
            devices=config.trainer.devices,
            strategy=config.trainer.strategy,
            precision=config.trainer.precision,  # type: ignore[arg-type] # the schema has its valid names
            max_epochs=config.epochs,
            logger=chosen,
            callbacks=[*callbacks, *ends, *checkpoints],
            default_root_dir=run.folder,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,  # each epoch has an order of its own
            use_distributed_sampler=False,  # the data module gives each process its share
            plugins=[LightningEnvironment()],  # in a job of Slurm too, a run starts its processes itself
        )
    except MisconfigurationException as error:
        raise Problem(f"trainer: {' '.join(str(error).split())}") from error


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
def isolated(config: Config) -> Iterator[None]:
    """Seed everything and set the threads for one run, and put back afterwards what was there before."""
    python, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    in_main_thread = threading.current_thread() is threading.main_thread()
    interrupt = signal.getsignal(signal.SIGINT)  # Lightning ignores Ctrl-C after the first
    of_threads = threading.excepthook
    gpus = [] if config.trainer.accelerator == "cpu" else list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=gpus), warnings.catch_warnings():
        # Lightning 2.6 with torch 2.14; nothing a user could do about.
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # as it should
        warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
        warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        torch.manual_seed(config.seed)
        np.random.seed(config.seed)
        random.seed(config.seed)
        # What torch takes by itself is less where jobs of a sweep share the cores.
        own = min(threads, machine.cores())
        torch.set_num_threads(own if config.trainer.threads == "auto" else config.trainer.threads)
        threading.excepthook = _without_disks(of_threads)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_num_threads(threads)
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
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": trainer.world_size,
        "steps_by": model.steps_by,
    }
