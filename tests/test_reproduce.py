"""One command trains what is missing and makes the report; another makes the report alone."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Done

Script = Callable[..., Done]

SHORT = ["--", "data.steps_per_epoch=2", "epochs=1"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_lab_is_reproduced_once_and_reported_at_any_time(script: Script, tmp_path: Path) -> None:
    asked = ["--questions", "q02", "--seeds", "1", "--out", "made"]
    done = script("reproduce.py", *asked, *SHORT)
    assert done.returncode == 0, done.stderr
    last = "^job 4/4, about .* left: q02, q02,data=notebook,steps_per_epoch=2,epochs=1, seed 0$"
    assert re.search(last, done.stdout, re.MULTILINE)
    assert "4 jobs: 4 completed" in done.stdout
    assert done.stdout.splitlines()[-1] == "made/report.html"
    report = (tmp_path / "made" / "report.md").read_text(encoding="utf-8")
    command = f"mnist-mlp reproduce {' '.join([*asked, *SHORT])}"
    assert f"- command: {command}\n" in report
    assert "| hidden layers 200-200-200 (q02) | notebook | 1 |" in report
    records = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/seed0/result.json")}
    assert len(records) == 4

    (path, *_) = records
    path.unlink()  # as if it had been stopped there
    again = script("reproduce.py", *asked, *SHORT)
    assert again.returncode == 0, again.stderr
    assert len(re.findall("^job [1-4]/4: ", again.stdout, re.MULTILINE)) == 1
    assert "3 reused" in again.stdout
    assert path.exists()
    assert all(other.stat().st_mtime_ns == before for other, before in records.items() if other != path)

    alone = script("report.py", "--language", "es", *SHORT)
    assert alone.returncode == 0, alone.stderr
    assert alone.stdout == "runs/report/report.html\n"
    spanish = (tmp_path / "runs" / "report" / "report.md").read_text(encoding="utf-8")
    assert re.search(r"^## 2\. Profundidad", spanish, re.MULTILINE)
    assert len(re.findall(r"^## \d", spanish, re.MULTILINE)) == 1


@pytest.mark.parametrize("name", ["report.py", "reproduce.py"])
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--questions", "q1"], "--questions: q1 is none of q01, q02, .*, q10; did you mean q01?"),
        (["q01,q02"], "q01,q02: not an override; write --questions q01,q02"),
        (["--protocol", "notebok"], "--protocol: notebok is none of disjoint, notebook, both; did you mean notebook?"),
        (["--language", "sp"], "--language: sp is none of en, es; did you mean es?"),
        (["--seeds", "none"], "--seeds: none is not a whole number of at least 1"),
        (["--sedes", "3"], "--sedes: there is no such option; did you mean --seeds?"),
        (["--", "epoks=3"], "epoks=3: there is no key epoks; did you mean epochs?"),
        (["--", "seed=3"], "seed=3: set by the questions, --seeds and the other options"),
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_said_in_one_line(
    script: Script, tmp_path: Path, name: str, arguments: list[str], line: str
) -> None:
    done = script(name, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(line.replace("?", r"\?") + "\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_without_runs_there_is_no_report(script: Script, tmp_path: Path) -> None:
    done = script("report.py", "--questions", "q02")
    assert done.returncode == 2
    assert done.stderr == "runs: there are no runs of q02; mnist-mlp reproduce trains them\n"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(script: Script, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = script("reproduce.py", "--runs-dir", "file/runs")
    assert done.returncode == 2
    assert re.fullmatch(r"--runs-dir file/runs: .*/file is not a writable folder\n", done.stderr)


def test_replicates_are_added_until_every_interval_is_as_narrow_as_asked(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["--questions", "q05", "--protocol", "disjoint", "--seeds", "3"]
    learned = ["--", "data.steps_per_epoch=60", "epochs=1"]  # above 50%
    wide = script("reproduce.py", *asked, "--precision", "99", *learned)
    assert (wide.returncode, wide.stderr) == (0, "")
    assert len(list(tmp_path.glob("runs/*/seed*"))) == 6
    monkeypatch.setattr("mnist_mlp.cli.reproduce.MOST", 5)
    narrow = script("reproduce.py", *asked, "--precision", "0.1", *learned)
    assert narrow.returncode == 0
    assert len(list(tmp_path.glob("runs/*/seed*"))) == 10
    said = r"q05 .*\(disjoint\): its interval is wider than 0\.1 points; \d+ seeds would do\n"
    assert re.fullmatch(said, narrow.stderr)


def test_with_why_the_variants_that_explain_are_trained_as_well(script: Script, tmp_path: Path) -> None:
    asked = ["--questions", "q05", "--protocol", "disjoint", "--seeds", "1"]
    done = script("reproduce.py", *asked, "--why", *SHORT)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("runs/q05_tanh*/seed0"))) == 2


@pytest.mark.parametrize("option", ["--precision", "--margin"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much"])
def test_a_precision_or_margin_that_is_none_is_one_line(script: Script, option: str, value: str) -> None:
    done = script("reproduce.py", f"{option}={value}")
    assert (done.returncode, done.stderr) == (2, f"{option}: {value} is not a number above 0\n")
