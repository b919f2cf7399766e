"""Other people's machines: Python without docstrings and asserts, locales that are not UTF-8, and Windows."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, SHORT

from mnist_mlp.config import identity
from mnist_mlp.config.identity import NOT_IN_NAMES, WINDOWS

Command = Callable[..., int]

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A locale whose encoding is ASCII, taken at its word."""

SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("*.py") if path.name != "contenders.py")
RUN_EACH = r"""
import json, os, runpy, sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module=r"mnist_mlp\b|__main__")
sys.path[0] = os.getcwd()
statuses = []
for name, *arguments in json.loads(sys.argv[1]):
    sys.argv = [sys.path[0] + "/" + name, *arguments]
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
        statuses.append(0)
    except SystemExit as stop:
        statuses.append(stop.code or 0)
print(json.dumps(statuses))
"""


def run_each(lines: list[list[str]], *options: str, **variables: str) -> tuple[list[int], str, str]:
    """Run command lines of the scripts in one process, give their statuses, their output and their errors."""
    line = [sys.executable, *options, "-c", RUN_EACH, json.dumps(lines, ensure_ascii=False)]  # decoded as in a shell
    environment = os.environ | variables
    done = subprocess.run(line, cwd=ROOT / "scripts", capture_output=True, encoding="utf-8", env=environment)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    *shown, statuses = done.stdout.splitlines()
    return json.loads(statuses), "\n".join(shown), done.stderr


@pytest.mark.slow
def test_every_script_runs_without_docstrings_and_asserts(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT) == 0
    (tmp_path / "noise.npy").write_bytes(b"none")
    of_runs = ["--runs-dir", str(tmp_path / "runs")]
    lines = [
        *([name, "--help"] for name in SCRIPTS),
        ["evaluate.py", "best", *of_runs],
        ["export.py", "best", "--format", "safetensors", "--out", str(tmp_path / "a.safetensors"), *of_runs],
        ["reproduce.py", "--questions", "q02", "--seeds", "1", "--protocol", "mnist", *of_runs, "--", *SHORT],
        ["table.py", " ".join(SHORT), *of_runs],
        ["table.py", "experiment=none", *of_runs],
        ["predict.py", "best", str(tmp_path / "noise.npy"), *of_runs],
    ]
    statuses, shown, errors = run_each(lines, "-OO")
    assert statuses == [0] * (len(SCRIPTS) + 4) + [2, 2], errors
    assert "usage: predict.py" in shown
    assert (tmp_path / "a.safetensors").exists()


@pytest.mark.slow
def test_every_command_works_in_a_locale_of_ascii_and_names_the_encoding_of_its_files(tmp_path: Path) -> None:
    space = tmp_path / "small.yaml"
    space.write_text(
        f"# ñ\nfixed: [{', '.join(SHORT)}]\nspace: {{width: [5, 6]}}\nseeds: [7]\ntrials: 2\n", encoding="utf-8"
    )
    of_runs = ["--runs-dir", str(tmp_path / "runs")]
    reported = ["--questions", "q05", "--seeds", "2", "--language", "es", *of_runs, "--", *SHORT]
    lines = [
        ["../train.py", "--help"],
        ["../train.py", *SHORT, "logger=[tensorboard,csv]", "callbacks=full", f"runs_dir={tmp_path / 'runs'}"],
        ["../train.py", "-m", *SHORT, "seed=0,1", f"runs_dir={tmp_path / 'runs'}"],
        ["reproduce.py", *reported],
        ["report.py", *reported],
        ["evaluate.py", "best", *of_runs],
        ["export.py", "best", "--format", "onnx", "--out", str(tmp_path / "a.onnx"), *of_runs],
        ["table.py", " ".join(SHORT), "--csv", str(tmp_path / "runs.csv"), *of_runs],
        ["search.py", str(space), "--fresh", "1", *of_runs],
    ]
    statuses, _, errors = run_each(lines, **ASCII, PYTHONWARNDEFAULTENCODING="1")
    assert statuses == [0] * len(lines), errors
    assert "épocas" in (tmp_path / "runs" / "report" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("locale", [ASCII, {"LC_ALL": "C"}], ids=["ASCII", "C"])
def test_a_name_that_a_locale_lacks_is_trained_or_a_line_says_what_to_type(
    locale: dict[str, str], tmp_path: Path
) -> None:
    names = [["name=ñandú-训练"], ['name="ñandú-训练"'], ["name=ñandú,训练", "-m"]]
    lines = [
        ["../train.py", *SHORT, *name, f"runs_dir={tmp_path}/{number}"] for number, name in enumerate(names, start=1)
    ]
    statuses, _, errors = run_each(lines, **locale)
    assert set(statuses) <= {0, 2}, errors
    assert len(errors.splitlines()) == statuses.count(2)
    for number, status in enumerate(statuses, start=1):
        if status:
            assert not (tmp_path / str(number)).exists()
        else:
            assert next((tmp_path / str(number)).glob("ñandú*/seed0/result.json"))


def test_what_the_encoding_of_the_output_lacks_is_shown_as_escapes() -> None:
    code = "from mnist_mlp.cli.arguments import clean_exit\nwith clean_exit(): print(chr(0xF1), chr(0xDCFF))"
    line = [sys.executable, "-c", code]
    for locale, shown in ((ASCII, b"\\xf1 \\udcff\n"), ({"PYTHONUTF8": "1"}, "ñ \\udcff\n".encode())):
        done = subprocess.run(line, capture_output=True, env=os.environ | locale)
        assert (done.returncode, done.stdout, done.stderr) == (0, shown, b"")


def texts_without_encoding(tree: ast.AST) -> Iterator[int]:
    """Give the lines that read or write text, in files or other processes, in whatever the platform's encoding is."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        options = {keyword.arg for keyword in node.keywords}
        words = [ast.unparse(word) for word in node.args]
        called = ast.unparse(node.func)
        method = called.rpartition(".")[2]
        of_bytes = called in ("os.open", "gzip.open", "Image.open") or {"'rb'", "'wb'", "'r+b'", "os.devnull"} & {
            *words
        }
        text = method in ("read_text", "write_text", "FileHandler") or (method == "open" and not of_bytes)
        starts = method in ("run", "Popen", "check_output", "call") and options & {"text", "universal_newlines"}
        if (text or starts) and "encoding" not in options:
            yield node.lineno


def test_no_text_is_in_the_encoding_of_the_platform() -> None:
    # Ruff's PLW1514 sees only what is evidently a file.
    files = [
        ROOT / "train.py",
        *(path for name in ("mnist_mlp", "scripts", "tests") for path in (ROOT / name).rglob("*.py")),
    ]
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        for line in texts_without_encoding(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = {
    *("os.chown", "os.chroot", "os.fchmod", "os.fork", "os.forkpty", "os.getegid", "os.geteuid", "os.getgid"),
    *("os.getloadavg", "os.getpgid", "os.getuid", "os.killpg", "os.mkfifo", "os.nice", "os.openpty", "os.pread"),
    *("os.sched_getaffinity", "os.sched_setaffinity", "os.setsid", "os.statvfs", "os.sysconf", "os.uname", "os.wait"),
    *("signal.alarm", "signal.setitimer", "signal.SIGALRM", "signal.SIGHUP", "signal.SIGKILL", "signal.SIGUSR1"),
    *("signal.SIGCHLD", "signal.SIGQUIT", "socket.AF_UNIX", "time.tzset"),
}
"""What Windows lacks."""

MAX_PATH = 259
"""Characters of a path on Windows, unless the user allows more."""


def posix_names(tree: ast.AST) -> Iterator[str]:
    """Give the names that a module uses and Windows lacks, unless `hasattr` asks for them in the same statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in POSIX_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in POSIX_MODULES:
            yield str(node.module)
        elif isinstance(node, ast.stmt) and not hasattr(node, "body"):
            text = ast.unparse(node)
            for name in POSIX_NAMES:
                module, _, attribute = name.partition(".")
                if re.search(rf"\b{re.escape(name)}\b", text) and f"hasattr({module}, '{attribute}')" not in text:
                    yield name


def test_the_package_uses_nothing_that_windows_lacks() -> None:
    files = [ROOT / "train.py", *(path for name in ("mnist_mlp", "scripts") for path in (ROOT / name).rglob("*.py"))]
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        if "dev" not in path.relative_to(ROOT).parts
        for name in posix_names(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


def test_what_windows_lacks_is_found() -> None:
    source = "import fcntl\nx = os.getuid()\ny = os.nice(1) if hasattr(os, 'nice') else 0\nif z:\n    signal.alarm(1)"
    assert sorted(posix_names(ast.parse(source))) == ["fcntl", "os.getuid", "signal.alarm"]


def test_no_file_of_a_run_has_a_name_that_windows_refuses(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT, 'name="a:b|c?<d>*"', "+trainer.max_time='00:01:00:00'") == 0
    made = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(made) > 5
    for path in made:
        for part in path.relative_to(tmp_path).parts:
            assert not re.search(NOT_IN_NAMES, part)
            assert not part.endswith((" ", "."))
            assert part.partition(".")[0].upper() not in ("AUX", "CON", "NUL", "PRN")


def test_the_paths_of_a_run_are_short_enough_for_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "LABEL_LENGTH", WINDOWS)
    folder = f"{identity.label('x' * 300, {})}-0123abcd/seed4294967295"
    files = ["checkpoints/.writing-01234567/last.ckpt", "events.out.tfevents.1795851481.A-COMPUTERS-NAME.123456.0"]
    assert (
        max(len(rf"C:\Users\a.longer.name\Documents\courses\lab\mnist_mlp\runs\{folder}/{file}") for file in files)
        <= MAX_PATH
    )
    assert identity.LABEL_LENGTH == WINDOWS


def test_two_labels_that_are_cut_to_the_same_have_folders_of_their_own(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "LABEL_LENGTH", 10)
    for batch in (10, 20):
        assert command(*SHORT, f"batch={batch}", "name=aaaaaaaaaaaaaaaa") == 0
    assert len(list(tmp_path.glob("runs/aaaaaaaaaa-*/seed0/result.json"))) == 2


def test_the_public_workflow_types_what_the_readme_says_for_windows() -> None:
    (block,) = re.findall(r"```bat\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.strip() for line in block.strip().splitlines()]
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    typed = [line.strip().removeprefix("call ") for line in workflow.split("  by-hand:")[1].splitlines()]
    places = [next(number for number, text in enumerate(typed) if text.startswith(line)) for line in lines]
    assert places == sorted(places)
