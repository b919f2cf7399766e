"""What a command line starts: its jobs, or everything that is wrong with it. Free of torch."""

import argparse
import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnist_mlp.config.checks import problems
from mnist_mlp.config.compose import check_names, compose, in_one_line, in_parallel, jobs, labelled, typed
from mnist_mlp.config.overrides import parse, problem_of_override, problems_one_by_one, with_options
from mnist_mlp.config.schema import Config
from mnist_mlp.errors import Problem
from mnist_mlp.runs.folder import Run

MODULES = {"mlflow": ("mlflow", "sqlalchemy", "alembic"), "wandb": ("wandb",)}
"""What each logger needs, and the extra of the same name brings."""


class Launch(NamedTuple):
    """What a command line starts: what is wrong with it, or its jobs.

    Attributes:
        problems: each in one line.
        configs: of the jobs.
        sweeps: whether they are a sweep's.
        parallel: whether they run beside each other.
    """

    problems: list[str]
    configs: list[Config]
    sweeps: bool = False
    parallel: bool = False


def check(arguments: argparse.Namespace) -> Launch:
    """Compose every job of a command line, and list everything that is wrong before anything is run or written."""
    found: list[str] = []
    sound: list[str] = []
    configs: list[Config] = []
    sweeps = parallel = False
    parsed = [(text, *parse(text)) for text in arguments.overrides]
    known = with_options([override for _, override, problem in parsed if problem is None])
    for text, override, problem in parsed:
        problem = problem or problem_of_override(override, known)
        if problem:
            found.append(problem)
        else:
            sound.append(text)
    try:
        for job in jobs(sound, arguments.multirun):
            composed = compose(job)
            HydraConfig.instance().set_config(composed)  # for values that refer to it, as in ${hydra:job.name}
            sweeps = arguments.multirun or composed.hydra.mode == RunMode.MULTIRUN
            config = typed(composed)
            lines = problems(config)
            if sweeps or lines or Run(labelled(composed, composed.hydra)).answer() is None:
                lines += problems_of_folders(config, composed, sweeps)
            lines += problems_of_devices(config, sweeps) + problems_of_loggers(config)
            lines += problems_of_hydra(composed) + problems_of_debugging(config, sweeps)
            found += [line for line in lines if line not in found]
            if not found:
                configs.append(labelled(composed, composed.hydra))
            parallel = in_parallel(composed.hydra)
            if parallel and not sweeps:
                chosen = composed.hydra.runtime.choices["hydra/launcher"]
                found.append(f"hydra/launcher={chosen}: it launches the jobs of a sweep; add -m, or a question")
    except Problem as problem:
        found += [str(problem), *problems_one_by_one(sound)]
    return Launch(found, configs, sweeps, parallel)


def problems_of_folders(config: Config, composed: DictConfig, sweeps: bool) -> list[str]:
    """Say whether the runs, or what Hydra writes, cannot be written where they should be."""
    name = "hydra.sweep.dir" if sweeps else "hydra.run.dir"
    with in_one_line():
        folder = str(OmegaConf.select(composed, name))
    own = problems_of_folder(config.runs_dir)
    return own or problems_of_folder(folder, name)  # the folder of a sweep is usually in that of the runs


def problems_of_folder(path: str, name: str = "runs_dir") -> list[str]:
    """Say whether a folder cannot be written to."""
    folder = Path(os.path.expanduser(path)).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return []
    return [f"{name}={path}: {there} is not a folder that can be written to"]


def problems_of_devices(config: Config, sweeps: bool) -> list[str]:
    """Say whether several devices are asked for in a sweep."""
    devices = config.trainer["devices"]
    if not sweeps or not (config.trainer["strategy"] == "ddp" or devices not in (1, "auto")):
        return []
    # Lightning starts the other processes of a run by its command line, which would start the whole sweep again.
    return [f"trainer.devices={devices}: several devices train one run, not a sweep; launch its jobs singly"]


def problems_of_hydra(composed: DictConfig) -> list[str]:
    """Say what is asked of Hydra that it does not do here."""
    for path in composed.hydra.searchpath or []:
        if path.startswith("file://"):
            check_names(Path(path.removeprefix("file://")))
    found = []
    if composed.hydra.verbose:
        found.append("hydra.verbose: not supported; a run logs to train.log in its folder")
    for group in ("job_logging", "hydra_logging"):
        if composed.hydra[group] != {"version": 1, "root": None, "disable_existing_loggers": False}:
            found.append(f"hydra.{group}: not supported; a run logs to train.log in its folder")
    return found


def problems_of_debugging(config: Config, sweeps: bool) -> list[str]:
    """Say that a run without a record is no job of a sweep."""
    if sweeps and config.trainer.get("fast_dev_run"):
        return ["trainer.fast_dev_run: it leaves no record, which a sweep needs; launch a single run"]
    return []


def problems_of_loggers(config: Config) -> list[str]:
    """Say which loggers' packages are not installed."""
    missing = [name for name in config.logger if not all(map(find_spec, MODULES.get(name, ())))]
    return [f"logger={name}: install mnist-mlp[{name}]" for name in missing]
