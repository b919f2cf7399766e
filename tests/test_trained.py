"""A trained network is found by its folder, label or checkpoint; what cannot be used is said in one line."""

import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SHORT

from mnist_mlp.cli.train import main
from mnist_mlp.errors import Problem
from mnist_mlp.inference import load as trained
from mnist_mlp.inference.load import Trained

SMALL = "model.hidden_sizes=[8]"
NOT_LOADED = "not loaded: corrupt, or it has more than weights and plain values"
SOMETHING_ELSE = "incompatible checkpoint: not made by this version of mnist-mlp"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs of three variants, of which one has two seeds."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        for more in (["name=one", "test=best"], ["name=two"], ["name=two", "seed=1"], ["name=leak", "data=notebook"]):
            line = ["train.py", *SHORT, SMALL, f"runs_dir={folder / 'runs'}", "logger=none", *more]
            patch.setattr(sys, "argv", line)
            main()
    return folder / "runs"


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """A copy of them, to be spoilt."""
    return shutil.copytree(made, tmp_path / "runs")


def the(runs: Path, label: str, seed: int = 0) -> Path:
    (variant,) = runs.glob(f"{label},*")
    return variant / f"seed{seed}"


def rewrite(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads((run / "result.json").read_text(encoding="utf-8"))
    change(record)
    (run / "result.json").write_text(json.dumps(record), encoding="utf-8")


def resave(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def weights(found: Trained) -> torch.Tensor:
    return found.model.network.linear_layers()[0].weight


def line_of(run: str | Path, runs: Path) -> str:
    with pytest.raises(Problem) as caught:
        trained.load(str(run), str(runs))
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_run_is_found_by_folder_variant_label_and_checkpoint(made: Path) -> None:
    run = the(made, "one")
    label = run.parent.name.rpartition("-")[0]
    labels = [label, f"{label}/seed0", f"{run.parent.name}/seed0"]
    for way in (run, f"{run}/", run.parent, *labels, run / "checkpoints" / "best.ckpt"):
        found = trained.load(str(way), str(made))
        assert found.checkpoint == run / "checkpoints" / "best.ckpt"
        assert found.name == f"{label}/seed0"
        assert found.folder == run
        assert found.recorded == json.loads((run / "result.json").read_text(encoding="utf-8"))["test"]
        assert not found.model.training


def test_a_run_is_found_from_within_its_folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = the(made, "one")
    for folder, way in ((run / "checkpoints", "best.ckpt"), (run, "checkpoints/best.ckpt"), (run, "."), (made, "best")):
        monkeypatch.chdir(folder)
        found = trained.load(way, ".")
        assert found.folder is not None
        assert (found.folder / "result.json").exists()


def test_the_weights_are_those_that_the_run_tested(made: Path) -> None:
    one, two = trained.load(str(the(made, "one"))), trained.load(str(the(made, "two")))
    assert (one.checkpoint.name, two.checkpoint.name) == ("best.ckpt", "last.ckpt")
    stored = torch.load(two.checkpoint, weights_only=True)["state_dict"]["network.layers.0.weight"]
    assert torch.equal(weights(two), stored)


def test_the_record_is_not_that_of_other_weights(made: Path) -> None:
    other = trained.load(str(the(made, "one") / "checkpoints" / "last.ckpt"))
    assert other.result is not None
    assert other.recorded is None


def test_a_checkpoint_outside_a_run_has_no_record(made: Path, tmp_path: Path) -> None:
    shutil.copy(the(made, "one") / "checkpoints" / "best.ckpt", tmp_path / "mine.ckpt")
    found = trained.load(str(tmp_path / "mine.ckpt"))
    assert (found.result, found.config, found.folder, found.recorded) == (None, None, None, None)
    assert found.name == str(tmp_path / "mine.ckpt")
    assert torch.equal(weights(found), weights(trained.load(str(the(made, "one")))))


def test_the_best_is_the_best_of_the_sound_protocol(runs: Path) -> None:
    accuracies = {the(runs, "one"): 0.3, the(runs, "two"): 0.5, the(runs, "two", 1): 0.4, the(runs, "leak"): 0.9}
    for run, accuracy in accuracies.items():
        rewrite(run, lambda record, value=accuracy: record["epochs"][-1].update(val_accuracy=value))
    assert trained.load("best", str(runs)).folder == the(runs, "two")
    for label in ("one", "two"):
        shutil.rmtree(the(runs, label).parent)
    assert trained.load("best", str(runs)).folder == the(runs, "leak")
    rewrite(the(runs, "leak"), lambda record: record.update(status="interrupted"))
    assert line_of("best", runs) == f"best: there is no finished run in {runs}"


def test_a_run_that_is_not_there_is_answered_with_the_nearest(made: Path, tmp_path: Path) -> None:
    label = the(made, "two").parent.name.rpartition("-")[0]
    line = line_of(label.replace("two", "tow"), made)
    assert f"there is no such run in {made}, which has runs of leak,hidden_sizes=8," in line
    assert line.endswith(f"; did you mean {label}?")
    assert line_of("bset", made).endswith("; did you mean best?")
    assert line_of("q05", tmp_path / "none") == (
        f"q05: there is no such folder or file, and there is no folder {tmp_path / 'none'} of runs"
    )
    (tmp_path / "empty").mkdir()
    assert line_of("q05", tmp_path / "empty") == f"q05: there is no such run in {tmp_path / 'empty'}, which has no runs"
    assert line_of(tmp_path / "empty", made) == f"{tmp_path / 'empty'}: there are no runs in this folder"


def test_a_list_of_labels_stays_readable(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"label{number:02}-0123abcd").mkdir()
    line = line_of("xyz", tmp_path)
    assert line.endswith("which has runs of label00, label01, label02, label03, label04, label05 and 14 more")


def test_what_could_be_several_runs_is_asked_for(runs: Path) -> None:
    variant = the(runs, "two").parent
    label = variant.name.rpartition("-")[0]
    assert line_of(label, runs) == f"{label}: has seed0, seed1; choose one, as in {label}/seed0"
    assert line_of(variant, runs) == f"{variant}: has seed0, seed1; choose one, as in {variant}/seed0"
    assert line_of(f"{label}/seed7", runs) == f"{label}/seed7: there is no seed7, only seed0, seed1"
    shutil.copytree(variant, runs / f"{label}-00000000")
    folders = sorted([variant.name, f"{label}-00000000"])
    assert line_of(label, runs) == f"{label}: several configurations have this label: {', '.join(folders)}"


@pytest.mark.parametrize("status", ["diverged", "failed", "interrupted"])
def test_a_run_that_did_not_end_well_is_not_used(runs: Path, status: str) -> None:
    run = the(runs, "one")
    rewrite(run, lambda record: record.update(status=status))
    assert line_of(run, runs) == f"{run}: the run is {status}; repeat the command that started it, which resumes it"


def test_a_run_without_a_record_is_not_finished(runs: Path) -> None:
    run = the(runs, "one")
    (run / "result.json").unlink()
    assert line_of(run, runs) == f"{run}: the run is not finished; repeat the command that started it, which resumes it"


@pytest.mark.parametrize("key", ["seed", "test", "epochs"])
def test_a_record_of_another_version_is_said_to_be_one(runs: Path, key: str) -> None:
    run = the(runs, "one")
    rewrite(run, lambda record: record.pop(key))
    assert line_of(run, runs) == f"{run}: its result.json is corrupt or was written by another version"


@pytest.mark.parametrize("change", [{"colour": "blue"}, {"model": 3}, {"data": None}, {"batch": "x"}], ids=str)
def test_a_configuration_of_another_version_is_said_to_be_one(runs: Path, change: dict[str, Any]) -> None:
    rewrite(the(runs, "leak"), lambda record: record["config"].update(change))
    assert "its result.json was written by another version: " in line_of(the(runs, "leak"), runs)


def test_a_configuration_without_a_key_is_said_to_be_of_another_version(runs: Path) -> None:
    rewrite(the(runs, "leak"), lambda record: record["config"].pop("test"))
    assert "its result.json was written by another version: " in line_of(the(runs, "leak"), runs)


def test_runs_of_another_version_do_not_keep_the_best_from_being_found(runs: Path) -> None:
    rewrite(the(runs, "leak"), lambda record: record["config"].update(colour="blue"))
    rewrite(the(runs, "two"), lambda record: record.update(epochs=[]))
    rewrite(the(runs, "one"), lambda record: record["epochs"][-1].update(val_accuracy=1.0))
    assert trained.load("best", str(runs)).folder == the(runs, "one")


def test_a_checkpoint_that_is_gone_is_named(runs: Path) -> None:
    path = the(runs, "one") / "checkpoints" / "best.ckpt"
    path.unlink()
    assert line_of(the(runs, "one"), runs) == f"{path}: there is no such checkpoint"


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_checkpoint_is_damaged(runs: Path, share: float) -> None:
    path = the(runs, "one") / "checkpoints" / "best.ckpt"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert line_of(the(runs, "one"), runs) == f"{path}: {NOT_LOADED}"


class Malice:
    """What makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("way", ["pickle_2", "pickle_5", "torch", "torch_old"])
def test_code_in_a_checkpoint_does_not_run(tmp_path: Path, way: str) -> None:
    path, written = tmp_path / "malicious.ckpt", tmp_path / "written"
    if way.startswith("pickle"):
        path.write_bytes(pickle.dumps(Malice(written), int(way[-1])))
    else:
        torch.save({"state_dict": Malice(written)}, path, _use_new_zipfile_serialization=way == "torch")
    line = line_of(path, tmp_path)
    assert line == f"{path}: {NOT_LOADED}"
    assert not written.exists()


def test_the_optimizer_in_a_checkpoint_is_not_made(runs: Path, tmp_path: Path) -> None:
    path, written = the(runs, "one") / "checkpoints" / "best.ckpt", tmp_path / "written"
    malice = {"_target_": "os.mkdir", "path": str(written)}
    resave(path, lambda content: content["hyper_parameters"].update(optimizer=malice))
    trained.load(str(path))
    assert not written.exists()


def test_the_weights_of_another_network_do_not_fit(runs: Path) -> None:
    path = the(runs, "one") / "checkpoints" / "best.ckpt"
    resave(path, lambda content: content["hyper_parameters"]["model"].update(hidden_sizes=[9]))
    assert line_of(path, runs) == f"{path}: its weights do not match the network that it describes"
    resave(path, lambda content: content.update(state_dict=[1, 2]))
    resave(path, lambda content: content["hyper_parameters"]["model"].update(hidden_sizes=[8]))
    assert line_of(path, runs) == f"{path}: its weights do not match the network that it describes"


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("hyper_parameters"),
        lambda content: content.pop("state_dict"),
        lambda content: content.update(hyper_parameters=None),
        lambda content: content["hyper_parameters"].update(model=None),
        lambda content: content["hyper_parameters"]["model"].update(activation="none"),
        lambda content: content["hyper_parameters"]["model"].update(activation=7),
        lambda content: content["hyper_parameters"]["model"].update(hidden_sizes=["wide"]),
        lambda content: content["hyper_parameters"]["model"].update(hidden_sizes=[-1]),
        lambda content: content["hyper_parameters"]["model"].update(colour="blue"),
    ],
)
def test_a_checkpoint_of_something_else_is_said_to_be_one(
    runs: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = the(runs, "one") / "checkpoints" / "best.ckpt"
    resave(path, change)
    assert line_of(path, runs) == f"{path}: {SOMETHING_ELSE}"


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], {}, 5, "text"], ids=str)
def test_a_file_of_torch_that_is_no_checkpoint_is_said_to_be_none(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "some.pt")
    assert line_of(tmp_path / "some.pt", tmp_path).endswith(
        "incompatible checkpoint: not made by this version of mnist-mlp"
    )


def test_a_file_of_another_kind_is_no_checkpoint(tmp_path: Path) -> None:
    for content in ("hello there", "{}", "a: 1\n"):
        (tmp_path / "file").write_text(content, encoding="utf-8")
        assert line_of(tmp_path / "file", tmp_path) == f"{tmp_path / 'file'}: {NOT_LOADED}"


@pytest.mark.parametrize("run", ["x" * 300, "~no-such-user/run"])
def test_a_name_that_cannot_be_looked_for_is_said(tmp_path: Path, run: str) -> None:
    assert line_of(run, tmp_path).startswith(f"{run}: cannot be read: ")
