"""What is composed from kept files is what Hydra composes from files."""

from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mnist_mlp.config.compose import composing, loader
from mnist_mlp.config.hydra_internals import Loader


def outcome(load: Any, overrides: list[str], run_mode: RunMode = RunMode.RUN) -> Any:
    """Compose; give the configuration as text, or what is wrong."""
    try:
        return OmegaConf.to_yaml(load(loader(), "config", overrides, run_mode=run_mode))
    except (HydraException, ValueError) as error:
        return f"{type(error).__name__}: {error}"


OVERRIDES = [
    "batch=50",
    "batch=100",
    "batch=many",
    "bach=1",
    "epochs=1,2",
    "seed=range(3)",
    "data.seed=4",
    "runs_dir='a b'",
    "model=deep5",
    "model=deep6",
    "model={dropout: 0.3}",
    "model.dropout=0.1",
    "model.hidden_sizes=[3,4]",
    "~model.dropout",
    "optimizer=sgd",
    "optimizer.momentum=0.5",
    "optimizer.betas=[0.9,0.9]",
    "+trainer.max_steps=3",
    "++trainer.max_steps=4",
    "trainer.max_steps=5",
    "~trainer.max_steps",
    "+foo=1",
    "regularization=[dropout,label_smoothing]",
    "question=q02",
    "experiment=q03",
    "lr=${model.dropout}",
    "hydra.job.name=mine",
    "hydra.mode=MULTIRUN",
    "hydra/launcher=basic",
    "batch=",
    "batch",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(OVERRIDES), max_size=4), st.sampled_from(list(RunMode)))
def test_the_configuration_is_hydras_own(overrides: list[str], run_mode: RunMode) -> None:
    with composing():
        expected = outcome(ConfigLoaderImpl.load_configuration, overrides, run_mode)
        for _ in range(2):  # from files, and from what is kept
            assert outcome(Loader.load_configuration, overrides, run_mode) == expected


def test_a_change_of_a_configuration_is_not_kept() -> None:
    with composing():
        first = loader().load_configuration("config", ["batch=50"], RunMode.RUN)
        first.batch = first.hydra.job.num = 7
        second = loader().load_configuration("config", ["batch=50"], RunMode.RUN)
    assert (second.batch, OmegaConf.is_missing(second.hydra.job, "num")) == (50, True)


def test_configurations_that_differ_in_keys_are_composed_from_files_once(composed: list[str]) -> None:
    with composing():
        for batch in range(1, 9):
            config = loader().load_configuration("config", ["model=deep3", f"batch={batch}"], RunMode.RUN)
            assert config.batch == batch
            assert config.hydra.overrides.task == ["model=deep3", f"batch={batch}"]
    assert composed == ["model=deep3"]


def test_options_of_a_further_folder_are_options(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "small.yaml").write_text("# @package _global_\nwidth: 8\n", encoding="utf-8")
    with composing():
        overrides = [f"hydra.searchpath=[file://{tmp_path}]", "+mine=small", "batch=50"]
        config = loader().load_configuration("config", overrides, RunMode.RUN)
    assert (config.width, config.batch) == (8, 50)
