"""A finished run is tested again: the figures are its record's, and what they are made of is shown."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SHORT
from PIL import Image

from mnist_mlp import mnist
from mnist_mlp.cli.train import main
from mnist_mlp.inference import evaluation
from mnist_mlp.inference import load as trained

SCRIPT = ROOT / "scripts" / "evaluate.py"
VARIANTS = {
    "last": ["activation=relu_tanh"],
    "best": ["test=best", "lr=0.02", "epochs=3"],
    "leak": ["data=notebook"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, one of each variant."""
    folder = tmp_path_factory.mktemp("evaluated") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        for name, overrides in VARIANTS.items():
            line = ["train.py", *SHORT, "logger=none", "width=20", f"name={name}", f"runs_dir={folder}", *overrides]
            patch.setattr(sys, "argv", line)
            main()
    return folder


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run a command line of evaluate.py in this process and in a folder of the test's; give its exit status."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run


def the(runs: Path, name: str) -> Path:
    (run,) = runs.glob(f"{name},*/seed0")
    return run


@pytest.mark.parametrize("name", VARIANTS)
def test_the_figures_are_those_of_the_record(
    runs: Path, evaluate: Callable[..., int], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert evaluate(the(runs, name), "--json") == 0
    said = capsys.readouterr()
    found, record = json.loads(said.out), json.loads((the(runs, name) / "result.json").read_text(encoding="utf-8"))
    assert said.err == ""
    assert found["test"]["accuracy"] == record["test"]["accuracy"]
    assert found["test"]["loss"] == pytest.approx(record["test"]["loss"], rel=1e-6)
    assert found["recorded"] == record["test"]
    assert found["agrees"] is True
    assert (found["label"], found["id"], found["seed"]) == (record["label"], record["id"], 0)
    counts = np.array(found["confusion_matrix"])
    assert counts.shape == (10, 10)
    assert counts.trace() / 10_000 == found["test"]["accuracy"]
    assert counts.sum(axis=1).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_table_has_the_same_figures(
    runs: Path, evaluate: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    run = the(runs, "last")
    found = evaluation.evaluate(trained.load(str(run)))
    assert evaluate(the(runs, "last")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{run.parent.name.rpartition('-')[0]}/seed0: {run / 'checkpoints' / 'last.ckpt'}"
    assert re.fullmatch(r"test +now +result.json", lines[2])
    assert lines[3].split() == ["loss", f"{found.loss:.4f}", f"{found.loss:.4f}"]
    assert lines[4].split() == ["accuracy", f"{found.accuracy:.2%}", f"{found.accuracy:.2%}"]
    assert lines[5].split() == ["calibration", "error", f"{found.calibration_error:.2%}"]
    for digit in range(10):
        *counts, recall, precision = lines[8 + digit].replace(".  ", "0  ").split()[2:]
        assert [0 if count == "." else int(count) for count in counts] == found.confusion.counts[digit].tolist()
        assert recall == f"{found.confusion.recall[digit]:.2%}"
        said = found.confusion.precision[digit]
        assert precision == ("-" if said is None else f"{said:.2%}")
    assert lines[-1] == str(run / "mistakes.png")
    assert max(map(len, lines[2:-1])) <= 100


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """Nine images of MNIST, black on white, in sub-folders of their labels; one has it in its name."""
    records = mnist.load(mnist.default_directory(), train=False)
    for place in range(10):
        image = Image.fromarray(255 - records.images[place].reshape(28, 28).numpy()).resize((140, 140))
        label = int(records.labels[place])
        path = tmp_path / "drawings" / (f"{label}/{place}.png" if place else f"first_{label}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    return tmp_path / "drawings"


def test_a_folder_of_labelled_images_takes_the_place_of_the_test_images(
    runs: Path, evaluate: Callable[..., int], drawings: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert evaluate(the(runs, "last"), drawings, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["test"]["images"] == 10
    assert np.array(found["confusion_matrix"]).sum(axis=1).tolist() == [1, 2, 1, 0, 2, 1, 0, 1, 0, 2]
    assert (found["recorded"], found["agrees"]) == (None, None)
    assert found["picture"] == "drawings-mistakes.png"
    assert (tmp_path / "drawings-mistakes.png").exists()
    assert evaluate(the(runs, "last"), drawings) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["test", "now"]
    assert f"{found['test']['accuracy']:.2%}" in lines[4]


def test_what_a_folder_has_without_a_label_is_named(
    runs: Path, evaluate: Callable[..., int], drawings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (drawings / "2" / "torn.png").write_bytes(b"seven")
    (drawings / "elsewhere").mkdir()
    (drawings / "9.png").write_bytes(b"seven")
    (drawings / "a_12.png").write_bytes(b"seven")
    assert evaluate(the(runs, "last"), drawings) == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in said] == [
        str(drawings / name) for name in ("2/torn.png", "9.png", "a_12.png", "elsewhere")
    ]
    assert "without a label" in said[-1]
    assert evaluate(the(runs, "last"), drawings / "elsewhere") == 2
    assert capsys.readouterr().err == f"{drawings / 'elsewhere'}: there are no images in this folder\n"
    assert evaluate(the(runs, "last"), drawings / "gone") == 2
    assert capsys.readouterr().err == f"{drawings / 'gone'}: there is no such folder\n"


def test_precision_is_by_guess_and_recall_by_digit() -> None:
    confusion = evaluation.Confusion(np.array([0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 0, 1]))
    assert confusion.counts[0].tolist() == [3, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert confusion.recall[:4] == [3 / 4, 1 / 2, 0, None]
    assert confusion.precision[:4] == [3 / 4, 1 / 3, None, None]


def test_the_picture_lies_in_the_runs_folder_or_where_it_is_asked_for(
    runs: Path, evaluate: Callable[..., int], tmp_path: Path
) -> None:
    picture = the(runs, "leak") / "mistakes.png"
    picture.unlink(missing_ok=True)
    assert evaluate(picture.parent.parent.name.rpartition("-")[0], "--runs-dir", runs) == 0
    assert evaluate("best", "--runs-dir", runs, "--picture", "asked.png") == 0
    for path in (picture, tmp_path / "asked.png"):
        with Image.open(path) as image:
            assert (image.format, image.size) == ("PNG", (350, 4 * 92 + 24))
    assert [path.name for path in tmp_path.iterdir()] == ["asked.png"]


def test_a_checkpoint_outside_a_run_is_evaluated_without_a_record(
    runs: Path, evaluate: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copy(the(runs, "last") / "checkpoints" / "last.ckpt", tmp_path / "mine.ckpt")
    assert evaluate("mine.ckpt", "--json") == 0
    found, record = (
        json.loads(capsys.readouterr().out),
        json.loads((the(runs, "last") / "result.json").read_text(encoding="utf-8")),
    )
    assert found["test"]["accuracy"] == record["test"]["accuracy"]
    assert (found["recorded"], found["agrees"], found["label"]) == (None, None, None)
    assert (tmp_path / "mistakes.png").exists()
    assert evaluate("mine.ckpt") == 0
    assert "result.json" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({}, False),
        ({"loss": 1 + 1e-6}, False),
        ({"loss": 1 + 1e-4}, True),
        ({"accuracy": 0.0001}, False),
        ({"accuracy": 0.0002}, True),
    ],
    ids=str,
)
def test_figures_that_differ_from_the_record_are_said_to(
    runs: Path,
    evaluate: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    change: dict[str, float],
    differs: bool,
) -> None:
    run = shutil.copytree(the(runs, "last"), tmp_path / "other" / "seed0")
    record = json.loads((run / "result.json").read_text(encoding="utf-8"))
    record["test"]["loss"] *= change.get("loss", 1)
    record["test"]["accuracy"] += change.get("accuracy", 0)
    (run / "result.json").write_text(json.dumps(record), encoding="utf-8")
    assert evaluate("other", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["agrees"] is not differs
    line = "the figures differ from the recorded ones by more than float32 rounding\n"
    assert said.err == (line if differs else "")


def test_a_run_whose_data_directory_is_not_here_is_evaluated_on_the_same_files(
    runs: Path, evaluate: Callable[..., int], tmp_path: Path
) -> None:
    run = shutil.copytree(the(runs, "last"), tmp_path / "other" / "seed0")
    record = json.loads((run / "result.json").read_text(encoding="utf-8"))
    record["config"]["data"]["dir"] = str(tmp_path / "elsewhere")
    (run / "result.json").write_text(json.dumps(record), encoding="utf-8")
    assert evaluate("other") == 0
    assert not (tmp_path / "elsewhere").exists()


def test_damaged_data_is_said_to_be_damaged(
    runs: Path, evaluate: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = shutil.copytree(the(runs, "last"), tmp_path / "other" / "seed0", ignore=shutil.ignore_patterns("*.png"))
    (tmp_path / "data" / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"none")
    record = json.loads((run / "result.json").read_text(encoding="utf-8"))
    record["config"]["data"]["dir"] = str(tmp_path / "data")
    (run / "result.json").write_text(json.dumps(record), encoding="utf-8")
    assert evaluate("other") == 2
    said = capsys.readouterr()
    assert re.fullmatch(r"data\.dir: .*\n", said.err)
    assert not (run / "mistakes.png").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none"], "none: there is no such folder or file, and there is no folder runs of runs"),
        ([], "the following arguments are required: RUN"),
        (["none", "--jsn"], "--jsn: there is no such option; did you mean --json?"),
        (["none", "-json"], "-json: an option has two dashes; write --json"),
        (["none", "digits", "best"], "best: one argument too many; write evaluate.py RUN [FOLDER]"),
        (["RUN", "--picture", "a.jpg"], "--picture a.jpg: the name of the picture has to end with .png"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line(
    runs: Path,
    evaluate: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: list[str],
    line: str,
) -> None:
    assert evaluate(*(the(runs, "last") if argument == "RUN" else argument for argument in arguments)) == 2
    assert capsys.readouterr() == ("", f"{line}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("picture", "line"),
    [
        (None, "RUN/mistakes.png: cannot be written: Is a directory"),
        ("no/a.png", "no/a.png: cannot be written: No such file or directory"),
        ("file/a.png", "file/a.png: cannot be written: Not a directory"),
        ("folder.png", "folder.png: cannot be written: Is a directory"),
    ],
)
@pytest.mark.parametrize("json_asked_for", [False, True])
def test_a_picture_that_cannot_be_written_takes_no_figures_and_is_an_error_if_it_was_asked_for(
    runs: Path,
    evaluate: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    picture: str | None,
    line: str,
    json_asked_for: bool,
) -> None:
    run = shutil.copytree(the(runs, "last"), tmp_path / "other" / "seed0", ignore=shutil.ignore_patterns("*.png"))
    (run / "mistakes.png").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "folder.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    options = [*(["--picture", picture] if picture else []), *(["--json"] if json_asked_for else [])]
    assert evaluate(run, *options) == (1 if picture else 0)
    said = capsys.readouterr()
    assert said.err == f"{line}\n".replace("RUN", str(run))
    if json_asked_for:
        assert json.loads(said.out)["agrees"] is True
        assert json.loads(said.out)["picture"] is None
    else:
        assert re.search(r"^accuracy +\d", said.out, re.MULTILINE)
        assert "png" not in said.out
    assert sorted(tmp_path.rglob("*")) == before


def test_the_script_says_nothing_else(runs: Path, tmp_path: Path) -> None:
    line = [sys.executable, str(SCRIPT), str(the(runs, "leak")), "--picture", "mistakes.png", "--json"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, encoding="utf-8", env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["picture"] == "mistakes.png"
