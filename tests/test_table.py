"""The table of configurations, from the runs there are."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, Done

Command = Callable[..., int]
Script = Callable[..., Done]

SMALL = ["width=8", "data.steps_per_epoch=2", "epochs=1", "callbacks=none", "logger=none", "trainer=cpu"]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_the_mean_over_the_seeds_there_are(command: Command, script: Script, tmp_path: Path) -> None:
    for seed in (0, 1):
        assert command(*SMALL, f"seed={seed}") == 0
    assert command(*SMALL, "test=none") == 0
    rows, csv = [" ".join(SMALL), f"{' '.join(SMALL)} test=none"], tmp_path / "runs.csv"
    done = script("table.py", *rows, "--runs-dir", tmp_path / "runs", "--csv", csv)
    assert done.returncode == 0, done.stderr
    _, _, tested, untested = map(cells, done.stdout.splitlines())
    assert tested[0] == f"`python train.py {' '.join(SMALL)}`"
    assert tested[1:3] == ["2", "6,442"]
    assert all("±" in tested[place] for place in (3, 5))
    assert float(tested[4]) <= float(tested[3].split()[0])
    assert untested[1] == "1"
    assert untested[5:7] == ["", ""]
    every = pd.read_csv(csv)
    assert list(every.seed) == [0, 1, 0]
    assert f"{100 * every.test_accuracy[:2].mean():.2f}" == tested[5].split()[0]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("experiment=beyondd", "did you mean beyond?"),
        ("width=8", "no completed runs in"),
        ("question=q01", "an argument is one configuration"),
        ("seed=1", "an argument is one configuration"),
        ("batch='", "No closing quotation"),
    ],
)
def test_a_row_that_cannot_be_made_is_said_in_one_line(line: str, answer: str, script: Script, tmp_path: Path) -> None:
    done = script("table.py", line, "--runs-dir", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert answer in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_record_of_another_version_is_left_out(command: Command, script: Script, tmp_path: Path) -> None:
    for seed in (0, 1):
        assert command(*SMALL, f"seed={seed}") == 0
    (record, _) = sorted(tmp_path.glob("runs/*/seed*/result.json"))
    shutil.copy(ROOT / "pyproject.toml", record)
    assert cells(script("table.py", " ".join(SMALL), "--runs-dir", tmp_path / "runs").stdout.splitlines()[2])[1] == "1"


def test_a_file_that_cannot_be_written_is_said_in_one_line(command: Command, script: Script, tmp_path: Path) -> None:
    assert command(*SMALL) == 0
    done = script(
        "table.py", " ".join(SMALL), "--runs-dir", tmp_path / "runs", "--csv", tmp_path / "nowhere" / "runs.csv"
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
