"""Compose a run's configuration from its files and overrides, with Hydra. Free of torch."""

import os
import re
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import version
from hydra._internal.core_plugins import file_config_source
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp.config.checks import describe
from mnist_mlp.config.identity import label
from mnist_mlp.config.schema import Config, keys
from mnist_mlp.config.valid import nearest, one_line
from mnist_mlp.errors import Problem

PACKAGE = Path(__file__).resolve().parents[1]


CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The configuration files: in the package where a wheel is installed, beside it in a checkout."""


PACKAGES = {
    "experiment": "_global_",
    "question": "_global_",
    "regularization": "_global_",
    "debug": "_global_",
    "activation": "model",
}
"""The groups whose files set keys elsewhere, and where."""


version.setbase("1.3")
OmegaConf.register_new_resolver("expanduser", os.path.expanduser, replace=True)


class FileConfigSource(file_config_source.FileConfigSource):
    """Configuration files, of which the first line counts in those too that begin with a byte order mark.

    Hydra keeps this class instead of its own, as it was registered first under the same name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file."""
        result = super().load_config(config_path)
        text = (Path(self.path) / self._normalize_file_name(config_path)).read_text(encoding="utf-8-sig")
        result.header = self._get_header_dict(text)
        return result


SourcesRegistry.instance().register(FileConfigSource)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Make a `Problem` of what Hydra raises, which is of any type: `run` lets through nothing else."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (Problem, OSError)) and not isinstance(error, HydraException):  # some are an OSError, too
            raise
        raise Problem(problem_of_composition(error)) from error


def labelled(composed: DictConfig, hydra_config: Any) -> Config:
    """Resolve a job's configuration, with the label of its folder as its name, and what was chosen from groups."""
    config, choices = typed(composed), hydra_config.runtime.choices
    if (started := hydra_config.runtime.cwd) != os.getcwd():  # hydra.job.chdir=true has moved the job
        config.runs_dir = os.path.join(started, config.runs_dir)
        if config.data.dir is not None:
            config.data.dir = os.path.join(started, os.path.expanduser(config.data.dir))
    experiment, question = choices.get("experiment"), choices.get("question")
    config.name = label(config, reference(experiment))
    config.chosen = {"model": choices["model"], "question": question_of(config.name, question)}
    return config


def question_of(name: str, launched: str | None) -> str:
    """Give the question that a run belongs to: that of its experiment, or the one it was launched for.

    Args:
        name: the run's label. The baseline belongs to all questions: it is named by itself.
        launched: the question, if one was launched.
    """
    experiment = name.split(",")[0]
    if name.removesuffix(",protocol=notebook") == "baseline":
        return "baseline"
    return experiment[:3] if re.match(r"q\d\d", experiment) else launched or "none"


def in_parallel(hydra_config: Any) -> bool:
    """Whether jobs run beside each other, by another launcher than Hydra's own."""
    return not str(hydra_config.launcher.get("_target_")).endswith(".BasicLauncher")


@contextmanager
def composing(config_dir: str | None = None) -> Iterator[Hydra]:
    """Let `compose` find the configuration files, those of `config_dir` too."""
    search_path = create_config_search_path(str(CONF))
    if config_dir is not None:  # what is there is added, and hides nothing
        folder = Path(os.path.expanduser(config_dir)).absolute()
        check_names(folder)
        search_path.prepend("command-line", f"file://{folder}", SearchPathQuery("schema"))
    hydra = Hydra.create_main_hydra2("train", search_path)
    try:
        yield hydra
    finally:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None


def check_names(folder: Path) -> None:
    """Look for files of the user's that ours hide.

    Raises:
        Problem: there is one; the message names both.
    """
    for own in sorted(folder.rglob("*.yaml")):
        ours = CONF / own.relative_to(folder)
        if ours.exists() and not ours.samefile(own):
            raise Problem(f"{own}: it is hidden by {ours}, which has the same name; give it another")


def loader() -> ConfigLoader:
    """Give Hydra's loader of configuration files."""
    return GlobalHydra.instance().config_loader()


def compose(overrides: list[str], run_mode: RunMode = RunMode.RUN) -> DictConfig:
    """Compose a configuration, Hydra's own part included.

    Raises:
        Problem: it cannot be composed.
    """
    with in_one_line(), warnings.catch_warnings():
        warnings.filterwarnings("error", message="provider=.* is not available")  # of hydra.searchpath
        return loader().load_configuration("config", overrides, run_mode=run_mode, from_shell=False)


def typed(composed: DictConfig) -> Config:
    """Resolve a composed configuration into the schema's dataclasses.

    Raises:
        Problem: a value refers to what there is not.
    """
    composed = composed.copy()
    with open_dict(composed):
        composed.pop("hydra", None)
    with in_one_line():
        config = cast(Config, OmegaConf.to_object(composed))
    config.runs_dir = os.path.expanduser(config.runs_dir)
    return config


@cache
def reference(experiment: str | None) -> Config:
    """Give the configuration of an experiment as its file has it, or that of the baseline."""
    return typed(compose([f"experiment={experiment}"] if experiment else []))


def jobs(overrides: list[str], multirun: bool) -> list[list[str]]:
    """List the overrides of each job that a command line starts.

    Raises:
        Problem: a value is a list of values, and the command line starts a single job.
    """
    parsed = OverridesParser.create(loader()).parse_overrides(overrides)
    single = [override.input_line or "" for override in parsed if not override.is_sweep_override()]
    swept = [override for override in parsed if override.is_sweep_override()]
    sweep = compose(overrides, RunMode.MULTIRUN).hydra
    launched_singly = not multirun and sweep.mode != RunMode.MULTIRUN
    for override in swept:
        if override.key_or_group == "question":
            raise Problem(f"{override.input_line}: several values; one question a launch")
        if launched_singly:
            raise Problem(f"{override.input_line}: several values; add -m to run one job for each")
    if launched_singly:
        return [single]
    parameters = [f"{name}={value}" for name, value in (sweep.sweeper.params or {}).items()]
    with in_one_line():
        parsed = OverridesParser.create(loader()).parse_overrides([*parameters, *overrides])
    (every,) = BasicSweeper.split_arguments(parsed, None)
    return every


def problem_of_composition(error: Exception) -> str:
    """Say in one line what is wrong with a configuration file, or with a combination of overrides."""
    cause = error.__cause__ or error.__context__ or error
    where = f"{match[1]}.yaml: " if (match := re.match("In '(.+?)': ", str(error))) else ""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return f"{where}{group}={option}: {group} is one of {', '.join(error.options)}{nearest(option, error.options)}"
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        name, declared = cause.full_key, dict(keys()).get(cause.full_key)
        if name in PACKAGES:
            return f"{where or f'a file of {name}: '}its first line has to be # @package {PACKAGES[name]}"
        if declared is None:
            return f"{where}there is no key {name}{nearest(name, (known for known, _ in keys()))}"
        return f"{where}{name} is {describe(declared)}; {str(cause).splitlines()[0]}"
    if isinstance(error, AssertionError) and not str(error):
        return f"{where}{traceback.extract_tb(error.__traceback__)[-1].line}"
    worded = isinstance(error, (HydraException, OmegaConfBaseException, yaml.YAMLError))
    said = one_line(re.sub("^In '.+?': ", "", str(error)))
    return where + (said if worded else f"{type(error).__name__}: {said}")
