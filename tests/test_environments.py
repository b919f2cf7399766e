"""Other people's machines: schedulers' variables, home directories, shared folders, own configuration files."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, SHORT, Done
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from lightning.pytorch.utilities import rank_zero_only
from test_training import results

from mnist_mlp import files
from mnist_mlp.config.identity import LABEL_LENGTH
from mnist_mlp.runs import ranks

Command = Callable[..., int]
QUIET = [*SHORT, "width=8", "callbacks=light", "logger=csv"]


def launched(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *arguments],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


@pytest.mark.parametrize("variable", ["SLURM_PROCID", "RANK", "LOCAL_RANK", "JSM_NAMESPACE_RANK", "NODE_RANK"])
def test_a_run_of_one_process_is_the_first_whatever_a_scheduler_has_set(
    variable: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(rank_zero_only, "rank", 1)  # as Lightning reads it when it is imported
    assert command(*QUIET) == 0
    ((name, result),) = results(tmp_path / "runs").items()
    assert result["status"] == "completed"
    assert "loss/val" in (tmp_path / "runs" / name / "metrics.csv").read_text(encoding="utf-8")
    assert os.environ[variable] == "1"


@pytest.mark.slow
def test_the_tasks_of_srun_are_runs_of_their_own(tmp_path: Path) -> None:
    tasks = [
        launched(*QUIET, f"seed={task}", f"runs_dir={tmp_path}", SLURM_PROCID=str(task), SLURM_NTASKS="2", RANK="1")
        for task in range(2)
    ]
    for task in tasks:
        output, error = task.communicate(timeout=120)
        assert (task.returncode, error) == (0, ""), output
    assert [result["status"] for result in results(tmp_path).values()] == ["completed", "completed"]
    assert len(list(tmp_path.glob("*/seed*/metrics.csv"))) == 2


@pytest.mark.slow
def test_several_nodes_train_one_run(command: Command, tmp_path: Path) -> None:
    line = ["data.steps_per_epoch=2", "epochs=1", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1"]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port())}
    nodes = [
        launched(*line, "+trainer.num_nodes=2", f"runs_dir={tmp_path / 'nodes'}", NODE_RANK=str(node), **address)
        for node in range(2)
    ]
    for node in nodes:
        _, error = node.communicate(timeout=120)
        assert node.returncode == 0, error
    ((_, shared),) = results(tmp_path / "nodes").items()
    assert shared["hardware"]["processes"] == 2
    assert command(*line[:2], "trainer=cpu") == 0
    ((_, alone),) = results(tmp_path / "runs").items()
    assert shared["test"]["loss"] == pytest.approx(alone["test"]["loss"], rel=1e-4)


def test_a_rank_is_believed_in_a_process_that_the_run_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not ranks.is_follower(nodes=1)
    with ranks.leading(nodes=1):
        assert "LOCAL_RANK" not in os.environ
        code = "from mnist_mlp.runs.ranks import is_follower; print(is_follower(1))"
        said = [
            subprocess.run(
                [sys.executable, "-c", code],
                env=os.environ | extra,
                capture_output=True,
                text=True,
                encoding="utf-8",
                check=True,
            ).stdout
            for extra in ({"LOCAL_RANK": "1"}, {"LOCAL_RANK": "0"}, {"LOCAL_RANK": "1", ranks.LEADER: "1"})
        ]
    assert said == ["True\n", "False\n", "False\n"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def main(*arguments: str) -> int:
    from mnist_mlp.cli import train as command

    before, sys.argv = sys.argv, ["train.py", *arguments]
    try:
        command.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = before
    return 0


@pytest.mark.parametrize("line", [[], ["-m", "seed=0,1"]], ids=["a run", "a sweep"])
def test_a_home_directory_is_meant_by_its_sign(line: list[str], home: Path) -> None:
    assert main(*QUIET, *line, 'runs_dir="~/own runs"') == 0
    assert set(home.parent.iterdir()) == {home}
    assert {result["status"] for result in results(home / "own runs").values()} == {"completed"}


@pytest.mark.parametrize("line", [[], ["-m", "seed=0,1"]], ids=["a run", "a sweep"])
def test_runs_are_where_they_were_asked_for_though_hydra_changes_the_directory(
    line: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(*QUIET, *line, "hydra.job.chdir=true", "hydra.run.dir=elsewhere", "runs_dir=runs") == 0
    assert len(results(home.parent / "runs")) == max(1, len(line))
    assert "not run" not in capsys.readouterr().out


@pytest.fixture
def everyone(tmp_path: Path) -> Iterator[Path]:
    """Give a folder that a group shares, for a process that by itself makes what nobody else may write."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o2775)
    before = os.umask(0o022)
    yield folder
    os.umask(before)


def test_locks_and_folders_have_the_permissions_of_their_parent(everyone: Path) -> None:
    assert main(*QUIET, f"runs_dir={everyone}") == 0
    (variant,) = everyone.glob("*-*")
    for folder in (everyone / ".locks", variant, variant / "seed0"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2775
    locks = list((everyone / ".locks").iterdir())
    assert locks
    assert {stat.S_IMODE(lock.stat().st_mode) for lock in locks} == {0o664}


def test_a_lock_can_be_taken_by_whoever_may_write_in_its_folder(everyone: Path) -> None:
    with files.lock(everyone / ".locks" / "a"):
        assert stat.S_IMODE((everyone / ".locks" / "a").stat().st_mode) == 0o664


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="becomes another user, which takes root")
def test_a_finished_result_is_read_without_the_right_to_write(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("others")
    runs = folder / "runs"
    for path in (folder, *folder.parents):
        if path.stat().st_mode & 0o005 != 0o005 and path != Path(path.anchor):
            path.chmod(path.stat().st_mode | 0o055)
    assert main(*QUIET, f"runs_dir={runs}") == 0
    for path in [runs, *runs.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    process = os.fork()
    if not process:  # the other user
        signal.alarm(60)
        os.setuid(65534)
        os._exit(main(*QUIET, f"runs_dir={runs}"))
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def own(folder: Path, name: str, text: str, encoding: str = "utf-8") -> list[str]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding)
    return ["--config-dir", str(folder)]


@pytest.mark.parametrize("by", ["--config-dir", "hydra.searchpath"])
def test_an_own_file_with_the_name_of_one_of_ours_is_not_hidden_in_silence(
    by: str, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own(tmp_path / "own", "experiment/q05.yaml", "# @package _global_\nlr: 0.5\n")
    given = folder if by == "--config-dir" else [f"hydra.searchpath=[file://{folder[1]}]"]
    assert command(*given, "experiment=q05", *SHORT) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "own" / "experiment" / "q05.yaml") in error
    assert str(ROOT / "conf" / "experiment" / "q05.yaml") in error
    assert len(error.splitlines()) == 1


def test_a_byte_order_mark_is_taken(command: Command, tmp_path: Path) -> None:
    text = "# @package _global_\nname: marked\nlr: 0.5\n"
    assert (
        command(*own(tmp_path / "own", "experiment/marked.yaml", text, "utf-8-sig"), *QUIET, "experiment=marked") == 0
    )
    (result,) = results(tmp_path / "runs").values()
    assert result["config"]["lr"] == 0.5


@pytest.mark.parametrize(
    ("group", "text", "line"),
    [
        ("experiment", "lr: 0.5\n", "# @package _global_"),
        ("regularization", "patience: 3\n", "# @package _global_"),
        ("debug", "epochs: 1\n", "# @package _global_"),
        ("activation", "activation: tanh\n", "# @package model"),
    ],
)
def test_an_own_file_without_its_package_line_is_told_of_it(
    group: str, text: str, line: str, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = own(tmp_path / "own", f"{group}/mine.yaml", text)
    chosen = "[mine]" if group == "regularization" else "mine"
    assert command(*given, f"{group}={chosen}") == 2
    error = capsys.readouterr().err
    assert f"its first line must be {line}" in error
    assert len(error.splitlines()) == 1


def test_a_list_in_a_file_without_brackets_is_told_of_them(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "# @package _global_\nmodel:\n  hidden_sizes: 300\n"
    assert command(*own(tmp_path / "own", "experiment/mine.yaml", text), "experiment=mine") == 2
    assert "model.hidden_sizes is a list of whole numbers from 1 to 10,000, as in [300,100]" in capsys.readouterr().err


@pytest.mark.parametrize("letter", ["n", "ñ", "数", "🙂"])
def test_a_long_label_is_cut_to_what_a_file_system_takes(letter: str, command: Command, tmp_path: Path) -> None:
    assert command(*QUIET, f'name="{letter * 200}"') == 0
    ((name, result),) = results(tmp_path / "runs").items()
    assert result["status"] == "completed"
    label = name.rpartition("-")[0]
    assert label.startswith(letter)
    assert len(label.encode()) <= LABEL_LENGTH


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["evaluate.py", "best"], "best: there is no finished run in {home}/so"),
        (["report.py"], "{home}/so: there are no runs"),
        (["table.py", "epochs=1"], "no completed runs in {home}/so"),
        (["export.py", "best", "--format", "onnx"], "best: there is no finished run in {home}/so"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_home_directory_is_meant_by_its_sign_in_the_scripts_too(
    line: list[str], said: str, script: Callable[..., Done], home: Path
) -> None:
    done = script(*line, "--runs-dir=~/so")
    assert done.returncode == 2
    assert said.format(home=home) in done.stderr


def test_a_search_is_in_one_place_in_the_home_directory(script: Callable[..., Done], home: Path) -> None:
    (home.parent / "own.yaml").write_text(
        "fixed: [epochs=1, data.steps_per_epoch=2]\nspace: {width: [4]}\ntrials: 1\n", encoding="utf-8"
    )
    done = script("search.py", "own.yaml", "--fresh", 2, "--runs-dir=~/so")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in home.parent.iterdir()} == {"home", "own.yaml"}
    assert (home / "so" / "searches" / "own" / "study.db").is_file()
