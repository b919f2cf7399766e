"""A folder of one's own images as a data set: its form, its split, its identity, and what its runs know."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHORT, Done
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import mnist_mlp as lab
from mnist_mlp import image_folder, mnist
from mnist_mlp.config.compose import compose, compose_run, composing, to_config
from mnist_mlp.config.identity import identity
from mnist_mlp.data import PROTOCOLS, MNISTDataModule
from mnist_mlp.datasets import OwnImages
from mnist_mlp.errors import Problem
from mnist_mlp.image_folder import read
from mnist_mlp.inference.draw_app import Application
from mnist_mlp.inference.preprocess import converted
from mnist_mlp.interactive.sweep import Sweep
from mnist_mlp.lab import notebook_run_of
from mnist_mlp.published import DATA_SETS
from mnist_mlp.report.study import gather, on_other_data
from mnist_mlp.tracking.hparams import columns

CLASSES = ("dark", "light", "middle")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mnist, "default_directory", lambda: tmp_path / "cache")


def save(path: Path, number: int, size: tuple[int, int] = (28, 28)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shades = np.random.default_rng(number).integers(0, 256, size[::-1]).astype(np.uint8)
    Image.fromarray(shades).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder of three classes with 70 images each."""
    for label, number in product(range(3), range(70)):
        save(tmp_path / "images" / CLASSES[label] / f"{number}.png", 100 * label + number)
    return tmp_path / "images"


@pytest.fixture
def divided(tmp_path: Path) -> Path:
    """Make a folder with its own test images."""
    for subset, label, number in product(("train", "test"), range(2), range(10)):
        save(
            tmp_path / "divided" / subset / CLASSES[label] / f"{number}.png",
            100 * label + number + 50 * (subset == "test"),
        )
    return tmp_path / "divided"


def problem_of(folder: Path) -> str:
    with pytest.raises(Problem) as problem:
        read(str(folder))
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_the_sorted_names_of_the_sub_folders_are_the_classes(images: Path) -> None:
    assert read(str(images)).classes == CLASSES


def test_images_are_divided_as_mnists_are_with_as_many_of_each_class(images: Path) -> None:
    folder = read(str(images))
    assert [sum(image.label == label for image in folder.test) for label in range(3)] == [10, 10, 10]
    assert len(folder.training) == 180
    for protocol in PROTOCOLS.values():
        split = protocol(0, len(folder.training))
        assert len(split.validation()) == 18
        assert len(split.training(0, 0)) == 162
        assert len(set(split.training(0, 1).tolist())) == 162
    assert not {image.sha256 for image in folder.test} & {image.sha256 for image in folder.training}


def test_the_split_and_the_content_do_not_depend_on_the_names_of_files(images: Path, tmp_path: Path) -> None:
    before = read(str(images))
    for number, path in enumerate(sorted(images.glob("*/*.png"), reverse=True)):
        path.rename(path.with_name(f"image {number}.png"))
    shutil.copytree(images, tmp_path / "copy")
    for folder in (images, tmp_path / "copy"):
        after = read(str(folder))
        assert after.content == before.content
        assert [image.sha256 for image in after.test] == [image.sha256 for image in before.test]


def test_a_folder_with_train_and_test_keeps_its_own_split(divided: Path) -> None:
    folder = read(str(divided))
    assert {image.path.parts[-3] for image in folder.training} == {"train"}
    assert {image.path.parts[-3] for image in folder.test} == {"test"}
    assert (len(folder.training), len(folder.test)) == (20, 20)


def test_the_records_are_the_pixels_in_an_order_that_mixes_the_classes(images: Path) -> None:
    records = OwnImages(str(images), None).load(train=True)
    for row, image in enumerate(read(str(images)).training):
        assert np.array_equal(records.images[row].reshape(28, 28), np.asarray(Image.open(image.path)))
        assert records.labels[row] == image.label
    assert 60 < torch.count_nonzero(records.labels.diff()) < 180


def test_a_folder_is_read_once_and_its_copies_outlast_it(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = OwnImages(str(images), None)
    source.prepare()
    records = source.load(train=False)
    shutil.rmtree(images)
    monkeypatch.setattr(image_folder, "read", None)
    again = OwnImages(str(images), source.content).load(train=False)
    assert again.images.equal(records.images)
    assert again.labels.equal(records.labels)


def test_files_are_hashed_again_only_if_they_have_changed(images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read(str(images))
    monkeypatch.setattr(image_folder, "_hash", lambda *_: "hashed again")
    assert read(str(images)) is before
    save(images / "dark" / "0.png", 1_000)
    assert read(str(images)) == "hashed again"


@pytest.mark.parametrize("size", [(56, 56), (28, 14), (7, 100)])
def test_images_of_another_size_are_scaled_on_black_with_their_proportions(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    for label, number in product(range(2), range(10)):
        path = tmp_path / "images" / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, 200 + 20 * label + number).save(path)
    pixels = OwnImages(str(tmp_path / "images"), None).load(train=True).images[0].reshape(28, 28)
    width, height = (max(1, round(28 * side / max(size))) for side in size)
    assert ((pixels >= 200).sum(), pixels.max() >= 200) == (width * height, True)
    assert ((pixels > 0) & (pixels < 200)).sum() == 0
    columns, rows = (torch.nonzero(pixels.amax(axis)).flatten() for axis in (0, 1))
    assert abs(columns[0] - (27 - columns[-1])) <= 1
    assert abs(rows[0] - (27 - rows[-1])) <= 1


def beside(folder: Path) -> None:
    (folder / "notes.txt").touch()


def text(folder: Path) -> None:
    (folder / "dark" / "notes.txt").touch()


def nested(folder: Path) -> None:
    (folder / "dark" / "more").mkdir()


def empty(folder: Path) -> None:
    (folder / "empty").mkdir()


def single(folder: Path) -> None:
    shutil.rmtree(folder / "dark")
    shutil.rmtree(folder / "light")


def eleven(folder: Path) -> None:
    for number in range(8):
        shutil.copytree(folder / "dark", folder / f"class {number}")


def few(folder: Path) -> None:
    for number in range(3, 70):
        (folder / "dark" / f"{number}.png").unlink()


def train_alone(folder: Path) -> None:
    (folder / "dark").rename(folder / "train")


def unprintable(folder: Path) -> None:
    (folder / "dark").rename(folder / "da\nrk")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (beside, "notes.txt is a file beside the folders of the classes"),
        (text, "notes.txt is not an image (.png, .jpg"),
        (nested, "more is a folder within a class"),
        (empty, "empty has no images"),
        (single, "has fewer than 2 folders of classes"),
        (eleven, "has 11 classes; the networks have 10 outputs"),
        (few, "dark has 3 images; a class needs at least 4"),
        (train_alone, "has a folder train; it needs train and test alone, or neither"),
        (unprintable, "'da\\nrk'"),
        (shutil.rmtree, "cannot be read: No such file"),
    ],
)
def test_a_folder_of_another_form_is_refused_in_one_line(
    images: Path,
    spoil: Callable[[Path], None],
    said: str,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(images)
    assert said in problem_of(images)
    assert command("data=folder", f"data.dir={images}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_train_and_test_have_the_same_classes(divided: Path) -> None:
    (divided / "test" / "dark").rename(divided / "test" / "other")
    assert "train/dark is a class of train alone" in problem_of(divided)


def test_too_few_images_to_train_on_are_refused(divided: Path) -> None:
    for path in divided.glob("train/*/[3-9].png"):
        path.unlink()
    assert "has 6 images to train on; at least 10" in problem_of(divided)


def test_what_systems_add_to_folders_is_ignored(images: Path) -> None:
    before = read(str(images)).content
    (images / ".DS_Store").touch()
    (images / "dark" / "Thumbs.db").touch()
    assert read(str(images)).content == before


def transparent(path: Path) -> None:
    Image.new("RGBA", (28, 28), (255, 0, 0, 100)).save(path)


def deep(path: Path) -> None:
    Image.fromarray(np.full((28, 28), 40_000, np.uint16)).save(path)


def animated(path: Path) -> None:
    frames = [Image.new("L", (28, 28), shade) for shade in (0, 100)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b"no image"), "is corrupt, or not an image in a supported format"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "is corrupt, or not an image in a supported format"),
        (transparent, "is transparent in places"),
        (deep, "has more than 8 bits a pixel"),
        (animated, "has several frames"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(
    images: Path,
    spoil: Callable[[Path], None],
    said: str,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    spoil(images / "dark" / "3.png")
    assert command("data=folder", f"data.dir={images}", *SHORT) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{images / 'dark' / '3.png'} {said}" in line
    assert not list(tmp_path.glob("runs/*/seed0"))


def test_colors_opaque_layers_and_palettes_become_gray(images: Path) -> None:
    for path, mode in ((images / "dark" / f"{number}.png", mode) for number, mode in enumerate(("RGB", "RGBA", "P"))):
        Image.open(path).convert(mode).save(path)
    records = OwnImages(str(images), None)
    all_images = torch.cat([records.load(train).images for train in (True, False)])
    for number in range(3):
        shades = np.random.default_rng(number).integers(0, 256, (28, 28)).astype(np.uint8).reshape(784)
        assert (all_images.int() - torch.from_numpy(shades).int()).abs().amax(1).min() <= 1


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_named(images: Path) -> None:
    (images / "dark" / "0.png").chmod(0)
    assert "dark/0.png cannot be read: Permission denied" in problem_of(images)


def config_of(images: Path, *overrides: str) -> str:
    with composing():
        return identity(compose_run(["data=folder", f"data.dir={images}", *overrides]))


def test_the_identity_is_of_the_images_and_not_of_their_place(images: Path, tmp_path: Path) -> None:
    before = config_of(images)
    images.rename(tmp_path / "elsewhere")
    assert config_of(tmp_path / "elsewhere") == before
    save(tmp_path / "elsewhere" / "dark" / "0.png", 1_000)
    assert config_of(tmp_path / "elsewhere") != before
    with composing():
        without_content = to_config(compose(["data=folder", f"data.dir={tmp_path / 'elsewhere'}"]))
    assert identity(without_content) == config_of(tmp_path / "elsewhere")


def test_an_image_in_another_class_is_another_content(images: Path) -> None:
    before = read(str(images)).content
    (images / "dark" / "0.png").rename(images / "light" / "new.png")
    assert read(str(images)).content != before


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data=folder"], "the folder of the images is missing; write data.dir=FOLDER"),
        (["data=folder", "lr=${nothing}"], "Interpolation key 'nothing' not found"),
        (["data=folder", "batch=163"], "batch=163: IMAGES has 162 training images"),
        (["data=folder", "data.content=abc"], "data.content=abc: the images in IMAGES have the hash"),
        (["data.content=abc"], "only data=folder has one"),
        (["data=fasion"], "did you mean fashion?"),
        (["data.dataset=fasion"], "did you mean fashion?"),
        (["dataset=fashion"], "write data=fashion"),
    ],
)
def test_wrong_values_are_told_in_one_line(
    images: Path, overrides: list[str], said: str, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    more = [f"data.dir={images}"] if len(overrides) > 1 else []
    assert command(*overrides, *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said.replace("IMAGES", str(images)) in line


def test_changed_images_are_trained_on_anew(
    images: Path, command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("data=folder", f"data.dir={images}", *SHORT)
    assert command(*line) == command(*line) == 0
    assert capsys.readouterr().out.count("already completed") == 1
    save(images / "light" / "0.png", 1_000)
    assert command(*line) == 0
    assert "already completed" not in capsys.readouterr().out
    assert len(list(tmp_path.glob("runs/folder=images,*/seed0"))) == 2


@pytest.fixture
def trained(images: Path, command: Callable[..., int], tmp_path: Path) -> Path:
    """Train on a folder, briefly; give the run's folder."""
    assert (
        command(
            "data=folder",
            f"data.dir={images}",
            *SHORT,
            "epochs=3",
            "data.steps_per_epoch=null",
            "batch=20",
            "callbacks=full",
        )
        == 0
    )
    (record,) = tmp_path.glob("runs/*/seed0/result.json")
    return record.parent


def verb(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    from mnist_mlp.cli.verbs import main

    monkeypatch.setattr(sys, "argv", ["mnist-mlp", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_trained_network_names_the_classes(
    trained: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert json.loads((trained / "result.json").read_text(encoding="utf-8"))["classes"] == list(CLASSES)
    capsys.readouterr()
    assert verb(monkeypatch, "predict", trained, images / "light" / "3.png") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1] in CLASSES
    assert verb(monkeypatch, "evaluate", trained) == 0
    evaluated = capsys.readouterr()
    assert "\n0 dark " in evaluated.out
    assert "\n9 #9 " in evaluated.out
    assert evaluated.err == ""
    events = EventAccumulator(str(trained), {"tensors": 0}).Reload()
    assert [tag for tag in events.Tags()["tensors"] if tag.startswith("test/")] == [
        "test/dark",
        "test/light",
        "test/middle",
    ]
    out = tmp_path / "network.safetensors"
    assert verb(monkeypatch, "export", trained, "--format", "safetensors", "--out", out) == 0
    assert b"the classes dark, light, middle" in out.read_bytes()


def test_a_network_is_evaluated_on_its_own_images_whatever_becomes_of_the_folder(
    trained: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capsys.readouterr()
    save(images / "dark" / "0.png", 1_000)
    assert verb(monkeypatch, "evaluate", trained) == 0
    assert capsys.readouterr().err == ""
    shutil.rmtree(tmp_path / "cache")
    assert verb(monkeypatch, "evaluate", trained) == 2
    assert "are not those of the run any more" in capsys.readouterr().err


def test_a_checkpoint_that_was_copied_away_knows_its_data(
    trained: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.ckpt"
    shutil.copy(trained / "checkpoints" / "last.ckpt", copy)
    monkeypatch.chdir(tmp_path)  # where the picture of mistakes is written
    capsys.readouterr()
    assert verb(monkeypatch, "evaluate", trained, "--json") == verb(monkeypatch, "evaluate", copy, "--json") == 0
    own, other = capsys.readouterr().out.split("}\n{")
    own, other = json.loads(own + "}"), json.loads("{" + other)
    assert own["classes"] == other["classes"]
    assert own["confusion_matrix"] == other["confusion_matrix"]
    assert verb(monkeypatch, "predict", copy, images / "light" / "3.png") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[1].split()[1] in CLASSES
    assert said.err == ""


def test_a_checkpoint_that_does_not_know_its_data_is_said_to_be_taken_for_mnists(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)
    one = np.pad(np.full((20, 4), 255, np.uint8), ((4, 4), (12, 12)))
    Image.fromarray(one).save(tmp_path / "one.png")
    for data_set, status, said in (
        (None, 0, "does not say what it was trained on; taken to be MNIST"),
        ({"dataset": "pears", "classes": []}, 2, "incompatible checkpoint: not made by this version of mnist-mlp"),
    ):
        torch.save(content | {"data_set": data_set}, tmp_path / "old.ckpt")
        capsys.readouterr()
        assert verb(monkeypatch, "predict", tmp_path / "old.ckpt", tmp_path / "one.png") == status
        assert capsys.readouterr().err == f"{tmp_path / 'old.ckpt'}: {said}\n"


def test_an_image_is_predicted_as_it_was_trained_on(trained: Path, images: Path) -> None:
    from mnist_mlp.inference.predict import digits_of

    ((_, image),), problems = digits_of(images / "dark" / "1.png", "folder")
    assert (image.ink, len(image.views), problems) == (None, 1, [])
    assert np.array_equal((image.digit * 255).round(), np.asarray(Image.open(images / "dark" / "1.png")))


def test_a_module_of_ones_own_takes_the_folder(images: Path) -> None:
    data = MNISTDataModule(dataset="folder", dir=str(images), batch=50)
    data.prepare_data()
    data.setup()
    assert [len(batch[1]) for batch in data.train_dataloader()] == [50, 50, 50, 12]
    assert [len(batch[1]) for batch in data.val_dataloader()] == [18]
    assert [len(batch[1]) for batch in data.test_dataloader()] == [30]


@pytest.mark.slow
def test_a_question_on_other_data_is_left_out_of_the_report(
    images: Path,
    command: Callable[..., int],
    script: Callable[..., Done],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = tmp_path / "runs"
    assert command("question=q05", "seed=0", "data=folder", f"data.dir={images}", *SHORT) == 0
    assert "notebook" not in capsys.readouterr().out
    records = [json.loads(path.read_text(encoding="utf-8")) for path in runs.glob("*/seed0/result.json")]
    assert len(records) == 2
    assert {record["question"] for record in records} == {"none"}
    with composing():
        config = compose_run(["data=fashion"])
    assert notebook_run_of(config) is None
    assert config.chosen["question"] == "none"
    assert not any(gather(None, None, None, str(runs), SHORT).results())
    assert on_other_data(str(runs)) == {"folder": 2}
    done = script("report.py", "--runs-dir", runs)
    assert done.returncode == 2
    assert done.stderr.splitlines()[0].startswith("left out, as the questions are about MNIST: runs on folder (2)")
    with pytest.raises(Problem, match="the questions are about MNIST; mnist-mlp table"):
        gather(None, None, None, str(runs), ["data.dataset=fashion"])
    table = script("table.py", f"experiment=q05 data=folder data.dir={images} {' '.join(SHORT)}", "--runs-dir", runs)
    assert table.returncode == 0, table.stderr
    assert command(*SHORT, "experiment=q05") == 0
    done = script("report.py", "--runs-dir", runs, "--", *SHORT)
    assert done.returncode == 0, done.stderr
    report = (runs / "report" / "report.md").read_text(encoding="utf-8")
    assert "left out: runs on other data than MNIST" in report
    assert "folder (2)" in report
    assert len((runs / "report" / "results.csv").read_text(encoding="utf-8").splitlines()) == 2


def test_the_best_run_is_of_mnist_if_any_is(trained: Path, command: Callable[..., int], tmp_path: Path) -> None:
    from mnist_mlp.inference.load import load

    assert load("best", str(tmp_path / "runs")).dataset == "folder"
    record = trained / "result.json"
    best = json.loads(record.read_text(encoding="utf-8"))
    best["epochs"][-1]["val_accuracy"] = 1.0
    record.write_text(json.dumps(best), encoding="utf-8")
    assert command(*SHORT) == 0
    assert load("best", str(tmp_path / "runs")).dataset == "mnist"


def test_hparams_tell_other_data_apart_without_another_column(images: Path) -> None:
    with composing():
        ours, usual = (columns(compose_run(overrides)) for overrides in (["data=fashion"], []))
    assert ours.keys() == usual.keys()
    assert (ours["protocol"], usual["protocol"]) == ("disjoint, fashion", "disjoint")
    assert (ours["question"], usual["question"]) == ("none", "baseline")


def test_the_page_for_drawing_names_the_classes_and_inverts_the_drawing() -> None:
    page = Application(["a run"], lambda _: [], "fashion", DATA_SETS["fashion"].classes).page
    assert "T-shirt/top" in page
    drawing = np.zeros((280, 280), np.float32)  # black ink on the left half of white paper
    drawing[:, 140:] = 1
    seen = converted(1 - drawing, "fashion").digit
    assert seen[:, :13].min() == 1
    assert seen[:, 15:].max() == 0


def test_python_trains_on_a_folder_and_tells_its_runs_apart(images: Path, tmp_path: Path) -> None:
    runs = str(tmp_path / "runs")
    run = lab.train("data=folder", f"data.dir={images}", *SHORT, runs_dir=runs, show=False)
    lab.train(*SHORT, runs_dir=runs, show=False)
    assert sorted(lab.results(runs)["dataset"]) == ["folder", "mnist"]
    path = images / "light" / "3.png"
    pixels = np.asarray(Image.open(path))
    assert np.allclose(run.predict(path).probabilities, run.predict(pixels).probabilities, rtol=1e-9, atol=0)


def test_a_sweep_does_not_compare_figures_of_two_data_sets(images: Path, tmp_path: Path) -> None:
    keys = {"data.dir": str(images), "runs_dir": str(tmp_path / "runs"), "show": False}
    sweep = lab.sweep(*SHORT, data=["folder"], batch=[10, 20], **keys)
    assert len(sweep.compare("batch=10")) == 2
    both = Sweep(
        [*(run.config for run in sweep.runs), lab.train(*SHORT, runs_dir=str(tmp_path / "runs"), show=False).config]
    )
    said = (
        r"test_loss: on different data sets, data=folder data.content=\w{16} \(.*batch=10,.*batch=20\), data=mnist \("
    )
    with pytest.raises(Problem, match=said + r".*\); compare sweeps of one data set$"):
        both.compare(both.names[sweep.runs[0].id], of="test_loss")
    assert len(both.compare(both.names[sweep.runs[0].id], of="seconds")) == 3
