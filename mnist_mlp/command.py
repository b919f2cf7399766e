"""The command line of train.py and mnist-mlp: check everything, then let Hydra run the jobs. Free of torch."""

import argparse
import gc
import math
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, cast

import yaml
from hydra import version
from hydra._internal.core_plugins import file_config_source
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp import synonyms
from mnist_mlp.arguments import Parser, read_or_not
from mnist_mlp.config import (
    LIGHTNING,
    TRAINER,
    Config,
    Numbers,
    describe,
    keys,
    label,
    nearest,
    one_line,
    problem_of_trainer,
    problems,
    shown,
)
from mnist_mlp.problem import Problem
from mnist_mlp.runs import Run
from mnist_mlp.sweep import Sweep

PACKAGE = Path(__file__).resolve().parent
CONF = PACKAGE / "conf" if (PACKAGE / "conf").is_dir() else PACKAGE.parent / "conf"
"""The configuration files: in the package where a wheel is installed, beside it in a checkout."""

EXTRAS = {"joblib": "parallel", "slurm": "slurm", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""The extra of this package that brings each launcher."""

PACKAGES = {
    "experiment": "_global_",
    "question": "_global_",
    "regularization": "_global_",
    "debug": "_global_",
    "activation": "model",
}
"""The groups whose files set keys elsewhere, and where."""

MODULES = {"mlflow": ("mlflow", "sqlalchemy", "alembic"), "wandb": ("wandb",)}
"""What each logger needs, and the extra of the same name brings."""


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


def main() -> None:
    """Run the command line in `sys.argv`; exit with status 2 if it is wrong and 130 if it is interrupted."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed, as by >&-
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 # for as long as the process lives
    try:
        if problems := problems_of_dashes(sys.argv[1:]):
            raise Problem("\n".join(problems))
        arguments = Parser(parents=[get_args_parser()], add_help=False).parse_intermixed_args()
        if problem := problem_of_flags(arguments):
            raise Problem(problem)
        with read_or_not(), composing(arguments.config_dir) as hydra:
            status = follow(arguments, hydra)
    except Problem as problem:
        print(problem, file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 130
    except OSError as error:  # a disk that is full, or a folder that has become read-only
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        status = 1
    if status:
        sys.exit(status)


def problems_of_dashes(arguments: list[str]) -> list[str]:
    """List the arguments that are keys with dashes before them, as in --epochs 10."""
    names = {name for name, _ in keys()} | {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra", "search"}
    found = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        flag, _, value = argument.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        name = synonyms.KEYS.get(name, name)
        if flag.startswith("--") and name in names:
            found.append(f"{flag}: keys have no dashes; write {name}={value or following or 'VALUE'}")
    return found


def problem_of_flags(arguments: argparse.Namespace) -> str | None:
    """Say what is wrong with Hydra's flags."""
    if arguments.config_path is not None or arguments.config_name is not None:
        return "--config-path and --config-name are not taken; --config-dir adds a folder of your own files"
    if arguments.config_dir is not None and not Path(os.path.expanduser(arguments.config_dir)).is_dir():
        return f"--config-dir {arguments.config_dir}: there is no such folder"
    if arguments.experimental_rerun is not None:
        return "--experimental-rerun is not taken; the same command line takes a run up where it was"
    if arguments.cfg is None and not arguments.help and (arguments.resolve or arguments.package is not None):
        return "--resolve and --package go with --cfg, as in --cfg job --resolve"
    modes = ("run", "multirun", "cfg", "info", "shell_completion")
    chosen = [f"--{mode.replace('_', '-')}" for mode in modes if getattr(arguments, mode)]
    return f"{' and '.join(chosen)} do not go together" if len(chosen) > 1 else None


def follow(arguments: argparse.Namespace, hydra: Hydra) -> int:
    """Do what a command line asks for, and give the exit status."""
    overrides = arguments.overrides
    if arguments.help:
        from mnist_mlp.help import text

        print(text(loader(), CONF / "question", sys.argv[0]), end="")
        return 0
    if arguments.hydra_help or arguments.shell_completion:
        with in_one_line():
            if arguments.hydra_help:
                hydra.hydra_help("config", get_args_parser(), arguments)
            else:
                hydra.shell_completion("config", overrides)
        return 0
    launch = check(arguments)
    if launch.problems:
        raise Problem("\n".join(launch.problems))
    if arguments.package and (problem := problem_of_package(arguments.package, compose(overrides))):
        raise Problem(problem)
    if launch.sweeps and not (arguments.cfg or arguments.info):
        return follow_sweep(launch, hydra, [*overrides, "hydra.mode=MULTIRUN"])
    with in_one_line():
        if arguments.cfg:
            hydra.show_cfg("config", overrides, arguments.cfg, arguments.package, arguments.resolve)
        elif arguments.info:
            hydra.show_info(arguments.info, "config", overrides)
        else:
            hydra.run("config", run, [*overrides, "hydra.mode=RUN"])
    return 0


def follow_sweep(launch: "Launch", hydra: Hydra, overrides: list[str]) -> int:
    """Run the jobs of a sweep, say what has become of each, and give the exit status."""
    sweep = Sweep(launch.configs)
    try:
        with in_one_line(), sweep.display() if launch.parallel else nullcontext():
            hydra.multirun("config", run, overrides)
        from mnist_mlp import means

        means.write(launch.configs)
    finally:
        print(sweep.table())
    return 0 if sweep.complete else 1


@contextmanager
def in_one_line() -> Iterator[None]:
    """Make a `Problem` of what Hydra raises, which is of any type: `run` lets through nothing else."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (Problem, OSError)) and not isinstance(error, HydraException):  # some are an OSError, too
            raise
        raise Problem(problem_of_composition(error)) from error


def run(composed: DictConfig) -> float:
    """Run one job that Hydra composed; give its validation accuracy, for sweepers.

    A job of a sweep that fails does not stop the others, unless `fail_fast` says so.
    """
    hydra_config = HydraConfig.get()
    config = labelled(composed, hydra_config)
    sweeps = hydra_config.mode == RunMode.MULTIRUN
    try:
        return training_function()(config, show=not (sweeps and in_parallel(hydra_config)))
    except Problem as problem:
        print(problem, file=sys.stderr)
        if not sweeps or config.fail_fast:
            sys.exit(1 if sweeps else 2)
    except Exception as error:
        if not sweeps and not isinstance(error, OSError):  # a disk that is full or read-only is no fault of the code
            traceback.print_exc()
            sys.exit(1)
        print(f"failed: {config.name}, seed {config.seed}: {type(error).__name__}: {error}", file=sys.stderr)
        if not sweeps or config.fail_fast:
            sys.exit(1)
    return math.nan


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


@cache
def training_function() -> Callable[..., float]:
    """Import torch and Lightning, and give what trains a run.

    Their many objects stay for good: to look for garbage among them takes a sixth of the time of the import, and more
    than that at the end of the process.
    """
    gc.disable()
    from mnist_mlp.training import train

    gc.freeze()
    gc.enable()
    return train


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
            if sweeps or lines or not is_finished(labelled(composed, composed.hydra)):
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


def problems_one_by_one(overrides: list[str]) -> list[str]:
    """List the values out of range, each override taken by itself, where they cannot be composed together."""
    found: list[str] = []
    for override in OverridesParser.create(loader()).parse_overrides(overrides):
        texts = [override.input_line or ""]
        if override.is_sweep_override():
            texts = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        for text in texts:
            try:
                found += problems(typed(compose([text])))
            except Problem:
                continue  # this is what could not be composed, and has been said
    return found


def parse(text: str) -> tuple[Any, str | None]:
    """Parse an override, or say why it is none."""
    cause: BaseException | None = None
    try:
        (override,) = OverridesParser.create(loader()).parse_overrides([text])
        if override.key_or_group:
            return override, None
    except HydraException as error:
        cause = error.__cause__  # of a function, as in range(1,x)
    except ValueError as error:  # a number of more digits than Python reads
        cause = error
    shown, key = " ".join(text.split()), text.partition("=")[0]
    if cause:
        return None, f"{shown}: {str(cause).splitlines()[0]}"
    if key and "=" in text:
        return None, f"{shown}: not a value; one with special characters is in quotes, as in '{key}=\"a=b\"'"
    return None, f"{shown}: not an override; write KEY=VALUE, as in batch=1"


def with_options(overrides: list[Override]) -> DictConfig:
    """Compose the options that are chosen, of several the first, without what is set in them."""
    chosen = []
    for override in overrides:
        name, is_group = override.key_or_group, loader().get_group_options(override.key_or_group)
        if is_group and override.type == OverrideType.CHANGE:
            option = next(iter(values_of(override)), None)
            if problem_of_options(name, [option]) is None:
                chosen.append(f"{name}={shown(option)}")
    try:
        return compose(chosen)
    except Problem:
        return compose([])  # what is wrong with them is said elsewhere


def values_of(override: Override) -> list[Any]:
    """List the values of an override; none if it sweeps over nothing."""
    if not override.is_sweep_override():
        return [override.value()]
    try:
        return list(override.sweep_iterator())
    except ValueError:  # a range with steps of 0
        return []


def problem_of_override(override: Override, known: DictConfig) -> str | None:
    """Say what is wrong with an override's key, or with a value that is of the wrong kind."""
    name = override.key_or_group
    if override.is_sweep_override() and not override.is_discrete_sweep():
        return f"{override.input_line}: a sweep names its values, as in lr=0.1,0.01"
    values = values_of(override)
    if not values:
        return f"{override.input_line}: it sweeps over no value"
    if override.is_delete():
        return None  # composing it shows whether it is right
    if loader().get_group_options(name):
        return problem_of_options(name, values)
    parent, _, word = name.rpartition(".")
    if override.is_add() or override.is_force_add():
        if parent == "trainer" and word not in {**TRAINER, **LIGHTNING}:
            return problem_of_trainer(word)
        open_groups = tuple(f"{key}." for key, declared in keys() if "dict" in str(declared.type))
        return None if name.startswith(open_groups) else f"{override.input_line}: no key can be added there"
    siblings = OmegaConf.select(known, parent) if parent else known
    if not isinstance(siblings, DictConfig) or word not in siblings:
        if name in synonyms.KEYS or name in synonyms.ANSWERS or (parent == "trainer" and word in LIGHTNING):
            return f"{override.input_line or name}: there is no key {name}; {counterpart(name, override, known)}"
        names = [*(key for key, _ in keys()), *loader().list_groups("")]
        if isinstance(siblings, DictConfig):
            names += [f"{parent}.{sibling!s}" for sibling in siblings]
        return f"{override.input_line or name}: there is no key {name}{nearest(name, names)}"
    declared = dict(keys()).get(name)
    if declared and (problem := problem_of_form(override, declared)):
        return problem
    for value in values:
        if OmegaConf.is_dict(siblings[word]) and not isinstance(value, dict):
            return f"{override.input_line}: {name} has keys of its own; set one of them, as in {name}.KEY=VALUE"
        if declared and name == "test" and isinstance(value, bool):
            return f"{override.input_line}: {synonyms.ANSWERS['evaluate']}; test is {describe(declared)}"
        try:
            OmegaConf.update(known.copy(), name, value)
        except (OmegaConfBaseException, AttributeError):  # the latter for keys within a null
            return f"{name}={shown(value)}: {name} is {describe(declared) if declared else 'of another kind'}"
    return None


def counterpart(name: str, override: Override, known: DictConfig) -> str:
    """Say what is here for what another tool has."""
    if name in synonyms.ANSWERS:
        return synonyms.ANSWERS[name]
    key = synonyms.KEYS.get(name, name)
    added = "" if OmegaConf.select(known, key, default=MISSING) != MISSING else "+"
    value = (override.input_line or "").partition("=")[2]
    return f"write {added}{key}={value or 'VALUE'}"


def problem_of_form(override: Override, declared: Any) -> str | None:
    """Say whether a number has a comma for its point, or a list lacks its brackets."""
    line, valid = override.input_line or "", declared.metadata["valid"]
    name, _, text = line.partition("=")
    if isinstance(valid, Numbers) and valid.several and re.fullmatch(r"\d+(,\d+)*", text):
        return f"{line}: {name} is a list; write '{name}=[{text}]'"
    if isinstance(valid, Numbers) and not valid.whole and re.fullmatch(r"-?0,\d+|-?\d+,0\d*", text):
        return f"{line}: decimals take a point; write {name}={text.replace(',', '.')}"
    return None


def problem_of_options(group: str, values: list[Any]) -> str | None:
    """Say what is wrong with the options chosen from a group."""
    options = loader().get_group_options(group, ObjectType.CONFIG)
    if group == "search":
        return f"search is not a group of a run: python scripts/search.py {shown(values[0])} searches"
    for value in values:
        if isinstance(value, list) and group == "activation":
            return f"{group}={shown(value)}: a list goes to model.activation={shown(value)}"
        several = isinstance(value, list) and group in ("logger", "callbacks", "regularization")
        for option in value if several else [value]:
            # conf/hydra/launcher/slurm.yaml is always there, what it extends only with the plugin.
            brought = "submitit_slurm" if option == "slurm" else str(option)
            if group == "hydra/launcher" and str(option) in EXTRAS and brought not in options:
                return f"{group}={option}: install mnist-mlp[{EXTRAS[str(option)]}]"
            if str(option) not in options:
                return f"{group}={shown(option)}: {group} is one of {', '.join(options)}{nearest(option, options)}"
    return None


def is_finished(config: Config) -> bool:
    """Whether a job only reads its result."""
    result = None if config.overwrite else Run(config).result()
    return result is not None and result.finished


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


def problem_of_package(package: str, composed: DictConfig) -> str | None:
    """Say whether the part of the configuration that is to be printed is none."""
    with in_one_line():
        if package == "_global_" or OmegaConf.select(composed, package) is not None:
            return None
    return f"--package {package}: the configuration has no such part{nearest(package, (name for name, _ in keys()))}"


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
