"""What a terminal shows: lines that fit into it, colors, how far a run and a sweep are, and how they go on."""

import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from mnist_mlp import console
from mnist_mlp.callbacks import terminal
from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.interactive import jobs
from mnist_mlp.lab import notebook_run_of
from mnist_mlp.runs import ranks, sweep
from mnist_mlp.runs.record import Epoch, Result

Command = Callable[..., int]

TINY = ["trainer=cpu", "width=8", "callbacks=light", "logger=csv", "runs_dir=runs"]
COLOR = re.compile(r"\x1b\[[0-9;]*\b(?:3[0-7]|38|48|9[0-7])\b[0-9;]*m")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """A command in a terminal of 80 columns, as a person would run it."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        variables = {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **environment}
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            os.chdir(folder)
            os.execve(sys.executable, [sys.executable, str(ROOT / "train.py"), *arguments], inherited | variables)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.raw = ""

    def read(self) -> Iterator[str]:
        """Give what has been written so far, whenever there is more."""
        while True:
            try:
                self.raw += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:  # the command has ended
                return
            yield self.raw

    def press_ctrl_c_at(self, pattern: str) -> None:
        """Wait until the screen shows something, and type Ctrl-C."""
        assert any(re.search(pattern, text) for text in self.read()), self.raw
        os.write(self.terminal, b"\x03")

    def end(self) -> int:
        """Read until the command ends; give its status."""
        for _ in self.read():
            pass
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @property
    def lines(self) -> list[str]:
        """The lines as they were written, those of bars too, free of escape codes."""
        return [line.rstrip() for line in re.split("[\r\n]+", ESCAPE.sub("", self.raw))]


@given(st.lists(st.text(), min_size=1))
def test_a_shell_takes_a_command_apart_as_it_was_typed(words: list[str]) -> None:
    assert shlex.split(console.command_line(words)) == words


def test_a_command_is_quoted_as_all_shells_take_it() -> None:
    command = ["mnist-mlp", "report", "--runs-dir", "my runs", "--", "seed=range(0,3)", "author='Ana'"]
    assert (
        console.command_line(command) == 'mnist-mlp report --runs-dir "my runs" -- "seed=range(0,3)" "author=\'Ana\'"'
    )


def test_no_line_of_a_sweep_is_wider_than_the_terminal(tmp_path: Path) -> None:
    values = ["lr=1e30,0.00123", "label_smoothing=0.0625", "data.steps_per_epoch=9", "epochs=1"]
    screen = Screen(tmp_path, "-m", *TINY, *values, "seed=0,1")
    assert screen.end() == 0, screen.raw
    assert screen.lines[0] == "loading PyTorch …"
    assert max(map(len, screen.lines)) <= 80
    assert "784-8-8-10 relu, Adam lr 0.00123, batch 100, 1 epoch" in screen.lines
    assert "disjoint protocol, seed 1, 1 thread" in screen.lines
    assert [line.partition(",")[0] for line in screen.lines if line.startswith("job ")][:-1] == [
        f"job {number}/4" for number in (1, 2, 3, 4)
    ]
    assert "about" not in next(line for line in screen.lines if line.startswith("job 1/4"))
    assert re.search(r"^job 4/4, about \d+ s left$", "\n".join(screen.lines), re.MULTILINE)
    rows = [line for line in screen.lines if re.fullmatch(r"completed +\d+\.\d\d%  runs/.+….+/seed[01]", line)]
    assert len(rows) == 2
    assert "4 jobs: 2 diverged, 2 completed" in screen.lines
    assert "\x1b[32mcompleted" in screen.raw
    assert "\x1b[31mdiverged" in screen.raw
    assert screen.raw.count("\x1b[?25h") == screen.raw.count("\x1b[?25l")  # the cursor is there again


def test_no_color_leaves_no_color_code(tmp_path: Path) -> None:
    screen = Screen(tmp_path, *TINY, "data.steps_per_epoch=9", "epochs=2", NO_COLOR="1")
    assert screen.end() == 0
    assert "epoch 2/2 " in screen.raw  # the bar
    assert not COLOR.search(screen.raw)


def test_what_is_no_terminal_gets_plain_lines_of_any_width(tmp_path: Path) -> None:
    values = ["label_smoothing=0.0625", "data.steps_per_epoch=9", "epochs=1", "lr=0.00123", "gradient_clip=0.5"]
    environment = os.environ | {"COLUMNS": "40", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    line = [sys.executable, str(ROOT / "train.py"), "-m", *TINY, *values, "seed=0,1"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    (log,) = tmp_path.glob("runs/*/seed1/train.log")
    for text in (done.stdout, log.read_text(encoding="utf-8")):
        assert "\x1b" not in text
        assert f"{log.parent.relative_to(tmp_path)}\n" in text
        assert "784-8-8-10 relu, Adam lr 0.00123, batch 100, 1 epoch\n" in text
    assert "job 1/2\n" in done.stdout
    assert re.search(rf"^completed +\S+  {log.parent.relative_to(tmp_path)}$", done.stdout, re.MULTILINE)


def test_after_ctrl_c_the_same_command_resumes_the_run_and_the_sweep_and_says_so(tmp_path: Path) -> None:
    line = ["-m", *TINY, "epochs=30", "batch=1", "data.steps_per_epoch=5000", "seed=0,1"]
    screen = Screen(tmp_path, *line)
    screen.press_ctrl_c_at(r"\b2/30 {3}")
    assert screen.end() == 130
    assert "Traceback" not in screen.raw
    (folder,) = tmp_path.glob("runs/*/seed0")
    shown = "\n".join(screen.lines)
    (epochs,) = re.findall(r"^interrupted after epoch (\d+) of 30; the same command resumes it:$", shown, re.MULTILINE)
    assert str(folder.relative_to(tmp_path)) in screen.lines
    assert shown.endswith("2 jobs: 1 interrupted, 1 not run\nthe same command resumes the sweep\n")
    assert screen.raw.count("\x1b[?25h") == screen.raw.count("\x1b[?25l")
    again = Screen(tmp_path, *line)
    again.press_ctrl_c_at(r"\b\d+/30 {3}")
    assert again.end() == 130
    assert f"resuming after epoch {epochs} of 30" in again.lines
    assert not any(line.startswith("   1/30 ") for line in again.lines)


def test_a_run_goes_on_when_its_terminal_is_closed(tmp_path: Path) -> None:
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        screen = Screen(tmp_path, *TINY, "epochs=3", "batch=1", "data.steps_per_epoch=5000")
    finally:
        signal.signal(signal.SIGHUP, hangup)
    assert any("epoch 1/3" in text for text in screen.read())
    os.close(screen.terminal)
    os.waitpid(screen.pid, 0)
    (record,) = tmp_path.glob("runs/*/seed0/result.json")
    assert '"status": "completed"' in record.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ("mnist", "notebook's validation: 58% of the images are also trained on in each epoch"),
        ("notebook", "both validations: 58% of the images are also trained on in each epoch"),
    ],
)
def test_beside_the_notebooks_validation_a_note_tells_of_its_leak(data: str, note: str) -> None:
    with composing():
        config = compose_run(["experiment=q06", f"data={data}"])
    figures = [Epoch(number, 1.0, 0.5, 0.9, 0.4, 0.91) for number in range(1, 6)]
    result = Result(
        1, "id", "q06", "completed", None, 0, {"data": {"protocol": config.data.protocol}}, figures,
        {"loss": 0.4, "accuracy": 0.9}, 5.0, 30, 1, {}, {}, "", None,
    )  # fmt: skip
    lines = str(terminal.summary(result, notebook_run_of(config))).splitlines()
    assert lines[-2:] == [note, "(docs/protocols.md)"]
    assert "validation    0.4000    0.3282    91.00%    90.37%" in lines
    assert max(map(len, lines)) <= 80
    assert "58%" not in str(terminal.summary(result, None))


def test_a_sweep_reuses_a_run_in_a_line_and_tells_of_the_leak_once(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["trainer=cpu", "batch=10000", "logger=none", "callbacks=none"]  # which the notebook ran, too
    assert command(*short, "seed=1") == 0
    capsys.readouterr()
    assert command("-m", *short, "seed=0,1,2") == 0
    printed = capsys.readouterr().out
    first, second, third = re.findall(r"^job \d.*", printed, re.MULTILINE)
    assert first == "job 1/3"
    assert re.fullmatch(r"job 2/3: already completed, \S+/runs/batch=10000-\w{8}/seed1", second)
    assert re.fullmatch(r"job 3/3, about \d+ s left", third)
    assert printed.count("58%") == 1
    assert printed.count("\nseconds") == 2
    assert printed.endswith("3 jobs: 2 completed, 1 reused\n")


def test_reused_jobs_do_not_count_for_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with composing():
        configs = [compose_run([f"seed={seed}", f"runs_dir={tmp_path}"]) for seed in range(4)]
    jobs, now = sweep.Sweep(configs), [0.0]
    jobs.work[1] = 0  # it has a result
    monkeypatch.setattr(sweep.time, "monotonic", lambda: now[0])
    for number, seconds in enumerate((60, 1, 120, 0), start=1):
        with jobs.job(number):
            now[0] += seconds
    assert capsys.readouterr().out.splitlines() == [
        "job 1/4",
        "job 2/4, about 2 min left",
        "job 3/4, about 2 min left",
        "job 4/4, about 2 min left",
    ]


@pytest.mark.parametrize(("override", "times"), [("batch=1", 10.4), ("batch=10000", 1.0), ("experiment=q10", 2.8)])
def test_the_time_that_is_left_follows_from_what_the_runs_compute(override: str, times: float, tmp_path: Path) -> None:
    with composing():
        baseline, other = (compose_run([text, f"runs_dir={tmp_path}"]) for text in ("seed=0", override))
    measured = sweep.work(other) / sweep.work(baseline)  # of published runs: 11.5, 1.09 and 3.1 of the baseline's 1.1 s
    assert times / 2 < measured < 2 * times


def test_processes_that_a_run_has_started_show_nothing(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    showing: list[Any] = []

    def training_function(show: bool, library: bool) -> Callable[..., float]:
        return lambda config, show, network: showing.append(show) or 0.0

    monkeypatch.setattr(jobs, "training_function", training_function)
    monkeypatch.setenv(ranks.LEADER, str(os.getppid()))
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert command() == 0
    assert showing == [True, False]


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("runs/a-1/seed0", 14, "runs/a-1/seed0"),
        ("runs/abcdef-1/seed0", 11, "runs/…seed0"),
        ("训练训练训练", 7, "训 … 练"),
    ],
)
def test_a_long_text_is_shortened_in_its_middle(text: str, width: int, short: str) -> None:
    assert console.shortened(text, width) == short


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, ""), (5.4, ", about 5 s left"), (100, ", about 2 min left"), (9000, ", about 2.5 h left")],
)
def test_a_time_that_is_left_is_rounded(seconds: float, said: str) -> None:
    assert console.left(seconds) == said
