"""Any valid command line trains and can be read back; any other is one line with status 2, and leaves nothing."""

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mnist_mlp.cli.train import main
from mnist_mlp.config.identity import identity
from mnist_mlp.config.schema import Config
from mnist_mlp.inference.load import load
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import read

ACTIVATIONS = [path.stem for path in (ROOT / "conf/activation").glob("*.yaml") if path.stem.count("_") < 2]
OPTIMIZERS = [path.stem for path in (ROOT / "conf/optimizer").glob("*.yaml")]

valid = st.fixed_dictionaries(
    {},
    optional={
        "batch": st.integers(1, 300),
        "lr": st.floats(1e-6, 1.0),
        "seed": st.integers(0, 2**32 - 1),
        "epochs": st.integers(1, 2),
        "activation": st.sampled_from([name for name in ACTIVATIONS if name != "relu_tanh"]),
        "optimizer": st.sampled_from(OPTIMIZERS),
        "data": st.sampled_from(["mnist", "notebook"]),
        "model.hidden_sizes": st.lists(st.integers(1, 40), max_size=4).map(lambda sizes: str(sizes).replace(" ", "")),
        "model.init": st.sampled_from(["glorot", "torch"]),
        "test": st.sampled_from(["last", "best"]),
        "trainer.steps_per_execution": st.sampled_from(["1", "2", "auto"]),
        "trainer.precision": st.sampled_from(["32-true", "64-true"]),
        "callbacks": st.sampled_from(["none", "light", "default", "full"]),
        "logger": st.sampled_from(["none", "csv", "tensorboard"]),
    },
)

words = st.text("abcdefgh_./=[],{}$:'\"- 0123456789é", max_size=12)
invalid = st.one_of(
    st.tuples(st.sampled_from(["batch", "epochs", "width", "seed"]), st.integers(-5, -1).map(str) | st.just("1.5")),
    st.tuples(st.sampled_from(["lr", "optimizer.eps"]), st.sampled_from(["nan", "inf", "-1", "true", "fast"])),
    st.tuples(
        st.sampled_from(["model", "activation", "optimizer", "data", "logger", "callbacks", "experiment", "question"]),
        st.text("abcxyz", min_size=1, max_size=8).map(lambda word: f"{word}q"),
    ),
    st.tuples(st.text("abcdexyz_", min_size=3, max_size=9).map(lambda word: f"{word}_key"), words),
    st.tuples(st.sampled_from(["model.hidden_sizes", "optimizer.betas"]), st.sampled_from(["[-1]", "[a]", "[[1]]"])),
).map("=".join)


def run(command: Callable[[], object], arguments: list[str]) -> tuple[int, str]:
    """Run a command line in this process; give its status and what it said on the error stream."""
    before, sys.argv = sys.argv, ["command.py", *arguments]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            command()
    except SystemExit as stop:
        return int(stop.code or 0), said.getvalue()
    finally:
        sys.argv = before
    return 0, said.getvalue()


def launch(arguments: list[str], runs_dir: Path) -> tuple[int, str]:
    """Run a command line of train.py."""
    return run(main, [*arguments, f"runs_dir={runs_dir}"])


@pytest.fixture
def runs_dir() -> Any:
    folder = Path(tempfile.mkdtemp())
    yield folder / "runs"
    shutil.rmtree(folder)


@given(valid)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_valid_configuration_trains_and_is_read_back(runs_dir: Path, values: dict[str, Any]) -> None:
    shutil.rmtree(runs_dir, ignore_errors=True)
    overrides = [f"{name}={value}" for name, value in values.items()]
    status, said = launch([*overrides, "data.steps_per_epoch=2", "trainer.accelerator=cpu"], runs_dir)
    assert (status, said) == (0, "")
    (record,) = runs_dir.glob("*/seed*/result.json")
    result = read(record)
    assert result is not None
    assert result.status in ("completed", "diverged")
    config: Any = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.load(record.parent / "config.yaml"))
    )
    assert identity(config) == result.id
    assert Run(config).folder == record.parent
    assert config.seed == values.get("seed", 0)
    if result.status == "completed":
        assert load(str(record.parent)).model.hparams["model"] == result.config["model"]
        assert result.optimizer_steps == 2 * config.epochs


@given(invalid, st.lists(st.sampled_from(["batch=5", "seed=0,1", "-m", "model=deep3"]), max_size=2, unique=True))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_invalid_one_is_a_line_with_status_2_and_leaves_nothing(
    runs_dir: Path, wrong: str, others: list[str]
) -> None:
    status, said = launch([*others, wrong], runs_dir)
    assert status == 2, said
    assert said.count("\n") == len(said.splitlines()) >= 1
    assert "Traceback" not in said
    assert not runs_dir.exists()


@given(st.lists(words, min_size=1, max_size=3))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_command_line_ends_with_a_traceback(runs_dir: Path, arguments: list[str]) -> None:
    # What Hydra or the check make of any text: it is help, refused, or a launch that is stopped before it trains.
    status, said = launch([*(text for text in arguments if not text.startswith("-")), "no_such_key=1"], runs_dir)
    assert status == 2
    assert "Traceback" not in said
    assert not runs_dir.exists()


@given(st.binary(max_size=200), st.floats(0, 1))
@settings(deadline=None)
def test_a_damaged_record_is_none_or_whole(noise: bytes, place: float) -> None:
    whole = json.dumps(
        {
            "schema": 1,
            "id": "a",
            "label": "b",
            "status": "completed",
            "reason": None,
            "seed": 0,
            "config": {"epochs": 0},
        }
        | {
            "epochs": [],
            "test": {"loss": 0.1, "accuracy": 0.9},
            "fit_seconds": 0.0,
            "optimizer_steps": 0,
            "parameters": 1,
            "hardware": {},
        }
        | {"versions": {}, "started": "", "git": None}
    ).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        path.write_bytes(whole)
        assert read(path) is not None
        cut = int(place * len(whole))
        path.write_bytes(whole[:cut] + noise + whole[cut + len(noise) :])
        found = read(path)
        assert found is None or found.epochs == []
