"""One run from its configuration to its result: seed, build, fit, test, record."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger

from mnist_mlp import files, networks
from mnist_mlp.calibration import temperature
from mnist_mlp.callbacks import foreign, terminal
from mnist_mlp.callbacks.averaging import Average
from mnist_mlp.callbacks.history import Diverged, History, Stopped
from mnist_mlp.callbacks.lightning_internals import count_finished_epochs
from mnist_mlp.callbacks.recorder import Recorder
from mnist_mlp.callbacks.resuming import Resuming
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.checks import smallest_batch
from mnist_mlp.config.identity import further_arguments
from mnist_mlp.config.schema import Config
from mnist_mlp.config.targets import instantiate, problem_of, trusting
from mnist_mlp.config.valid import one_line
from mnist_mlp.data import MNISTDataModule
from mnist_mlp.errors import Problem
from mnist_mlp.fast import engine
from mnist_mlp.images import PIXELS
from mnist_mlp.lab import notebook_run_of
from mnist_mlp.language import _, ngettext, speaking
from mnist_mlp.runs import checkpoint, ranks
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.isolation import isolated
from mnist_mlp.runs.record import Result, explained
from mnist_mlp.scheduler import Progress
from mnist_mlp.tracking import loggers

log = logging.getLogger(__name__)


def train(
    config: Config,
    show: bool = True,
    watchers: Sequence[Callback] = (),
    network: torch.nn.Module | None = None,
    note: bool = True,
) -> float:
    """Train a configuration, or reuse its finished result, and return its last validation accuracy.

    Args:
        config: of the run, as `config.compose.compose_run` or `named` gives it.
        show: also on the standard output.
        watchers: callbacks in addition to the configuration's.
        network: the instance that `config.network` describes, if it describes one. A copy of it is trained.
        note: whether to say that the notebook's validation leaks, beside its figures.

    Returns:
        A fraction; NaN if the run diverged before its first epoch ended.

    Raises:
        Problem: the configuration is incomplete, or the data, the device or a `_target_` cannot be used; nothing has
            been written then.
        KeyboardInterrupt: the user interrupted the run; its record says so.
        Stopped: a watcher ended it.
    """
    if not config.chosen:
        raise Problem(_("train: a configuration without the options that were chosen; use mnist_mlp.train(config)"))
    if config.network.get("_state_") != (None if network is None else networks.state_of(network)):
        raise Problem(_("train: config.network must describe this network; see mnist_mlp.networks.described"))
    with speaking(config.language), trusting(config):
        if config.trainer.get("fast_dev_run"):
            with TemporaryDirectory() as folder:
                return _accuracy(_train_or_reuse(replace(config, runs_dir=folder), show, watchers, network, note))
        return _accuracy(_train_or_reuse(config, show, watchers, network, note))


def _train_or_reuse(
    config: Config, show: bool, watchers: Sequence[Callback], network: torch.nn.Module | None, note: bool
) -> Result:
    run = Run(config)
    if ranks.is_follower(config.trainer.get("num_nodes", 1)):
        with terminal.logging_to(None, show=False):
            return _train(config, run, show=False, first_process=False, network=network)
    waiting = _("waiting: another process is training {folder}")
    with ExitStack() as stack:
        open_log = stack.enter_context(terminal.logging_to(run, show))
        result = run.answer()
        if result is None:
            with isolated(config):
                _check(config, run, network)
            stack.enter_context(run.locked(lambda: log.info(waiting.format(folder=run.folder))))
            result = run.answer()
        if result is None:
            if config.overwrite or not _can_resume(run):
                stack.enter_context(run.replacing())
            run.begin()
            open_log()
            if network is not None:
                files.write(run.folder / networks.FILE, networks.packed(network))
            result = _train(config, run, show, True, watchers, network)
            if result.finished:
                for name in ("best.ckpt", "last.ckpt"):
                    with suppress(OSError, checkpoint.Damaged):  # what stays as it was serves as well
                        checkpoint.strip(run.checkpoints / name)
        else:
            said = _("already {status}; overwrite=true trains it again")
            if result.author and result.author != config.author:
                said = _("already {status} by {author}; overwrite=true trains it again")
            log.info(said.format(status=_(result.status), author=result.author))
        if result.status == "limited":
            log.info(_("limited: {reason}").format(reason=explained(result.reason or "")))
        if result.epochs:
            log.info(terminal.summary(result, notebook_run_of(config), note))
        kept = not config.trainer.get("fast_dev_run")
        log.info(terminal.place(run.folder if kept else _("fast_dev_run keeps no record")))
    return result


def _check(config: Config, run: Run, network: torch.nn.Module | None) -> None:
    # Makes every part once before the run's folder, or a run that overwrite=true replaces, is touched.
    callbacks = []
    for name, callback in config.callbacks.items():
        with _naming(f"callbacks.{name}"):
            made = _callback(callback, config)
            if not isinstance(made, Callback):
                said = _("must be a lightning.Callback; set callbacks.{name}._target_ to such a class")
                raise TypeError(said.format(name=name))
            if problem := foreign.problem_of(made, config):
                raise TypeError(problem)
            callbacks.append(made)
    for name, logger in config.logger.items():
        with _naming(f"logger.{name}"):
            made = instantiate(logger)
            if not isinstance(made, partial):
                said = _("must be a callable that takes `run`; add logger.{name}._partial_=true")
                raise TypeError(said.format(name=name))
            inspect.signature(made.func).bind(*made.args, **{**made.keywords, "run": run})
    with _naming("optimizer"):
        optimizer = instantiate(config.optimizer)([torch.nn.Parameter(torch.zeros(1))])
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise TypeError(_("must be a torch.optim.Optimizer; set optimizer._target_ to such a class"))
    with _naming("scheduler"):
        if config.scheduler:
            float(instantiate(config.scheduler)(Progress(0, 1, [])))
    with _naming("augmentation"):
        if config.augmentation and not callable(instantiate(config.augmentation)):
            raise TypeError(_("must be a callable that takes images and a seed; set augmentation._target_ to one"))
    _check_network(config, network)
    _trainer(config, run, [], callbacks)
    MNISTDataModule(**asdict(config.data)).prepare_data()


def _check_network(config: Config, network: torch.nn.Module | None) -> None:
    if not config.network:
        return
    made = networks.build(config.network, deepcopy(network))
    if smallest_batch(config) == 1:  # over which batch normalization may have no variance
        with _naming(_("model: of a batch with a single sample")):
            made.train()(torch.zeros(1, PIXELS, dtype=next(made.parameters()).dtype))


@contextmanager
def _naming(key: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a user's class can raise anything
        raise Problem(f"{key}: {problem_of(error)}") from error


def _accuracy(result: Result) -> float:
    accuracy = result.epochs[-1].val_accuracy if result.epochs else None
    return float("nan") if accuracy is None else accuracy


def _can_resume(run: Run) -> bool:
    needed = ["last.ckpt", "best.ckpt"] if run.config.test == "best" else ["last.ckpt"]
    try:
        for name in needed:
            content = checkpoint.read(run.checkpoints / name)
            if not checkpoint.is_resumable(content):
                said = _("{path} is of a finished run; restarting from the beginning")
                log.warning(said.format(path=run.checkpoints / name))
                return False
    except FileNotFoundError:
        return False
    except checkpoint.Damaged as damaged:
        log.warning(_("{path} is corrupt; restarting from the beginning").format(path=damaged))
        return False
    return True


def _train(
    config: Config,
    run: Run,
    show: bool,
    first_process: bool,
    watchers: Sequence[Callback] = (),
    network: torch.nn.Module | None = None,
) -> Result:
    history = History()
    with isolated(config, first_process):
        callbacks = callbacks_of(config)
        chosen = [logger(run=run) for logger in instantiate(config.logger).values()]
        own = [Resuming(), *_averaging(config), history]
        trainer = _trainer(config, run, chosen, [*own, *callbacks, *watchers, terminal.Terminal(history, show)])
        steps = engine.steps_per_execution(config, trainer, callbacks)
        classifier = MNISTClassifier if steps is None else engine.ChunkedClassifier
        model = classifier(
            config.network or asdict(config.model),
            config.optimizer,
            config.scheduler,
            config.label_smoothing,
            config.gradient_clip,
            deepcopy(network),
        )
        # First, as a checkpoint loaded into it, or an average of its weights, would otherwise be rounded.
        trainer.precision_plugin.convert_module(model)
        augmentation = instantiate(config.augmentation) if config.augmentation else None
        data = MNISTDataModule(**asdict(config.data), augmentation=augmentation, steps_per_execution=steps)
        classes = list(data.source.classes)
        own_data = {"dataset": config.data.dataset, "dir": config.data.dir, "content": config.data.content}
        model.data_set = {**own_data, "classes": classes}
        log.info(terminal.heading(config, _device(trainer)))
        recorder = Recorder(run, history, writes=first_process, classes=classes)
        try:
            with loggers.closing(trainer.loggers):
                test = _fit_and_test(trainer, model, data, run, config.test)
        except Diverged as diverged:
            log.info(_("diverged: {reason}").format(reason=explained(str(diverged))))
            return recorder.record(trainer, model, "diverged", str(diverged))
        except Stopped as stopped:
            recorder.record(trainer, model, "interrupted", str(stopped))
            raise
        except KeyboardInterrupt:
            recorder.record(trainer, model, "interrupted", "by the user")
            log.info("\n%s: %s\n", terminal.interruption(run), run.folder)
            raise
        except Exception as error:
            recorder.record(trainer, model, "failed", f"{type(error).__name__}: {error}")
            added = further_arguments(config) or any(map(engine.is_foreign, callbacks))
            if trainer.global_step == 0 and added and not isinstance(error, OSError):  # a full disk is nobody's fault
                # A callback or argument that the user added prevents the start.
                said = _("trainer or callbacks: {error}")
                raise Problem(said.format(error=f"{type(error).__name__}: {one_line(str(error))}")) from error
            raise
        return recorder.record_end(trainer, model, test)


def callbacks_of(config: Config) -> list[Callback]:
    """Make the configuration's callbacks, passing the configuration to partials."""
    return [_callback(callback, config) for callback in config.callbacks.values()]


def _callback(given: Any, config: Config) -> Any:
    made = instantiate(given)
    return made(config=config) if isinstance(made, partial) else made


def _fit_and_test(
    trainer: lightning.Trainer, model: MNISTClassifier, data: MNISTDataModule, run: Run, tested: str
) -> dict[str, float] | None:
    last = run.checkpoints / "last.ckpt"
    try:
        trainer.fit(model, data, ckpt_path=last if last.exists() else None, weights_only=True)
        if tested == "none":
            return None
        count_finished_epochs(trainer)
        if not trainer.fast_dev_run:  # type: ignore[attr-defined] # Lightning sets it
            if not last.exists():  # stopped before its first epoch
                return None
            # The saved weights are tested. Lightning's own loading would also restore their older record of epochs.
            model.load_state_dict(checkpoint.read(run.checkpoints / f"{tested}.ckpt")["state_dict"])
        trainer.test(model, data, verbose=False)
        model.temperature = _temperature(trainer, model, data)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from stop
    tests = model.metrics.get("test")
    return dict(tests._asdict()) if tests else None


@torch.no_grad()
def _temperature(trainer: lightning.Trainer, model: MNISTClassifier, data: MNISTDataModule) -> float | None:
    """Find the temperature of the tested weights on the validation images; None if their logits are not finite."""
    model.eval()
    precision = trainer.precision_plugin
    with precision.forward_context():
        batches = [(model(precision.convert_input(each.images)), each.labels) for each in data.val_dataloader()]
    logits, labels = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
    return temperature(logits, labels) if logits.isfinite().all() else None


def _trainer(config: Config, run: Run, chosen: list[Logger], callbacks: list[Callback]) -> lightning.Trainer:
    # The last comes after the best, whose accuracy it contains.
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
        "use_distributed_sampler": False,  # the data module gives each process its share
    }
    given = {name: value for name, value in config.trainer.items() if name not in ("threads", "steps_per_execution")}
    with _naming("trainer"):
        made = instantiate(given)
        plugins = [LightningEnvironment(), *(made.pop("plugins", None) or [])]  # the run starts its processes itself
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
    return ngettext("{number} thread", "{number} threads", torch.get_num_threads()).format(
        number=torch.get_num_threads()
    )
