"""Compose a run's configuration from its files and overrides, with Hydra. Free of torch."""

import os
import re
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import hydra
import yaml
from hydra import version
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp import image_folder
from mnist_mlp.config.checks import describe, problems
from mnist_mlp.config.hydra_internals import Hydra, hydra_of, split_sweep
from mnist_mlp.config.identity import differences, label
from mnist_mlp.config.schema import Config, ModelConfig, keys
from mnist_mlp.config.sources import fingerprint
from mnist_mlp.config.valid import formatted, nearest, one_line
from mnist_mlp.errors import Problem
from mnist_mlp.language import N_, _

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
"""The groups whose files set keys outside the group, with the package that their first line names."""


OF_OURS = N_("{setting}: a key of our multilayer perceptron, which a network of your own does not have; leave it out")


if before_1_4 := hydra.__version__.startswith("1.3"):
    version.setbase("1.3")  # later versions know no other, and warn
register_resolver = getattr(OmegaConf, "register_new_resolver" if before_1_4 else "register_resolver")
register_resolver("expanduser", os.path.expanduser, replace=True)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Raise whatever Hydra raises as a `Problem` of one line."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (Problem, OSError)) and not isinstance(error, HydraException):  # some are an OSError, too
            raise
        raise Problem(problem_of_composition(error)) from error


def compose_run(overrides: list[str], network: dict[str, Any] | None = None) -> Config:
    """Compose, resolve and check the configuration of a run.

    Args:
        overrides: of the command line.
        network: of the user's own, as `mnist_mlp.networks.described` describes it.

    Raises:
        Problem: it cannot be composed, or values are out of range.
    """
    composed = compose(overrides)
    if found := problems(to_config(composed, network)):
        raise Problem("\n".join(found))
    return config_of_run(composed, composed.hydra, network)


def config_of_run(composed: DictConfig, hydra_config: Any, network: dict[str, Any] | None = None) -> Config:
    """Resolve a job's configuration; name it by the label of its folder and record what was chosen from groups."""
    config, choices = to_config(composed, network), hydra_config.runtime.choices
    if (started := hydra_config.runtime.cwd) != os.getcwd():  # hydra.job.chdir=true has moved the job
        config.runs_dir = os.path.join(started, config.runs_dir)
        if config.data.dir is not None:
            config.data.dir = os.path.join(started, os.path.expanduser(config.data.dir))
    if config.data.dataset == "folder" and config.data.dir is not None:
        config.data.content = image_folder.read(config.data.dir).content  # which stays that of the run from here on
    question = config.chosen.get("question") or choices["question"] or "none"
    if differences(config, reference(None)).keys() <= {"protocol"}:
        question = "baseline"  # which all questions share
    if config.data.dataset != "mnist":
        question = "none"  # the questions are about MNIST
    config.name = label_of(config, choices)
    model = config.network["_target_"].rsplit(".", 1)[-1] if config.network else choices["model"]
    config.chosen = {"model": model, "experiment": choices["experiment"] or "none", "question": question}
    return config


def named(composed: Config | DictConfig) -> Config:
    """Name a configuration that Hydra composed elsewhere after what differs from the baseline.

    Raises:
        Problem: it is not a complete configuration of this project's, or that of a question and not of one of its jobs,
            or values are out of range.
    """
    config = composed if isinstance(composed, Config) else to_config(composed)
    missing = [name for name in dict(keys()) if OmegaConf.is_missing(OmegaConf.structured(config), name)]
    if missing:
        said = _("{name} is missing; compose the configuration, as with mnist_mlp.train('batch=1')")
        raise Problem(said.format(name=missing[0]))
    if found := problems(config):
        raise Problem("\n".join(found))
    chosen = {"model": "none", "experiment": "none", "question": "none"} | config.chosen
    launched = chosen.pop("launched", None)
    if launched and not (HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN):
        said = _("question={question}: several runs, of which this would be none; use mnist_mlp.question('{question}')")
        raise Problem(said.format(question=launched))
    name = config.name or label(None, differences(config, reference(None)))
    return replace(config, name=name, chosen=chosen, runs_dir=os.path.expanduser(config.runs_dir))


def label_of(config: Config, choices: Mapping[str, Any]) -> str:
    """Name a run by its experiment and by what differs from it: by options of groups, and keys beside them."""
    experiment = choices["experiment"]
    changed = differences(config, reference(experiment))
    if "content" in changed:
        changed = {"folder": Path(str(config.data.dir)).name, **changed}
        del changed["dataset"], changed["content"]
    if not changed:
        return label(config.name, changed)
    usual = compose(experiment_of(experiment)).hydra.runtime.choices
    chosen: tuple[str, ...] = ()
    for group in sorted(choices, key="model".__ne__):  # first the layers, of which activations may name each
        option = choices[group]
        if group in ("experiment", "question") or option == usual.get(group):
            continue
        brought = brought_by(f"{group}={option}", chosen, experiment)
        chosen += (f"{group}={option}",)
        if brought and brought.items() <= changed.items():
            first = next(iter(brought))
            named = {group if key == first else key: option if key == first else changed[key] for key in changed}
            changed = {key: value for key, value in named.items() if key == group or key not in brought}
    return label(config.name, changed)


@cache
def brought_by(option: str, chosen: tuple[str, ...], experiment: str | None) -> dict[str, str]:
    """Return what an option changes beside those chosen before it, if both are valid without further overrides."""
    start = experiment_of(experiment)
    try:
        before, after = (to_config(compose([*start, *options])) for options in (chosen, (*chosen, option)))
    except Problem:
        return {}
    return {} if problems(before) or problems(after) else differences(after, before)


@cache
def reference(experiment: str | None) -> Config:
    """Compose the configuration of an experiment without further overrides, or that of the baseline."""
    return to_config(compose(experiment_of(experiment)))


def experiment_of(experiment: str | None) -> list[str]:
    """Return the overrides that choose an experiment, or none."""
    return [f"experiment={experiment}"] if experiment else []


def in_parallel(hydra_config: Any) -> bool:
    """Whether a launcher other than Hydra's own runs the jobs in parallel."""
    return not str(hydra_config.launcher.get("_target_")).endswith(".BasicLauncher")


@contextmanager
def composing(config_dir: str | None = None) -> Iterator[Hydra]:
    """Let `compose` find the configuration files, and those of the user's `config_dir`."""
    folder = None if config_dir is None else Path(os.path.expanduser(config_dir)).absolute()
    if folder is not None:
        check_names(folder)
    with hydra_of(CONF, folder) as hydra:
        for cached in (reference, brought_by):
            cached.cache_clear()  # another folder has other files
        yield hydra


def check_names(folder: Path) -> None:
    """Look for files of the user that ours take precedence over.

    Raises:
        Problem: there is one; the message names both.
    """
    for own in sorted(folder.rglob("*.yaml")):
        ours = CONF / own.relative_to(folder)
        if ours.exists() and not ours.samefile(own):
            raise Problem(
                _("{own}: {ours} has the same name and takes precedence; rename yours").format(own=own, ours=ours)
            )


def loader() -> ConfigLoader:
    """Return Hydra's loader of configuration files."""
    return GlobalHydra.instance().config_loader()


def compose(overrides: Iterable[str], run_mode: RunMode = RunMode.RUN) -> DictConfig:
    """Compose a configuration, Hydra's own part included.

    Raises:
        Problem: it cannot be composed.
    """
    with in_one_line(), warnings.catch_warnings():
        warnings.filterwarnings("error", message="provider=.* is not available")  # of hydra.searchpath
        return loader().load_configuration("config", list(overrides), run_mode=run_mode, from_shell=False)


def to_config(composed: DictConfig, network: dict[str, Any] | None = None) -> Config:
    """Resolve a composed configuration into the schema's dataclasses.

    Args:
        composed: by Hydra.
        network: of the user's own, as `mnist_mlp.networks.described` describes it.

    Raises:
        Problem: a value refers to a key that does not exist.
    """
    composed = composed.copy()
    with open_dict(composed):
        composed.pop("hydra", None)
    with in_one_line():
        config = cast(Config, OmegaConf.to_object(composed))
    config.runs_dir = os.path.expanduser(config.runs_dir)
    if network is None and config.network:
        network = config.network | {"_source_": fingerprint(target_of(config.network))}
    return with_own_network(config, network) if network else config


def target_of(network: dict[str, Any]) -> str:
    """Return the name of the class of a network of the user's own, as it is in the composed configuration.

    Raises:
        Problem: there is none, or another key that begins with an underscore.
    """
    target = network.get("_target_")
    if not isinstance(target, str):
        raise Problem(_("model._target_ is the name of a class, as in my_package.Net"))
    if unknown := [name for name in network if name.startswith("_") and name != "_target_"]:
        raise Problem(_("{key}: there is no such key of a network").format(key=f"model.{unknown[0]}"))
    return target


def with_own_network(config: Config, network: dict[str, Any]) -> Config:
    """Return a configuration with a network of the user's own in the place of the layers.

    Args:
        config: of which everything else stays.
        network: the class and its parameters, as of `Config.network`.

    Raises:
        Problem: the configuration sets something of the layers.
    """
    usual = reference(None)
    layers = (each.name for each in fields(ModelConfig))
    of_layers = {f"model.{name}": (getattr(config.model, name), getattr(usual.model, name)) for name in layers}
    for name, (value, ours) in {"width": (config.width, usual.width), **of_layers}.items():
        if value not in (ours, []):
            raise Problem(_(OF_OURS).format(setting=f"{name}={formatted(value)}"))
    return replace(config, model=ModelConfig(hidden_sizes=[], activation=[], init="torch"), network=network)


def jobs(overrides: list[str]) -> list[list[str]]:
    """List the overrides of each job that a command line starts.

    Raises:
        Problem: a value is a list of values, and the command line starts a single job.
    """
    parsed = OverridesParser.create(loader()).parse_overrides(overrides)
    swept = [override for override in parsed if override.is_sweep_override()]
    composed = compose(overrides, RunMode.MULTIRUN if swept else RunMode.RUN).hydra
    sweeps = composed.mode == RunMode.MULTIRUN
    for override in swept:
        if override.key_or_group == "question":
            raise Problem(_("{line}: several values; give one question per command").format(line=override.input_line))
        if not sweeps:
            raise Problem(_("{line}: several values; add -m to run one job for each").format(line=override.input_line))
    if not sweeps:
        return [overrides]
    parameters = [f"{name}={value}" for name, value in (composed.sweeper.params or {}).items()]
    with in_one_line():
        parsed = OverridesParser.create(loader()).parse_overrides([*parameters, *overrides])
    of_hydra = [override.input_line or "" for override in parsed if override.is_hydra_override()]
    return [[*of_hydra, *job] for job in split_sweep([each for each in parsed if not each.is_hydra_override()])]


def problem_of_composition(error: Exception) -> str:
    """Explain in one line why a configuration cannot be composed."""
    cause = error.__cause__ or error.__context__ or error
    where = f"{match[1]}.yaml: " if (match := re.match("In '(.+?)': ", str(error))) else ""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, option = os.path.split(str(error.missing_cfg_file))
        return where + no_such_option(group, option, error.options)
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        name, declared = cause.full_key, dict(keys()).get(cause.full_key)
        if name in PACKAGES:
            return (where or _("a file of {group}: ").format(group=name)) + _(
                "its first line must be # @package {package}"
            ).format(package=PACKAGES[name])
        if declared is None:
            return where + no_such_key(name, [known for known, declared in keys()])
        wrong = _("{key} is {valid}; {reason}")
        return where + wrong.format(key=name, valid=describe(declared), reason=str(cause).splitlines()[0])
    if isinstance(error, AssertionError) and not str(error):
        return f"{where}{traceback.extract_tb(error.__traceback__)[-1].line}"
    worded = isinstance(error, (HydraException, OmegaConfBaseException, yaml.YAMLError))
    said = one_line(re.sub("^In '.+?': ", "", str(error)))
    if plugin := re.match("(?:Invalid plugin|Unknown plugin class :) '(.+?)'", said):  # of Hydra 1.3, and of 1.4
        return _("{plugin}: Hydra has no such plugin").format(plugin=plugin[1])
    return where + (said if worded else f"{type(error).__name__}: {said}")


def no_such_option(group: str, option: object, options: Sequence[str]) -> str:
    """Say which options a group has, where another was chosen."""
    known = ", ".join(options)
    return _("{group}={option}: {group} is one of {options}{hint}").format(
        group=group, option=option, options=known, hint=nearest(option, options)
    )


def no_such_key(name: str, names: Iterable[object]) -> str:
    """Say that there is no such key, with the nearest name."""
    return _("there is no key {key}{hint}").format(key=name, hint=nearest(name, names))
