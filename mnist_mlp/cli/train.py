"""The command line of train.py and mnist-mlp: check everything, then let Hydra run the jobs. Free of torch."""

import argparse
import gc
import logging
import math
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnist_mlp.cli.arguments import Parser, clean_exit
from mnist_mlp.config.compose import (
    compose,
    composing,
    config_of_run,
    in_one_line,
    in_parallel,
)
from mnist_mlp.config.hydra_internals import Hydra, get_args_parser, options_of
from mnist_mlp.config.overrides import problems_of_dashes
from mnist_mlp.config.schema import keys
from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem
from mnist_mlp.runs.console import say, showing
from mnist_mlp.runs.launch import Launch, check
from mnist_mlp.runs.ranks import is_follower
from mnist_mlp.runs.sweep import Sweep


def main() -> None:
    """Run the command line in `sys.argv`; exit with status 2 if it is wrong and 130 if it is interrupted."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed, as by >&-
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 # for as long as the process lives
    with clean_exit():
        if problems := problems_of_dashes(sys.argv[1:]):
            raise Problem("\n".join(problems))
        arguments = Parser(parents=[get_args_parser()], add_help=False).parse_intermixed_args()
        if problem := problem_of_flags(arguments):
            raise Problem(problem)
        with composing(arguments.config_dir) as hydra:
            status = follow(arguments, hydra)
    if status:
        sys.exit(status)


def problem_of_flags(arguments: argparse.Namespace) -> str | None:
    """Say what is wrong with Hydra's flags."""
    if arguments.config_path is not None or arguments.config_name is not None:
        return "--config-path and --config-name are not supported; --config-dir adds a folder of your own files"
    if arguments.config_dir is not None and not Path(os.path.expanduser(arguments.config_dir)).is_dir():
        return f"--config-dir {arguments.config_dir}: there is no such folder"
    if arguments.experimental_rerun is not None:
        return "--experimental-rerun is not supported; the same command resumes a run"
    if arguments.cfg is None and not arguments.help and (arguments.resolve or arguments.package is not None):
        return "--resolve and --package go with --cfg, as in --cfg job --resolve"
    modes = ("run", "multirun", "cfg", "info", "shell_completion")
    chosen = [f"--{mode.replace('_', '-')}" for mode in modes if getattr(arguments, mode)]
    return f"{' and '.join(chosen)} do not go together" if len(chosen) > 1 else None


def follow(arguments: argparse.Namespace, hydra: Hydra) -> int:
    """Do what a command line asks for, and give the exit status."""
    overrides = arguments.overrides
    if arguments.help:
        from mnist_mlp.cli.help import of_group, text

        groups = [group for group in overrides if options_of(group)]
        print("\n".join(of_group(group) for group in groups) if groups else text(sys.argv[0]), end="")
        return 0
    if arguments.hydra_help or arguments.shell_completion:
        with in_one_line():
            if arguments.hydra_help:
                hydra.hydra_help("config", get_args_parser(), arguments)
            else:
                hydra.shell_completion("config", overrides)
        return 0
    if arguments.multirun:
        overrides = [*overrides, "hydra.mode=MULTIRUN"]
    launch = check(overrides)
    if launch.problems:
        raise Problem("\n".join(launch.problems))
    if arguments.package and (problem := problem_of_package(arguments.package, compose(overrides))):
        raise Problem(problem)
    if launch.sweeps and not (arguments.cfg or arguments.info):
        return follow_sweep(launch, hydra, overrides)
    with in_one_line():
        if arguments.cfg:
            hydra.show_cfg("config", overrides, arguments.cfg, arguments.package, arguments.resolve)
        elif arguments.info:
            logging.raiseExceptions = False  # Hydra logs it, line by line, and the reader may be `head`
            hydra.show_info(arguments.info, "config", overrides)
        else:
            hydra.run("config", run, overrides)
    return 0


def follow_sweep(launch: "Launch", hydra: Hydra, overrides: list[str]) -> int:
    """Run the jobs of a sweep, say what has become of each, and give the exit status."""
    sweep, hint = Sweep(launch.configs), ""
    try:
        with in_one_line(), sweep.display() if launch.parallel else nullcontext():
            hydra.multirun("config", run if launch.parallel else partial(run, sweep=sweep), overrides)
        from mnist_mlp.tracking import seed_means as means

        means.write(launch.configs)
    except KeyboardInterrupt:
        say("")  # after the terminal's ^C
        sweep.interrupted = True
        hint = "\nthe same command resumes the sweep"
        raise
    finally:
        print(sweep.table() + hint)
    return 0 if sweep.complete else 1


def run(composed: DictConfig, sweep: Sweep | None = None) -> float:
    """Run one job that Hydra composed; give its validation accuracy, for sweepers.

    A job of a sweep that fails does not stop the others, unless `fail_fast` says so.

    Args:
        composed: by Hydra.
        sweep: whose jobs run one after another.
    """
    hydra_config = HydraConfig.get()
    config = config_of_run(composed, hydra_config)
    sweeps = hydra_config.mode == RunMode.MULTIRUN
    show = not (sweeps and in_parallel(hydra_config)) and not is_follower(config.trainer.get("num_nodes", 1))
    try:
        train = training_function(show)
        with sweep.job(hydra_config.job.num + 1) if sweep else nullcontext():
            return train(config, show)
    except Problem as problem:
        print(problem, file=sys.stderr)
        if not sweeps or config.fail_fast:
            sys.exit(1 if sweeps else 2)
    except Exception as error:
        if not sweeps and not isinstance(error, (OSError, UnicodeEncodeError)):  # a full disk, a name it cannot take
            traceback.print_exc()
            sys.exit(1)
        print(f"failed: {config.name}, seed {config.seed}: {type(error).__name__}: {error}", file=sys.stderr)
        if not sweeps or config.fail_fast:
            sys.exit(1)
    return math.nan


@cache
def training_function(show: bool = True) -> Callable[..., float]:
    """Import torch and Lightning, and give what trains a run. Meanwhile a terminal says so, if `show`.

    Their many objects stay for good: to look for garbage among them takes a sixth of the time of the import, and more
    than that at the end of the process.
    """
    gc.disable()
    from mnist_mlp.fast import start

    start.prepare()
    with showing(lambda: "loading PyTorch …") if show else nullcontext():
        from mnist_mlp.training import train

    gc.freeze()
    gc.enable()
    return train


def problem_of_package(package: str, composed: DictConfig) -> str | None:
    """Say whether the part of the configuration that is to be printed is none."""
    with in_one_line():
        if package == "_global_" or OmegaConf.select(composed, package) is not None:
            return None
    return f"--package {package}: the configuration has no such part{nearest(package, (name for name, _ in keys()))}"
