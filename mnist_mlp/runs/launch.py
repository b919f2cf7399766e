"""The jobs that a command line starts, checked before any runs. Free of torch."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnist_mlp import files
from mnist_mlp.config.checks import problems
from mnist_mlp.config.compose import check_names, compose, config_of_run, in_one_line, in_parallel, jobs, to_config
from mnist_mlp.config.overrides import parse, problem_of_override, problem_of_spaces, problems_one_by_one, with_options
from mnist_mlp.config.schema import Config
from mnist_mlp.errors import Problem, not_installed, reason_of
from mnist_mlp.language import _
from mnist_mlp.runs.folder import Run

MODULES = {"mlflow": ("mlflow", "sqlalchemy", "alembic"), "wandb": ("wandb",)}
"""The packages that each logger needs, which the extra of the same name installs."""


class Launch(NamedTuple):
    """The jobs of a command line, or its problems.

    Attributes:
        problems: each in one line; with any, nothing is started.
        configs: of the jobs, in order.
        sweeps: whether they form a sweep.
        parallel: whether they run in parallel.
    """

    problems: list[str]
    configs: list[Config]
    sweeps: bool = False
    parallel: bool = False


def check(overrides: Sequence[str], network: dict[str, Any] | None = None) -> Launch:
    """Compose every job of a command line, and list all problems before anything is run or written.

    Args:
        overrides: of the command line.
        network: of the user's own, as `mnist_mlp.networks.described` describes it.
    """
    if spaced := problem_of_spaces(overrides):
        return Launch([spaced], [])
    wrong: list[str] = []
    sound: list[str] = []
    configs: list[Config] = []
    sweeps = parallel = False
    parsed = [(text, *parse(text)) for text in overrides]
    known = with_options([override for text, override, problem in parsed if problem is None])
    for text, override, problem in parsed:
        problem = problem or problem_of_override(override, known)
        if problem:
            wrong.append(problem)
        else:
            sound.append(text)
    try:
        for job in jobs(sound):
            composed = compose(job)
            HydraConfig.instance().set_config(composed)  # for values that refer to it, as in ${hydra:job.name}
            sweeps = composed.hydra.mode == RunMode.MULTIRUN
            config = to_config(composed, network)
            lines = problems(config)
            named = None if wrong or lines else config_of_run(composed, composed.hydra, network)
            if named is None or sweeps or Run(named).answer() is None:
                lines += problems_of_folders(config, composed, sweeps)
            lines += problems_of_devices(config, sweeps) + problems_of_loggers(config)
            lines += problems_of_hydra(composed) + problems_of_debugging(config, sweeps)
            wrong += [line for line in lines if line not in wrong]
            if named is not None and not wrong:
                configs.append(named)
            parallel = in_parallel(composed.hydra)
            if parallel and not sweeps:
                chosen = composed.hydra.runtime.choices["hydra/launcher"]
                said = _("{option}: launches the jobs of a sweep; add -m, or question=")
                wrong.append(said.format(option=f"hydra/launcher={chosen}"))
    except Problem as problem:
        wrong += [str(problem), *problems_one_by_one(sound)]
    except OSError as error:  # a name that is too long, or a folder that may not be read
        wrong.append(f"{error.filename}: {reason_of(error)}" if error.filename else reason_of(error))
    return Launch(wrong, configs, sweeps, parallel)


def check_shared(overrides: Sequence[str]) -> None:
    """Check overrides that all runs of a study or a curve share.

    Raises:
        Problem: one has several values, or is wrong.
    """
    for text in overrides:
        override = parse(text)[0]
        if override and override.is_sweep_override():
            raise Problem(_("{override}: give a single value, which all runs share").format(override=text))
    if problems := check(overrides).problems:
        raise Problem("\n".join(problems))


def problems_of_folders(config: Config, composed: DictConfig, sweeps: bool) -> list[str]:
    """Check that the folders of the runs and of Hydra are writable."""
    name = "hydra.sweep.dir" if sweeps else "hydra.run.dir"
    with in_one_line():
        folder = str(OmegaConf.select(composed, name))
    own = problems_of_folder(config.runs_dir)
    return own or problems_of_folder(folder, name)  # the folder of a sweep is usually in that of the runs


def problems_of_folder(path: str, name: str = "runs_dir") -> list[str]:
    """Check that a folder is writable, or can be made."""
    there = files.unwritable(Path(path))
    said = _("{key}={value}: {folder} is not a writable folder")
    return [said.format(key=name, value=path, folder=there)] if there else []


def problems_of_devices(config: Config, sweeps: bool) -> list[str]:
    """Check that a sweep does not use several devices."""
    devices = config.trainer["devices"]
    if not sweeps or not (config.trainer["strategy"] == "ddp" or devices not in (1, "auto")):
        return []
    # Lightning starts the other processes of a run by its command line, which would start the whole sweep again.
    said = _("trainer.devices={devices}: a sweep trains on one device; launch its jobs one by one")
    return [said.format(devices=devices)]


def problems_of_hydra(composed: DictConfig) -> list[str]:
    """Check for features of Hydra that are not supported."""
    for path in composed.hydra.searchpath or []:
        if path.startswith("file://"):
            check_names(Path(path.removeprefix("file://")))
    found, said = [], _("{key}: not supported; a run logs to train.log in its folder")
    if composed.hydra.verbose:
        found.append(said.format(key="hydra.verbose"))
    for group in ("job_logging", "hydra_logging"):
        if composed.hydra[group] != {"version": 1, "root": None, "disable_existing_loggers": False}:
            found.append(said.format(key=f"hydra.{group}"))
    return found


def problems_of_debugging(config: Config, sweeps: bool) -> list[str]:
    """Check that the jobs of a sweep leave a record."""
    if sweeps and config.trainer.get("fast_dev_run"):
        return [_("trainer.fast_dev_run: leaves no record, but a sweep needs one; launch a single run")]
    return []


def problems_of_loggers(config: Config) -> list[str]:
    """Check that the packages of the loggers are installed."""
    missing = [name for name in config.logger if not all(map(find_spec, MODULES.get(name, ())))]
    return [not_installed(f"logger={name}", name) for name in missing]
