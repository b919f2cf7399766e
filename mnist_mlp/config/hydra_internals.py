"""Everything this project takes from Hydra's private modules, which any release of Hydra may move. Free of torch.

Hydra's public entries do not serve: `hydra.main` reads `sys.argv` and ends the process by itself, and
`hydra.initialize_config_dir` knows a single folder of files, where --config-dir adds one.
"""

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins import file_config_source
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

__all__ = ["Hydra", "file_of_option", "get_args_parser", "hydra_of", "loads_own_network", "options_of", "split_sweep"]


class FileConfigSource(file_config_source.FileConfigSource):
    """Configuration files, of which the first line counts in those too that begin with a byte order mark.

    A file of the group model that has a `_target_` sets `network`, not `model`.

    Hydra keeps this class instead of its own, as it was registered first under the same name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Read a file."""
        result = super().load_config(config_path)
        text = (Path(self.path) / self._normalize_file_name(config_path)).read_text(encoding="utf-8-sig")
        result.header = self._get_header_dict(text)
        config: Any = result.config
        if config_path.startswith("model/") and "_target_" in config:
            # A network of the user's own: the keys of ours are no parameters of its constructor, and have types.
            result.header["package"] = "_global_"
            defaults = {"defaults": config.pop("defaults")} if "defaults" in config else {}
            result.config = OmegaConf.create(
                {**defaults, "network": config, "model": {"hidden_sizes": [], "init": "glorot"}}
            )
        return result


SourcesRegistry.instance().register(FileConfigSource)


class Loader(ConfigLoaderImpl):
    """Hydra's loader, which composes the files of the same options once, and sets the keys of an override in a copy.

    Hydra composes the files again for each configuration, for 70 ms. The checks before a run and the run itself ask for
    the same one, and the jobs of a sweep or of a report for configurations that differ in a few keys.
    """

    def __init__(self, search_path: ConfigSearchPath) -> None:
        super().__init__(search_path)
        self.composed: dict[Any, bytes] = {}  # pickled, which is small, and sixfold as fast to copy

    def load_configuration(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, *arguments: Any, **named: Any
    ) -> DictConfig:
        """Compose a configuration; the caller may change it."""
        parsed = OverridesParser.create(self).parse_overrides(overrides)
        if self.has_own_network(parsed):
            overrides = [own_network(override) for override in parsed]
            parsed = OverridesParser.create(self).parse_overrides(overrides)
        keys = [override for override in parsed if self.sets_key(override)]
        if not all(override in keys or self.chooses_option(override) for override in parsed):
            keys = []  # among all others, the order may count
        options = [text for text, override in zip(overrides, parsed, strict=True) if override not in keys]
        if not any(override.is_sweep_override() for override in parsed):
            run_mode = RunMode.RUN  # is stricter, and composes the same
        files = (os.getcwd(), config_name, run_mode, *options)
        if files not in self.composed:
            composed = super().load_configuration(config_name, options, run_mode, *arguments, **named)
            self.composed[files] = pickle.dumps(composed)
        composed = pickle.loads(self.composed[files])
        if keys:
            self._apply_overrides_to_config(keys, composed)
            of_jobs = [override for override in parsed if not override.is_hydra_override()]
            composed.hydra.overrides.task = [override.input_line for override in of_jobs]
            job = composed.hydra.job
            if name_of_folder := getattr(config_loader_impl, "get_overrides_dirname", None):  # later, a resolver
                job.override_dirname = name_of_folder(of_jobs, **job.config.override_dirname)
        return cast(DictConfig, composed)

    def _load_configuration(
        self, *, activate_config_repository: bool, parsed_overrides: list[Override] | None = None, **named: Any
    ) -> DictConfig:
        # Hydra 1.4 composes the configuration of a job here, and calls this from `load_configuration`, too.
        if activate_config_repository or parsed_overrides is not None:
            return self.load_configuration(**named)
        implementation: Any = super()
        return cast(DictConfig, implementation._load_configuration(activate_config_repository=False, **named))

    def has_own_network(self, overrides: list[Override]) -> bool:
        """Whether keys of model are among some overrides and are those of a network of the user's own."""
        names = [override.key_or_group for override in overrides]
        if "model._target_" in names:
            return True
        if not any(name.startswith("model.") for name in names):
            return False
        options = [
            override for override in overrides if self.is_group(override) and override.type == OverrideType.CHANGE
        ]
        try:
            composed = self.load_configuration("config", list(map(first_of, options)), RunMode.RUN)
        except (HydraException, OmegaConfBaseException):
            return False  # is reported elsewhere
        return bool(composed.network)

    def sets_key(self, override: Override) -> bool:
        """Whether an override sets a key of a run's configuration to one value."""
        sets = override.type in (OverrideType.CHANGE, OverrideType.ADD, OverrideType.FORCE_ADD)
        single = not override.is_sweep_override() and override.package is None
        return sets and single and not override.is_hydra_override() and not self.is_group(override)

    def chooses_option(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, or is Hydra's own, but not where it looks for files."""
        if override.is_hydra_override():
            return override.key_or_group != "hydra.searchpath"
        return self.is_group(override) and not override.is_sweep_override() and isinstance(override.value(), str | list)

    def is_group(self, override: Override) -> bool:
        """Whether what an override names is a group of configuration files."""
        return bool(self.repository.group_exists(override.key_or_group))


def own_network(override: Override) -> str:
    """Return the text of an override, that of a key of model as a parameter of a network of the user's own."""
    text = override.input_line or ""
    if not override.key_or_group.startswith("model.") or override.is_delete():
        return text
    return f"++network.{text.lstrip('+').removeprefix('model.')}"


def first_of(override: Override) -> str:
    """Return the text of an override that chooses from a group, of several options the first."""
    if not override.is_sweep_override():
        return override.input_line or ""
    return f"{override.key_or_group}={next(iter(override.sweep_string_iterator()), 'none')}"


@contextmanager
def hydra_of(folder: Path, further: Path | None) -> Iterator[Hydra]:
    """Initialize Hydra with a folder of configuration files, and a further one whose files hide none of the first.

    Afterwards Hydra is as it was, as the caller may be the job of another application of Hydra's.
    """
    search_path = create_config_search_path(str(folder))
    if further is not None:
        search_path.prepend("command-line", f"file://{further}", SearchPathQuery("schema"))
    hydra = Hydra("train", Loader(search_path))
    in_use, of_job = GlobalHydra.instance(), HydraConfig.instance()
    before = in_use.hydra, of_job.cfg
    in_use.hydra = hydra
    try:
        yield hydra
    finally:
        in_use.hydra, of_job.cfg = before


def loads_own_network(overrides: list[Override]) -> bool:
    """Whether the keys of model in some overrides are those of a network of the user's own."""
    loader: Any = GlobalHydra.instance().config_loader()
    return bool(loader.has_own_network(overrides))


def split_sweep(overrides: list[Override]) -> list[list[str]]:
    """List the overrides of each job of a sweep, as Hydra's own sweeper runs them."""
    (every,) = BasicSweeper.split_arguments(overrides, None)
    return [list(job) for job in every]


def options_of(group: str) -> list[str]:
    """List the options of a group of configuration files.

    Hydra's `get_group_options` composes half of the configuration for it, each time.
    """
    loader: Any = GlobalHydra.instance().config_loader()
    return list(loader.repository.get_group_options(group, ObjectType.CONFIG))


def file_of_option(group: str, option: str) -> Path:
    """Find the file of a group's option, in one of the folders of configuration files."""
    loader: Any = GlobalHydra.instance().config_loader()
    return Path(
        loader.repository.load_config(f"{group}/{option}").path.removeprefix("file://"), group, f"{option}.yaml"
    )
