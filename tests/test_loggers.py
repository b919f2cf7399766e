"""What MLflow and Weights & Biases keep of runs, read from their files."""

import json
import shutil
import sqlite3
import struct
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning
import pytest
from conftest import SHORT
from test_tensorboard import AT_EPOCH_ENDS, AT_THE_END, COLUMNS, OVER_EPOCHS, OVER_STEPS
from test_training import results

from mnist_mlp.errors import installing
from mnist_mlp.tracking import loggers
from mnist_mlp.tracking.curves import Curves

Command = Callable[..., int]
Points = dict[str, list[tuple[int, float]]]

# MLflow 3.17 with SQLAlchemy 2.1.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty database of MLflow's once, which takes seconds."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(new_database: Path, tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return Path(shutil.copy(new_database, tmp_path / "runs"))


def mlflow_runs(database: Path, experiment: str = "mnist_mlp") -> dict[str, Any]:
    """Give MLflow's runs of an experiment by their names."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{database}")
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    names = {run.info.run_name: run for run in found}
    assert len(names) == len(found)
    return names


def mlflow_points(database: Path, run: Any) -> Points:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{database}")
    return {
        tag: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, tag)]
        for tag in run.data.metrics
    }


def wandb_records(path: Path) -> Iterator[Any]:
    """Read a file of Weights & Biases: after a header of 7 bytes, LevelDB's log format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, record = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left  # a header does not go over the end of a block
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last of its parts
            yield Record.FromString(record)
            record = b""


class WandbRun:
    """What Weights & Biases wrote of a run in one go."""

    def __init__(self, path: Path) -> None:
        self.points: dict[str, Points] = {"epoch": defaultdict(list), "optimizer_step": defaultdict(list)}
        self.axes: dict[str, str] = {}
        self.config: dict[str, Any] = {}
        self.exit_code: int | None = None
        for record in wandb_records(path):
            if record.HasField("run"):
                self.run = record.run
            elif record.HasField("config"):
                self.config |= {item.key: json.loads(item.value_json) for item in record.config.update}
            elif record.HasField("metric"):
                self.axes[record.metric.name] = record.metric.step_metric
            elif record.HasField("exit"):
                self.exit_code = record.exit.exit_code
            elif record.HasField("history"):
                self._add({"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item})

    def _add(self, row: dict[str, str]) -> None:
        values = {name: json.loads(value) for name, value in row.items() if not name.startswith("_")}
        (axis,) = self.points.keys() & values.keys()  # a row of one axis has not the other's
        step = values.pop(axis)
        for tag, value in values.items():
            self.points[axis][tag].append((step, value))


def wandb_runs(tmp_path: Path) -> list[WandbRun]:
    return [WandbRun(path) for path in sorted(tmp_path.glob("runs/*/seed*/wandb/offline-run-*/*.wandb"))]


def assert_all_curves(over_epochs: Points, over_steps: Points, result: dict[str, Any]) -> None:
    """Compare the curves of a run with 3 epochs of 40 steps with its record."""
    assert sorted(over_epochs) == sorted([*OVER_EPOCHS, *AT_THE_END])
    assert sorted(over_steps) == sorted([*OVER_STEPS, *AT_EPOCH_ENDS])
    for measure in ("loss", "accuracy"):
        for stage in ("train", "val"):
            recorded = [(epoch["epoch"], pytest.approx(epoch[f"{stage}_{measure}"])) for epoch in result["epochs"]]
            assert over_epochs[f"{measure}/{stage}"] == recorded
        assert over_epochs[f"test/{measure}"] == [(3, pytest.approx(result["test"][measure]))]
        assert over_steps[f"{measure}_by_step/val"] == [
            (40 * epoch, value) for epoch, value in over_epochs[f"{measure}/val"]
        ]
        assert [step for step, _ in over_steps[f"{measure}_by_step/train"]] == list(range(2, 121, 2))


def test_both_keep_every_curve_at_its_epochs_or_steps_and_the_hyperparameters(
    command: Command, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    arguments = ["data.steps_per_epoch=40", "epochs=3", "trainer=cpu", "lr=0.01", "seed=7"]
    assert command(*arguments, "logger=[mlflow,wandb]") == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []
    ((name, result),) = results(tmp_path / "runs").items()
    label = name.split("-")[0]

    ((title, run),) = mlflow_runs(database).items()
    assert title == f"{label} seed7"
    assert run.info.status == "FINISHED"
    assert list(run.data.params) == COLUMNS
    assert run.data.params["lr"] == "0.01"
    curves = mlflow_points(database, run)
    over_steps = {tag: curves.pop(tag) for tag in [*OVER_STEPS, *AT_EPOCH_ENDS]}
    assert_all_curves(curves, over_steps, result)

    (kept,) = wandb_runs(tmp_path)
    assert (kept.run.project, kept.run.display_name, kept.run.run_group) == ("mnist_mlp", f"{label} seed7", label)
    assert kept.run.run_id == f"{result['id']}-seed7"
    assert kept.exit_code == 0
    assert set(COLUMNS) <= set(kept.config)
    assert kept.config["lr"] == 0.01
    assert_all_curves(kept.points["epoch"], kept.points["optimizer_step"], result)
    assert kept.axes == {tag: axis for axis, curves in kept.points.items() for tag in curves}


def test_runs_of_one_process_have_records_of_their_own(
    command: Command, database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("-m", *SHORT, "seed=0,1", "logger=[wandb,mlflow]") == 0
    assert capsys.readouterr().err == ""
    label = "steps_per_epoch=2,epochs=1"
    assert {title: run.info.status for title, run in mlflow_runs(database).items()} == {
        f"{label} seed0": "FINISHED",
        f"{label} seed1": "FINISHED",
    }
    assert [(kept.run.display_name, kept.config["seed"], kept.exit_code) for kept in wandb_runs(tmp_path)] == [
        (f"{label} seed0", 0, 0),
        (f"{label} seed1", 1, 0),
    ]


def test_a_run_that_diverges_has_failed(command: Command, database: Path, tmp_path: Path) -> None:
    assert command(*SHORT, "data.steps_per_epoch=30", "optimizer=sgd", "lr=1e12", "logger=[mlflow,wandb]") == 0
    ((_, result),) = results(tmp_path / "runs").items()
    assert result["status"] == "diverged"
    assert [run.info.status for run in mlflow_runs(database).values()] == ["FAILED"]
    assert [kept.exit_code for kept in wandb_runs(tmp_path)] == [1]


def test_a_run_that_is_interrupted_says_so_and_goes_on_in_its_record(
    command: Command, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Curves, trainer: lightning.Trainer, *others: Any) -> None:
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    arguments = ["data.steps_per_epoch=40", "epochs=3", "trainer=cpu", "logger=[mlflow,wandb]"]
    with monkeypatch.context() as patched:
        patched.setattr(Curves, "on_train_batch_end", interrupt)
        assert command(*arguments, "name=q05") == 130
    ((_, run),) = mlflow_runs(database).items()
    assert run.info.status == "KILLED"
    assert [step for step, _ in mlflow_points(database, run)["accuracy/val"]] == [1, 2]
    (interrupted,) = wandb_runs(tmp_path)
    assert interrupted.exit_code == 1

    assert command(*arguments, "name=other") == 0  # belongs to no question: a hyperparameter changes
    ((_, same),) = mlflow_runs(database).items()
    assert same.info.run_id == run.info.run_id
    assert same.info.status == "FINISHED"
    assert [step for step, _ in mlflow_points(database, same)["accuracy/val"]] == [1, 2, 3]
    earlier, later = wandb_runs(tmp_path)
    assert later.run.run_id == earlier.run.run_id
    assert [step for step, _ in earlier.points["epoch"]["accuracy/val"]] == [1, 2]
    assert [step for step, _ in later.points["epoch"]["accuracy/val"]] == [3]
    assert later.exit_code == 0

    assert command(*arguments, "overwrite=true") == 0
    from mlflow.tracking import MlflowClient

    found = MlflowClient(f"sqlite:///{database}").search_runs([run.info.experiment_id])
    assert len(found) == 2  # what begins anew is another run
    assert len(wandb_runs(tmp_path)) == 1


def test_mlflow_takes_a_database_and_an_experiment_of_the_users(command: Command, tmp_path: Path) -> None:
    own = tmp_path / "own.db"  # which MLflow makes
    keys = [f"logger.mlflow.tracking_uri=sqlite:///{own}", "logger.mlflow.experiment=mine"]
    assert command(*SHORT, "logger=mlflow", *keys) == 0
    assert len(mlflow_runs(own, "mine")) == 1
    assert not (tmp_path / "runs" / "mlflow.db").exists()


@pytest.mark.parametrize("name", ["what?", "a#b", "%41{b} ñ"])
def test_mlflows_database_and_artifacts_lie_beside_the_runs_whatever_their_folders_name(
    name: str, new_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs_dir = tmp_path / name
    (runs_dir / ".locks").mkdir(parents=True)
    database = Path(shutil.copy(new_database, runs_dir))
    run: Any = SimpleNamespace(
        runs_dir=runs_dir, id="0", label="small", config=SimpleNamespace(seed=0), checkpoints=runs_dir
    )
    logger = loggers.mlflow(run)
    logger.experiment.log_text(logger.run_id, "here", "a.txt")
    with sqlite3.connect(database) as opened:
        assert opened.execute("select run_uuid from runs").fetchall() == [(logger.run_id,)]
    opened.close()
    (artifact,) = (runs_dir / "mlflow").rglob("a.txt")
    assert artifact.read_text(encoding="utf-8") == "here"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_database_that_is_none_is_one_line_and_status_2(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*SHORT, "logger=mlflow", "logger.mlflow.tracking_uri=foo://bar") == 2
    error = capsys.readouterr().err
    assert error.startswith("logger.mlflow: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("logger", "module"), [("mlflow", "mlflow"), ("mlflow", "sqlalchemy"), ("[csv,wandb]", "wandb")]
)
def test_a_package_that_is_not_installed_is_one_line_that_names_the_extra_and_status_2(
    command: Command,
    logger: str,
    module: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert command(*SHORT, f"logger={logger}") == 2
    name = "wandb" if "wandb" in logger else "mlflow"
    output = capsys.readouterr()
    assert output.err == f"logger={name} is not installed: {installing(name)}\n"
    assert output.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_sweep_with_a_logger_that_is_not_installed_says_so_once(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert command("-m", *SHORT, "seed=0,1", "logger=csv,wandb") == 2
    assert capsys.readouterr().err == f"logger=wandb is not installed: {installing('wandb')}\n"
