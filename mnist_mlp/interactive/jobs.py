"""The jobs that Hydra runs: one, or those of a sweep, one after another or in parallel. Free of torch."""

import gc
import math
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mnist_mlp.config.compose import config_of_run, in_one_line, in_parallel
from mnist_mlp.config.hydra_internals import Hydra
from mnist_mlp.config.schema import Config
from mnist_mlp.console import say, showing
from mnist_mlp.errors import Problem
from mnist_mlp.language import _, speaking
from mnist_mlp.runs.launch import Launch
from mnist_mlp.runs.ranks import is_follower
from mnist_mlp.runs.sweep import Sweep


def run_sweep(
    launch: Launch, hydra: Hydra, overrides: list[str], show: bool = True, library: bool = False, **own: Any
) -> Sweep:
    """Run the jobs of a sweep; say what has become of each, if `show`.

    Args:
        launch: of the overrides, without problems.
        hydra: that launches them.
        overrides: of the command line.
        show: whether the runs print how they go.
        library: whether this is a user's process.
        own: `network` and `instance` of `run`.
    """
    sweep, hint = Sweep(launch.configs), ""
    jobs = (
        partial(run, shown=show) if launch.parallel else partial(run, sweep=sweep, shown=show, library=library, **own)
    )
    with speaking(launch.configs[0].language):
        try:
            with in_one_line(), sweep.display() if launch.parallel and show else nullcontext():
                hydra.multirun("config", jobs, overrides)
            from mnist_mlp.tracking import seed_means as means

            means.write(launch.configs)
        except KeyboardInterrupt:
            say("")  # after the terminal's ^C
            sweep.interrupted = True
            hint = "\n" + _("the same command resumes the sweep")
            raise
        finally:
            if show:
                print(sweep.table() + hint)
    return sweep


def run(
    composed: DictConfig,
    sweep: Sweep | None = None,
    shown: bool = True,
    library: bool = False,
    network: dict[str, Any] | None = None,
    instance: Any = None,
) -> float:
    """Run one job that Hydra composed; give its validation accuracy, for sweepers.

    A job of a sweep that fails does not stop the others, unless `fail_fast` says so.

    Args:
        composed: by Hydra.
        sweep: whose jobs run one after another.
        shown: whether the run prints how it goes; jobs in parallel never do.
        library: whether this is a user's process.
        network: of the user's own, as `mnist_mlp.networks.described` describes it.
        instance: that network, if it is described as one.
    """
    hydra_config = HydraConfig.get()
    config = config_of_run(composed, hydra_config, network)
    sweeps = hydra_config.mode == RunMode.MULTIRUN
    leads = not (sweeps and in_parallel(hydra_config)) and not is_follower(config.trainer.get("num_nodes", 1))
    show = shown and leads
    with speaking(config.language):
        try:
            train = training_function(show, library)
            if not (sweep and show) or sweep.reuses(number := hydra_config.job.num + 1):
                return train(config, show and not sweep, network=instance)
            with sweep.job(number):
                return train(config, show, network=instance, note=not sweep.compared(number))
        except Problem as problem:
            print(problem, file=sys.stderr)
            if not sweeps or config.fail_fast:
                sys.exit(1 if sweeps else 2)
        except Exception as error:
            foreseen = isinstance(error, (OSError, UnicodeEncodeError))  # a full disk, a name that it cannot take
            if not sweeps and not foreseen:
                traceback.print_exc()
                sys.exit(1)
            said = _("failed: {label}, seed {seed}: {error}")
            reason = f"{type(error).__name__}: {error}"
            print(said.format(label=config.name, seed=config.seed, error=reason), file=sys.stderr)
            if not sweeps or config.fail_fast:
                sys.exit(1)
    return math.nan


def train_missing(configs: list[Config], names: list[str]) -> Sweep:
    """Train the runs that are not finished, one after another; one that fails does not stop the others.

    Args:
        configs: of the runs.
        names: of each, for the terminal, which adds the seed.
    """
    sweep = Sweep(configs)
    for number, (config, name) in enumerate(zip(configs, names, strict=True), start=1):
        if not sweep.work[number - 1]:
            continue
        try:
            train = training_function()
            with sweep.job(number, _("{label}, seed {seed}").format(label=name, seed=config.seed)):
                train(config, note=not sweep.compared(number))
        except Problem as problem:
            print(problem, file=sys.stderr)
        except Exception as error:
            said = _("failed: {label}, seed {seed}: {error}")
            reason = f"{type(error).__name__}: {error}"
            print(said.format(label=name, seed=config.seed, error=reason), file=sys.stderr)
    return sweep


@cache
def training_function(show: bool = True, library: bool = False) -> Callable[..., float]:
    """Import torch and Lightning, and give what trains a run. Meanwhile a terminal says so, if `show`.

    Their many objects stay for good: to look for garbage among them takes a sixth of the time of the import, and more
    than that at the end of the process.

    Args:
        show: on a terminal.
        library: whether this is a user's process, in which Lightning is imported as usual.
    """
    from mnist_mlp.fast import start

    if not library:
        gc.disable()
        start.prepare()
    with showing(lambda: _("loading PyTorch …")) if show else nullcontext():
        from mnist_mlp.training import train

    if not library:
        gc.freeze()
        gc.enable()
    return train
