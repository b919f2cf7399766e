"""The private parts of libraries that this project uses are few, in known places, and still there."""

import ast
import importlib
import inspect
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import pytest
from conftest import ROOT
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from torch.optim.swa_utils import AveragedModel

from mnist_mlp.callbacks import lightning_internals
from mnist_mlp.callbacks.averaging import Average
from mnist_mlp.callbacks.terminal import Reports
from mnist_mlp.config import hydra_internals
from mnist_mlp.config.compose import CONF, composing
from mnist_mlp.config.hydra_internals import Hydra

MODULES = sorted((ROOT / "mnist_mlp").rglob("*.py"))
ALLOWED = {
    "callbacks/lightning_internals.py": {"_average_model"},
    "cli/arguments.py": {"_actions", "_option_string_actions"},  # argparse lists its options nowhere else
    "config/hydra_internals.py": {
        "_apply_overrides_to_config",
        "_get_header_dict",
        "_normalize_file_name",
        "hydra._internal",
    },
    "inference/draw_app.py": {"_typeshed"},  # types, which only a type checker imports
}
DOCUMENTED = {"_asdict", "_"}  # of named tuples; what translates a message


def private_names(module: Path) -> set[str]:
    """List the names with an underscore that a module uses, unless it defines them itself."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    used, own = set(DOCUMENTED), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            (own if isinstance(node.ctx, ast.Store) else used).add(node.attr)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.Import):
            used.update(part for alias in node.names for part in packages(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            used.update(packages(node.module or ""), (alias.name for alias in node.names))
    return {name for name in used - own - DOCUMENTED if "._" in f".{name}" and not name.endswith("__")}


def packages(name: str) -> Iterator[str]:
    """Give a package's name up to its first private part."""
    parts = name.split(".")
    for number, part in enumerate(parts, start=1):
        if part.startswith("_"):
            yield ".".join(parts[:number])
            return


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_uses_nothing_private_of_a_library_unless_it_is_there_for_that(module: Path) -> None:
    assert private_names(module) == ALLOWED.get(str(module.relative_to(ROOT / "mnist_mlp")), set())


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (Hydra, ("train", "loader")),
        (Hydra.run, ("self", "config", "task", [])),
        (Hydra.multirun, ("self", "config", "task", [])),
        (Hydra.show_cfg, ("self", "config", [], "job", None, False)),
        (Hydra.show_info, ("self", "all", "config", [])),
        (Hydra.hydra_help, ("self", "config", "parser", "arguments")),
        (Hydra.shell_completion, ("self", "config", [])),
        (hydra_internals.create_config_search_path, ("folder",)),
        (hydra_internals.BasicSweeper.split_arguments, ([], None)),
        (ConfigLoaderImpl, ("search path",)),
        (ConfigLoaderImpl.load_configuration, ("self", "config", [], "mode")),
        (ConfigLoaderImpl._apply_overrides_to_config, ([], "config")),
        (ConfigRepository.group_exists, ("self", "group")),
        (hydra_internals.FileConfigSource._normalize_file_name, ("name",)),
        (hydra_internals.FileConfigSource._get_header_dict, ("text",)),
        (hydra_internals.SourcesRegistry.register, ("self", "type")),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_a_private_function_of_hydras_takes_the_arguments_that_it_is_given(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    inspect.signature(function).bind(*arguments)


def test_hydras_parser_has_the_flags_that_are_refused_or_followed() -> None:
    flags = vars(hydra_internals.get_args_parser().parse_args([]))
    assert flags.keys() >= {
        *("help", "hydra_help", "overrides", "cfg", "resolve", "package", "run", "multirun", "shell_completion"),
        *("config_path", "config_name", "config_dir", "experimental_rerun", "info"),
    }


def test_hydra_reads_files_with_the_class_of_this_project() -> None:
    Plugins.instance()  # registers Hydra's own
    assert hydra_internals.SourcesRegistry.instance().resolve("file") is hydra_internals.FileConfigSource


def test_hydra_finds_the_file_of_an_option() -> None:
    with composing():
        assert hydra_internals.file_of_option("optimizer", "adam") == CONF / "optimizer" / "adam.yaml"


def test_hydra_splits_a_sweep_into_its_jobs() -> None:
    overrides = OverridesParser.create().parse_overrides(["seed=1,2", "batch=5"])
    assert hydra_internals.split_sweep(overrides) == [["seed=1", "batch=5"], ["seed=2", "batch=5"]]


def test_lightning_counts_the_steps_that_a_chunk_took() -> None:
    trainer = lightning.Trainer(logger=False, enable_checkpointing=False)
    trainer.strategy.connect(lightning.LightningModule())
    trainer.lightning_module.automatic_optimization = False
    lightning_internals.count_optimizer_steps(trainer, 5)
    assert trainer.global_step == 5


def test_lightning_counts_the_epochs_that_are_done() -> None:
    trainer = lightning.Trainer(logger=False, enable_checkpointing=False)
    trainer.fit_loop.epoch_progress.increment_ready()
    trainer.fit_loop.epoch_progress.increment_started()
    trainer.fit_loop.epoch_progress.increment_processed()
    lightning_internals.count_finished_epochs(trainer)
    assert trainer.current_epoch == 1


def test_lightning_keeps_the_average_where_it_is_looked_for() -> None:
    callback = Average(0.5)
    callback.setup(lightning.Trainer(logger=False, enable_checkpointing=False), lightning.LightningModule(), "fit")
    assert isinstance(lightning_internals.average_of(callback), AveragedModel)


@pytest.mark.parametrize("name", Reports.LOGGERS)
def test_lightning_logs_its_reports_under_the_names_that_are_listened_to(name: str) -> None:
    module = importlib.import_module(name)
    assert isinstance(module.log, logging.Logger)
    assert module.log.name == name
