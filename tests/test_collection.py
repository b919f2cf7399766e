"""A class is collected: who has what, and what is to be looked at. Its students are made from a few real runs."""

import csv
import json
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import status_of
from omegaconf import OmegaConf

from mnist_mlp.cli.train import main as train
from mnist_mlp.cli.verbs import main
from mnist_mlp.collection.classroom import Collection, collect
from mnist_mlp.collection.students import Unreadable, unpack
from mnist_mlp.runs.record import RECORD

SHORT = ["data.steps_per_epoch=2", "epochs=2", "width=8"]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BASELINE, VARIANT = "baseline", "q02"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train question 2 with two seeds."""
    runs = tmp_path_factory.mktemp("made") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        line = ["train.py", *SHORT, "question=q02", "seed=0,1", "trainer=cpu", "logger=none", "callbacks=none"]
        patch.setattr(sys, "argv", [*line, "author=Ana", f"runs_dir={runs}"])
        train()
    for record in runs.rglob(RECORD):  # the tests may run from a changed checkout, or from none
        edit(record, lambda content: content.update(git="0123456789ab"))
    return runs


def folder(student: Path, variant: str = BASELINE, seed: int = 0) -> Path:
    (found,) = student.rglob(f"{variant},*/seed{seed}")
    return found


def edit(path: Path, change: Callable[[Any], None]) -> None:
    """Change a record, or a checkpoint."""
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content), encoding="utf-8")
    else:
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)


def timed(epochs: list[dict[str, Any]], seconds: float) -> None:
    for epoch in epochs:
        epoch["seconds"] += seconds


def honest(made: Path, student: Path, number: int, author: str | None = None) -> Path:
    """Make runs as somebody else would train them: with the same weights, as the seeds are, in times of their own."""
    shutil.copytree(made, student)
    for run in student.glob("*-*/seed*"):
        edit(run / RECORD, lambda record: timed(record["epochs"], number))
        edit(run / RECORD, lambda record: record["config"].update(author=author or student.name))
        for path in run.glob("checkpoints/*.ckpt"):
            edit(path, lambda content: timed(content["callbacks"]["History"]["epochs"], number))
        (run / f"events.out.tfevents.{number}").write_bytes(b"%d" % number)
    return student


def archived(student: Path, to: Path, top: str = "") -> None:
    """Replace a folder by an archive of it."""
    with zipfile.ZipFile(to, "w") as archive:
        for path in sorted(student.rglob("*")):
            if path.is_file():
                archive.write(path, f"{top}{path.relative_to(student).as_posix()}")
    shutil.rmtree(student)


def set_test(run: Path, accuracy: float) -> None:
    edit(run / RECORD, lambda record: record["test"].update(accuracy=accuracy))


class Malicious:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("executed"),)


def make_class(made: Path, place: Path) -> None:
    def of(name: str, number: int) -> Path:
        return honest(made, place / name, number)

    for number, name in enumerate(["adela", "berta", "carlos", "diana"], start=1):
        of(name, number)
    archived(of("elena", 5), place / "elena.zip", "runs/")
    archived(of("fátima", 6), place / "fátima.zip", "lab\\runs\\")  # of an archive that Windows made
    (place / "gema").mkdir()
    archived(honest(made, place / "gema" / "gema", 7), place / "gema" / "entrega.zip")
    honest(made, place / "hugo" / "project" / "runs", 8)
    shutil.rmtree(folder(of("ines", 9), VARIANT, 1))
    (folder(of("jaime", 10), VARIANT, 1) / RECORD).unlink()
    edit(folder(of("karla", 11)) / RECORD, lambda record: record.update(status="interrupted", reason="by the user"))

    shutil.copytree(place / "adela", place / "lucas")
    shutil.rmtree(folder(place / "lucas", VARIANT).parent)
    lola = of("lola", 12)
    shutil.copytree(lola, place / "mario")  # changes the author, and the times in the records
    for record in (place / "mario").rglob(RECORD):
        edit(record, lambda content: content["config"].update(author="mario"))
        edit(record, lambda content: timed(content["epochs"], 0.5))
    noa = of("noa", 13)
    honest(noa, place / "olga", 14)  # changes all times, and forgets the TensorBoard events

    set_test(folder(of("pablo", 15)), 0.99)
    rosa = of("rosa", 16)
    for name in ("last", "best"):
        shutil.copy(folder(rosa, seed=1) / f"checkpoints/{name}.ckpt", folder(rosa) / f"checkpoints/{name}.ckpt")
    sara = of("sara", 17)
    config = OmegaConf.load(folder(sara) / "config.yaml")
    config.batch = config.data.batch = 25
    OmegaConf.save(config, folder(sara) / "config.yaml")
    tomas = of("tomas", 18)
    edit(folder(tomas) / RECORD, lambda record: record["config"]["optimizer"].update(lr=0.5))

    edit(folder(of("ursula", 19)) / RECORD, lambda record: record.update(git="ba9876543210+"))
    edit(folder(of("victor", 20)) / RECORD, lambda record: record["versions"].update(torch="2.9.0"))
    (folder(of("wanda", 21)) / RECORD).write_text("{", encoding="utf-8")
    (folder(of("ximena", 22)) / "checkpoints/last.ckpt").unlink()
    with (folder(of("yago", 23)) / "checkpoints/last.ckpt").open("wb") as file:
        pickle.dump(Malicious(), file)
    edit(folder(of("zoe", 24)) / RECORD, lambda record: record["config"].update(name="${oc.env:HOME}"))
    (place / "empty").mkdir()
    (place / "broken.zip").write_bytes(b"PK\x03\x04 and nothing more")
    (place / "notes.txt").write_text("none", encoding="utf-8")


@pytest.fixture(scope="module")
def collected(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    place = tmp_path_factory.mktemp("class")
    make_class(made, place)
    return collect([place], ["q02"], ["disjoint"], 2, SHORT)


COMPLETE = {"adela", "berta", "carlos", "diana", "elena", "fátima", "gema", "hugo", "lola", "mario", "noa", "olga"}
VERDICTS = {
    "adela": {"copied"},
    "ines": set(),
    "jaime": {"incomplete"},
    "karla": {"incomplete"},
    "lucas": {"copied"},
    "lola": {"copied"},
    "mario": {"copied", "altered"},
    "noa": {"copied"},
    "olga": {"copied"},
    "pablo": {"altered"},
    "rosa": {"altered"},
    "sara": {"altered"},
    "tomas": {"altered"},
    "ursula": {"other code"},
    "victor": {"other code"},
    "wanda": {"incomplete"},
    "ximena": {"unverified"},
    "yago": {"unverified"},
    "zoe": {"incomplete"},
}
DONE = {
    **dict.fromkeys(COMPLETE | {"ursula", "victor", "ximena", "yago"}, 2),
    **dict.fromkeys(("ines", "jaime", "karla", "lucas", "pablo", "rosa", "sara", "tomas", "wanda", "zoe"), 1),
    "mario": 0,
}


@pytest.mark.slow
def test_every_student_is_collected_with_what_is_to_be_looked_at(collected: Collection) -> None:
    assert {
        name: {each.verdict for each in collected.findings if each.run.student == name} for name in collected.students
    } == {name: VERDICTS.get(name, set()) for name in DONE}


@pytest.mark.slow
def test_every_student_has_as_many_complete_variants_as_were_handed_in(collected: Collection) -> None:
    assert {name: collected.done(name, "q02") for name in collected.students} == {
        name: (done, 2) for name, done in DONE.items()
    }


@pytest.mark.slow
def test_what_is_missing_is_named_with_its_seeds(collected: Collection) -> None:
    name = "q02,hidden_sizes=8-8-8,steps_per_epoch=2,epochs=2"
    assert collected.missing("ines") == [f"q02 {name}: 1 of 2 seeds"]
    assert collected.missing("lucas") == [f"q02 {name}: 0 of 2 seeds"]
    assert collected.missing("adela") == []


@pytest.mark.slow
def test_what_has_no_runs_or_cannot_be_read_is_left_out_in_a_line_each(collected: Collection) -> None:
    assert [line.rpartition("/")[2] for line in sorted(collected.left_out, key=len)] == [
        "empty: there are no runs",
        "notes.txt: neither a folder nor a .zip archive",
        "broken.zip: neither a folder nor a .zip archive",
    ]


@pytest.mark.slow
def test_a_stranger_s_checkpoint_runs_no_code(collected: Collection) -> None:
    assert "yago" in collected.students
    assert not Path("executed").exists()


@pytest.mark.slow
def test_equal_weights_of_honest_students_are_no_sign(collected: Collection) -> None:
    weights = {
        run.weights for run in collected.runs if run.student in ("berta", "carlos", "diana") and "seed0" in run.place
    }
    assert len(weights) == 2  # of the baseline and the variant
    assert not any(each.run.student in ("berta", "carlos", "diana") for each in collected.findings)


@pytest.mark.parametrize(
    ("student", "reason"),
    [
        ("lucas", r"copied: lucas: .*: author adela, the same training as adela \(author adela\)"),
        ("mario", r"copied: mario: .*: author mario, the same training as lola \(author lola\)"),
        ("pablo", "the checkpoint has .*% and a loss of .* on the test images, the record 99.00%"),
        ("rosa", "the figures of the epochs are not those of the checkpoint"),
        ("sara", "config.yaml has another configuration than the record"),
        ("tomas", "the configuration in the record is not that of its ID and seed"),
        ("ursula", "commit ba9876543210.*the code was changed after that commit"),
        ("victor", r"torch 2\.9\.0 \(most of the class: .*\)"),
        ("karla", "interrupted: by the user"),
        ("zoe", "it refers to other values"),
    ],
)
@pytest.mark.slow
def test_a_finding_says_what_is_wrong(student: str, reason: str, collected: Collection) -> None:
    lines = [line for line in collected.lines() if f": {student}: " in line]
    assert any(re.search(reason, line) for line in lines), lines


def test_a_run_is_trained_again_and_is_the_same_or_differs(made: Path, tmp_path: Path) -> None:
    honest(made, tmp_path / "ana", 1)
    bruno = honest(made, tmp_path / "bruno", 2)  # the runs of seeds 0 and 1, passed off as those of 5 and 6
    for run in sorted(bruno.glob("*-*/seed*")):
        seed = int(run.name.removeprefix("seed")) + 5
        config = OmegaConf.load(run / "config.yaml")
        config.seed = config.data.seed = seed
        OmegaConf.save(config, run / "config.yaml")
        edit(run / RECORD, lambda record, seed=seed: record.update(seed=seed))
        edit(run / RECORD, lambda record, seed=seed: record["config"].update(seed=seed))
        edit(run / RECORD, lambda record, seed=seed: record["config"]["data"].update(seed=seed))
        run.rename(run.with_name(f"seed{seed}"))
    collected = collect([tmp_path], ["q02"], ["disjoint"], 2, SHORT, rerun_seed=0)
    assert {rerun.run.student: rerun.verdict for rerun in collected.reruns} == {"ana": "identical", "bruno": "differs"}
    assert {each.verdict for each in collected.findings} <= {"other code"}
    again = collect([tmp_path], ["q02"], ["disjoint"], 2, SHORT, rerun_seed=0)
    assert [rerun.run.place for rerun in again.reruns] == [rerun.run.place for rerun in collected.reruns]


def test_on_another_kind_of_machine_the_last_digits_may_differ(made: Path, tmp_path: Path) -> None:
    ana = honest(made, tmp_path / "ana", 1)
    for run in ana.glob("*-*/seed*"):
        edit(run / RECORD, lambda record: record["hardware"].update(instructions="another"))
        for path in run.glob("checkpoints/*.ckpt"):
            edit(path, lambda content: content["state_dict"]["network.layers.0.bias"].add_(1e-7))
    (rerun,) = collect([ana], ["q02"], ["disjoint"], 2, SHORT, rerun_seed=0).reruns
    assert rerun.verdict == "agrees"
    assert "another kind of machine" in rerun.reason


def test_nothing_in_an_archive_leaves_its_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for name in ("../../result.json", "/result.json", "..\\result.json", "a/../../config.yaml", "C:\\last.ckpt"):
            archive.writestr(name, "{}")
        archive.writestr("other.txt", "is not unpacked")
    unpack(tmp_path / "evil.zip", tmp_path / "inner" / "folder")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "folder" not in path.parts] == [
        tmp_path / "evil.zip"
    ]
    assert not list(tmp_path.rglob("other.txt"))


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnist_mlp.collection.students.LARGEST", 100)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("runs/a-0/seed0/result.json", " " * 1000)
    with pytest.raises(Unreadable, match="unpacks to more than"):
        unpack(tmp_path / "bomb.zip", tmp_path / "folder")


Collect = Callable[..., int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Collect:
    """Run a command line of mnist-mlp collect in this process and a folder of the test's; give its exit status."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> int:
        settings = ["--questions=q02", *(f"--set={each}" for each in SHORT)]
        monkeypatch.setattr(sys, "argv", ["mnist-mlp", "collect", *settings, *map(str, arguments)])
        return status_of(main)

    return run


def test_the_tables_are_printed_and_written(
    made: Path, command: Collect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    honest(made, tmp_path / "class" / "<b>=1+1", 1, author="=1+1")
    honest(made, tmp_path / "class" / "bel\a", 2)
    set_test(folder(tmp_path / "class" / "bel\a"), 0.5)
    assert command("class", "--seeds", 2) == 0
    shown = capsys.readouterr()
    rows = [line.split() for line in shown.out.splitlines()[1:3]]
    assert rows == [["<b>=1+1", "2/2"], ["bel\N{REPLACEMENT CHARACTER}", "1/2"]]
    with (tmp_path / "collection" / "collection.csv").open(encoding="utf-8", newline="") as file:
        variants = list(csv.DictReader(file))
    assert [row["seeds"] for row in variants] == ["2", "2", "1", "2"]
    with (tmp_path / "collection" / "runs.csv").open(encoding="utf-8", newline="") as file:
        runs = list(csv.DictReader(file))
    assert len(runs) == 8
    assert sum("altered" in row["verdicts"] for row in runs) == 1
    assert "'=1+1" in {row["author"] for row in runs}
    page = (tmp_path / "collection" / "collection.html").read_text(encoding="utf-8")
    assert "<b>=1+1" not in page
    assert not [word for word in ("http://", "https://", "src=") if word in page]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_long_name_leaves_room_for_the_table_on_a_phone(made: Path, command: Collect, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    honest(made, tmp_path / "class" / ("a_name_without_spaces_" * 4), 1)
    assert command("class") == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.goto((tmp_path / "collection" / "collection.html").as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        right = page.evaluate("document.querySelector('td:nth-child(3)').getBoundingClientRect().right")
        browser.close()
    assert wide <= 390
    assert right <= 390


def test_one_student_s_folder_and_an_archive_are_collected_by_themselves(
    made: Path, command: Collect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    honest(made, tmp_path / "ana" / "runs", 1)
    archived(honest(made, tmp_path / "luis", 2), tmp_path / "luis.zip")
    assert command("ana/runs", "luis.zip", "--seeds", 2, "--out", "out") == 0
    names = [line.split() for line in capsys.readouterr().out.splitlines()[1:3]]
    assert names == [["ana", "2/2"], ["luis", "2/2"]]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["empty"], "empty: there are no runs"),
        (["empty", "--questions", "q02,q11"], "--questions: q11 is none of"),
        (["empty", "--set", "lr=x"], "lr=x: lr is a number above 0"),
        (["empty", "--set", "seed=1"], "seed=1: set by the questions"),
        (["empty", "--out", "file"], "--out file: "),
    ],
)
def test_bad_input_is_a_line_and_status_2(
    arguments: list[str], line: str, command: Collect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert command(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(line)
    assert shown.out == ""
    assert not (tmp_path / "collection").exists()


def test_the_help_needs_no_torch() -> None:
    code = "import sys; sys.argv = ['mnist-mlp', 'collect', '--help']\nfrom mnist_mlp.cli.verbs import main\n"
    code += "try: main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
