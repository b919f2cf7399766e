"""Train a run or a sweep from Python. Free of torch until something is trained."""

import threading
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mnist_mlp.config.compose import composing, named
from mnist_mlp.config.schema import Config
from mnist_mlp.errors import Problem
from mnist_mlp.interactive.jobs import run_sweep, training_function
from mnist_mlp.interactive.values import overrides_of, sweep_of
from mnist_mlp.language import _
from mnist_mlp.runs.launch import Launch, check

if TYPE_CHECKING:
    from mnist_mlp.interactive.run import TrainedRun
    from mnist_mlp.interactive.sweep import Sweep

_LOCK = threading.RLock()
"""Held while something is composed or trained: Hydra, the random numbers and PyTorch's threads are the process's."""


def train(*overrides: str | Config | DictConfig, show: bool = True, **keys: Any) -> "TrainedRun":
    """Train one run, or find it trained: the same run, in the same folder, as `python train.py` makes.

    Args:
        overrides: as on the command line, each a text: `"model=deep5"`; or, alone, a composed configuration.
        show: whether the run prints how it goes.
        keys: plain keys and groups with their values: `batch=25`, `logger="none"`. `model` may also be a network of
            your own: a class of torch.nn.Module, a functools.partial of one, or an instance, whose copy is trained.

    Raises:
        Problem: an override is wrong, or the data, the device, the network or a `_target_` cannot be used.
        KeyboardInterrupt: the same call resumes the run.
    """
    from mnist_mlp.interactive.run import TrainedRun

    network = None if isinstance(keys.get("model"), str | None) else keys.pop("model")
    with _LOCK:
        with composing():
            if network is None and overrides and isinstance(overrides[0], (Config, DictConfig)):
                if len(overrides) > 1 or keys:
                    said = _("train: a composed configuration comes alone; compose it with the other overrides")
                    raise Problem(said)
                config = named(overrides[0])
            else:
                launch = _checked([*_texts(overrides), *overrides_of(keys)], _described(network, show))
                if launch.sweeps:
                    said = _("train: {number} runs, but it trains one; mnist_mlp.sweep trains several")
                    raise Problem(said.format(number=len(launch.configs)))
                (config,) = launch.configs
        instance = network if "_state_" in config.network else None
        training_function(show, library=True)(config, show, network=instance)
    return TrainedRun(config)


def _described(network: Any, show: bool) -> dict[str, Any] | None:
    if network is None:
        return None
    training_function(show, library=True)  # imports torch
    from mnist_mlp.networks import described

    return described(network)


def sweep(*overrides: str, show: bool = True, **keys: Any) -> "Sweep":
    """Train a run for each combination of values, or find it trained: the same runs as `python train.py -m` makes.

    A run that fails does not stop the others, unless `fail_fast=True`.

    Args:
        overrides: as on the command line, each a text: `"question=q05"`, `"batch=1,25"`.
        show: whether the runs print how they go.
        keys: plain keys and groups; a list, a range or an array has the values of several runs: `seed=range(5)`.
            `model` may also be a network of your own, as `train` takes it, or a list of them and of names; these are
            swept one after another.

    Raises:
        Problem: an override is wrong; or a run has failed, and `fail_fast=True`.
        KeyboardInterrupt: the same call resumes the sweep.
    """
    from mnist_mlp.interactive.sweep import Sweep

    given = keys.get("model")
    models = list(given) if isinstance(given, list | tuple) else [given]
    if all(isinstance(model, str | None) for model in models):
        models = [None]  # they are among the keys
    else:
        del keys["model"]
    texts = [*_texts(overrides), *sweep_of(keys), "hydra.mode=MULTIRUN"]
    with _LOCK, composing() as hydra:
        sweeps = []
        for model in models:
            named = overrides_of({"model": model}) if isinstance(model, str) else []
            network = None if named else _described(model, show)
            launch = _checked([*texts, *named], network)
            if launch.parallel and network:
                said = _("sweep: jobs in parallel take a network of your own by its name, as in '{key}'")
                raise Problem(said.format(key="model._target_=my_package.Net"))
            sweeps.append((launch, [*texts, *named], network, model if network and "_state_" in network else None))
        try:
            for launch, of_each, network, instance in sweeps:
                run_sweep(launch, hydra, of_each, show, library=True, network=network, instance=instance)
        except SystemExit as failed:
            raise Problem(_("fail_fast=true: a run has failed, and the sweep stopped there")) from failed
    return Sweep([config for launch, *_others in sweeps for config in launch.configs])


def question(name: str, *overrides: str, show: bool = True, **keys: Any) -> "Sweep":
    """Train a question of the lab, its variants and the baseline, or find them trained.

    Args:
        name: q01 to q10.
        overrides: further ones, as `sweep` takes them; `seed=range(5)` trains five seeds of each.
        show: whether the runs print how they go.
        keys: as `sweep` takes them.

    Raises:
        Problem: there is no such question, or an override is wrong.
        KeyboardInterrupt: the same call resumes the question.
    """
    return sweep(f"question={name}", *overrides, show=show, **keys)


def _texts(overrides: tuple[Any, ...]) -> list[str]:
    for override in overrides:
        if not isinstance(override, str):
            said = _("{value}: not an override; write a text, as in 'batch=1', or a keyword, as in batch=1")
            raise Problem(said.format(value=repr(override)))
    return list(overrides)


def _checked(overrides: list[str], network: dict[str, Any] | None = None) -> Launch:
    launch = check(overrides, network)
    if launch.problems:
        raise Problem("\n".join(launch.problems))
    return launch
