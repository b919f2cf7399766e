"""Files of runs damaged at random places: the others are used as they are, and no command ends with a traceback."""

import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pandas as pd
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from test_properties import launch, run

from mnist_mlp.callbacks.history import History
from mnist_mlp.cli import report
from mnist_mlp.errors import Problem
from mnist_mlp.inference import load as trained
from mnist_mlp.runs.record import RECORD, read

sys.path.insert(0, str(ROOT / "scripts" / "dev"))
try:
    import faults
finally:
    sys.path.remove(str(ROOT / "scripts" / "dev"))

SHORT = ["width=8", "data.steps_per_epoch=2", "epochs=2"]
RUN = [*SHORT, "trainer=cpu", "trainer.threads=1", "callbacks=light", "logger=[tensorboard,csv]"]
SWEEP = ["-m", *RUN, "seed=0,1"]
USED = (RECORD, "last.ckpt", "best.ckpt")
"""The files that a run is taken up from; all others are for people and TensorBoard."""

WHOLE_COMMANDS = settings(deadline=None, max_examples=settings().max_examples // 3)
"""Of the tests that run them, an example takes seconds."""


class Made:
    """A question's runs, of two variants and two seeds, which are damaged and put back.

    Attributes:
        runs: their folder.
        numbers: those of each run.
        table: that of the report.
        curves: what TensorBoard shows.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, folder / "runs"
        assert launch([*RUN, "question=q08", "seed=0,1"], self.runs) == (0, "")
        self.numbers, self.curves = faults.finished(self.runs), curves(self.runs)
        self.table = reported(self.runs)[1]
        self.runs.rename(folder / "finished")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(History, "on_train_epoch_start", interrupted)
            name = a_run(self.finished())
            shutil.rmtree(name)
            assert launch(RUN, self.runs)[0] == 130
        assert (name / "checkpoints" / "last.ckpt").exists()
        self.runs.rename(folder / "unfinished")

    def finished(self) -> Path:
        """Put the runs back as they ended."""
        return self._again("finished")

    def unfinished(self) -> Path:
        """Put them back, but a run of the baseline as it was interrupted in its second epoch."""
        return self._again("unfinished")

    def _again(self, state: str) -> Path:
        shutil.rmtree(self.runs, ignore_errors=True)
        return shutil.copytree(self.folder / state, self.runs)


def interrupted(self: History, trainer: lightning.Trainer, module: Any) -> None:
    if trainer.current_epoch == 1:
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("made"))


def a_run(runs: Path) -> Path:
    (variant,) = runs.glob("baseline,*")
    return variant / "seed0"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unused(folder: Path) -> st.SearchStrategy[Path]:
    return st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in USED))


def spoilt(content: bytes) -> st.SearchStrategy[bytes]:
    """Cut it, flip a bit, write or push something in between, or let something else be there, or nothing."""
    place, noise = st.integers(0, len(content) - 1), st.binary(min_size=1, max_size=100)
    return st.one_of(
        place.map(lambda at: content[:at]),
        st.builds(
            lambda at, bit: content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :], place, st.integers(0, 7)
        ),
        st.builds(lambda at, other: content[:at] + other + content[at + len(other) :], place, noise),
        st.builds(lambda at, other: content[:at] + other + content[at:], place, noise),
        noise,
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(width=32) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@st.composite
def altered(draw: st.DrawFn, record: Any) -> Any:
    """Put any value somewhere, or leave something out, as a record of another version may."""
    if not isinstance(record, dict | list) or not record or draw(st.integers(0, 3)) == 0:
        return draw(values)
    changed = record.copy()
    where = draw(st.sampled_from(list(record) if isinstance(record, dict) else range(len(record))))
    if draw(st.booleans()):
        changed[where] = draw(altered(record[where]))
    else:
        del changed[where]
    return changed


def spoilt_record(content: bytes) -> st.SearchStrategy[bytes]:
    return spoilt(content) | altered(json.loads(content)).map(lambda record: json.dumps(record).encode())


def spoil(data: st.DataObject, path: Path, how: Callable[[bytes], st.SearchStrategy[bytes]] = spoilt) -> None:
    path.write_bytes(data.draw(how(path.read_bytes())))


def reported(runs: Path) -> tuple[str, pd.DataFrame]:
    """Make the report; give what it said on the error stream, and its table of the runs."""
    # Without pytest's handlers, what is logged goes where it does in a script.
    given = ["--runs-dir", str(runs), "--out", str(runs / "report"), "--questions", "q08", "--seeds", "2", "--", *SHORT]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", [])
        status, said = run(report.main, given)
    assert status == 0, said
    return said, pd.read_csv(runs / "report" / "results.csv")


def curves(runs: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Read what TensorBoard shows: the points of every curve of every run."""
    multiplexer = EventMultiplexer(tensor_size_guidance={"scalars": 0}).AddRunsFromDirectory(str(runs)).Reload()
    return {
        name: {
            tag: [(point.step, float(point.tensor_proto.float_val[0])) for point in multiplexer.Tensors(name, tag)]
            for tag in found["tensors"]
            if "/" in tag and multiplexer.SummaryMetadata(name, tag).plugin_data.plugin_name == "scalars"
        }
        for name, found in multiplexer.Runs().items()
    }


@pytest.mark.slow
@given(st.data())
@WHOLE_COMMANDS
def test_a_run_goes_on_to_the_same_end_whatever_became_of_its_logs_and_config_yaml(
    made: Made, data: st.DataObject
) -> None:
    run = a_run(made.unfinished())
    config = (run / "config.yaml").read_text(encoding="utf-8")
    spoil(data, data.draw(unused(run)))
    assert launch(SWEEP, made.runs) == (0, "")
    faults.check(made.runs, made.numbers, complete=True)
    assert (run / "config.yaml").read_text(encoding="utf-8") == config
    shown, usual, name = curves(made.runs), made.curves.copy(), str(run.relative_to(made.runs))
    assert shown.pop(name)["test/accuracy"] == usual.pop(name)["test/accuracy"]
    assert shown == usual


@given(st.data())
@WHOLE_COMMANDS
def test_what_is_finished_is_reported_loaded_and_left_alone_whatever_became_of_its_logs_and_config_yaml(
    made: Made, data: st.DataObject
) -> None:
    run = a_run(made.finished())
    spoil(data, data.draw(unused(run)))
    said, table = reported(made.runs)
    assert said == ""
    assert table.equals(made.table)
    assert trained.load(str(run)).recorded == made.numbers[str(run.relative_to(made.runs))][1]
    before = contents(run)
    assert launch(RUN, made.runs) == (0, "")
    assert contents(run) == before


@given(st.data())
@settings(deadline=None)
def test_tensorboard_shows_the_other_runs_as_they_are_and_of_a_damaged_one_a_part(
    made: Made, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(sorted(made.finished().rglob("events*"))))
    spoil(data, path)
    shown, usual, name = curves(made.runs), made.curves.copy(), str(path.parent.relative_to(made.runs))
    left, whole = shown.pop(name, {}), usual.pop(name)
    assert shown == usual
    assert all(set(points) <= set(whole[tag]) for tag, points in left.items())


@given(st.data())
@WHOLE_COMMANDS
def test_a_report_is_without_a_damaged_record_and_names_it(made: Made, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(made.finished().rglob(RECORD))))
    spoil(data, path, spoilt_record)
    said, table = reported(made.runs)
    run = path.parent
    its_own = f"folder == '{run.parent.name[-8:]}' and seed == {run.name.removeprefix('seed')}"
    others, before = (each.drop(each.query(its_own).index).reset_index(drop=True) for each in (table, made.table))
    assert others.equals(before)
    if read(path) is None:
        assert (
            said
            == f"{path} is corrupt or made by another version, ignored; the command that trained it trains it again\n"
        )
        assert len(table) == len(made.table) - 1
    else:
        assert (said, len(table)) == ("", len(made.table))


@pytest.mark.slow
@given(st.data())
@WHOLE_COMMANDS
def test_a_run_with_a_damaged_record_is_trained_to_the_same_end_again(made: Made, data: st.DataObject) -> None:
    record = a_run(made.finished()) / RECORD
    spoil(data, record, spoilt_record)
    result = read(record)
    assert launch(SWEEP, made.runs) == (0, "")
    if result is None or not result.finished:
        faults.check(made.runs, made.numbers, complete=True)


@given(st.data(), st.sampled_from(["best", "folder", "checkpoint"]))
@settings(deadline=None)
def test_a_network_with_a_damaged_record_is_loaded_or_refused_in_a_line(
    made: Made, data: st.DataObject, way: str
) -> None:
    run = a_run(made.finished())
    spoil(data, run / RECORD, spoilt_record)
    checkpoint = run / "checkpoints" / "last.ckpt"
    found = loaded({"best": "best", "folder": str(run), "checkpoint": str(checkpoint)}[way], made.runs)
    if isinstance(found, str):
        assert way != "best"
        assert found.startswith(f"{run}: ")
        assert len(found.splitlines()) == 1
    else:
        assert found.recorded is None or found.recorded.keys() == {"loss", "accuracy"}


@given(st.data())
@settings(deadline=None)
def test_a_damaged_checkpoint_is_refused_in_a_line_or_has_the_same_weights(made: Made, data: st.DataObject) -> None:
    path = a_run(made.finished()) / "checkpoints" / "last.ckpt"
    usual = trained.load(str(path)).model.state_dict()
    spoil(data, path)
    found = loaded(str(path), made.runs)
    if isinstance(found, str):
        assert found == f"{path}: not loaded: corrupt, or it has more than weights and plain values"
    else:
        weights = found.model.state_dict()
        assert all(torch.equal(weights[name], usual[name]) for name in usual)


def loaded(run: str, runs_dir: Path) -> trained.Trained | str:
    """Load a network, or give the line that says why not."""
    try:
        return trained.load(run, str(runs_dir))
    except Problem as problem:
        return str(problem)
