"""The command line: what is wrong with it is said at once, and nothing is written."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SHORT

from mnist_mlp.command import main

Command = Callable[..., int]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["modle=deep5"], "modle=deep5: there is no key modle; did you mean model?"),
        (["model=deep6"], "did you mean deep3?"),
        (["activation=rleu"], "did you mean relu?"),
        (["epochs=five"], "epochs=five: epochs is a whole number of at least 1"),
        (["model.activation=[relu,tahn]"], "did you mean tanh?"),
        (["activation=[relu,tanh]"], "a list goes to model.activation=[relu,tanh]"),
        (["model=deep5", "activation=relu_tanh"], "activation names 2 (relu, tanh), but hidden_sizes has 5"),
        (["optimizer=momentum", "optimizer.betas=[0,1]"], "there is no key optimizer.betas"),
        (["optimizer.epss=1"], "did you mean optimizer.eps?"),
        (["+foo=1"], "+foo=1: no key can be added there"),
        (["overwrite=maybe"], "overwrite=maybe: overwrite is true or false"),
        (["hydra/launcher=joblib"], "hydra/launcher=joblib: it launches the jobs of a sweep; add -m, or a question"),
        (["batch"], "batch: not an override; write KEY=VALUE, as in batch=1"),
        (["batch=1,2"], "batch=1,2: several values; add -m to run one job for each"),
        (["question=q01,q02"], "question=q01,q02: several values; one question a launch"),
        (["-m", "batch=1,0"], "batch=0: batch is a whole number from 1 to 54,000"),
        (["question=q02", "seed=0,-1"], "seed=-1: seed is a whole number from 0 to 4,294,967,295"),
        (["experiment=q11"], "did you mean q10?"),
        (["data=[mnist,notebook]"], "data=[mnist,notebook]: data is one of mnist, notebook"),
        (["logger=null"], "logger=null: logger is one of csv, mlflow, none, tensorboard, wandb"),
        (["callbacks.curves=3"], "callbacks.curves=3: callbacks.curves has keys of its own"),
        (["-m", "lr=interval(0,1)"], "lr=interval(0,1): a sweep names its values"),
        (["model.activation=null"], "model.activation=null: model.activation is one of relu"),
        (["model.activation=5"], "model.activation=5: model.activation is one of relu"),
        (["model.activation=[[relu],tanh]"], "model.activation is one of relu"),
        (["trainer.threads=null"], "trainer.threads=null: trainer.threads is a whole number"),
        (["trainer.threads=[1,2]"], "trainer.threads=[1,2]: trainer.threads is a whole number"),
        (["optimizer._target_=null"], "optimizer._target_ is the name of a class"),
        (["~optimizer._target_"], "optimizer._target_ is the name of a class"),
        (["data.dri=x"], "did you mean data.dir?"),
        (["lr=${lrr}"], "Interpolation key 'lrr' not found"),
        (["--config-name", "other"], "--config-dir adds a folder of your own files"),
        (["--config-dir", "/nowhere"], "--config-dir /nowhere: there is no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    command: Command, arguments: list[str], line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(*arguments) == 2
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert line in output.err
    assert output.out == ""
    assert not (tmp_path / "runs").exists()


def test_all_mistakes_of_a_command_line_are_reported_together(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("modle=deep5", "batch=0", "lr=-1", "activation=rleu", "epochs=five", "width=0", "seed=-1") == 2
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.split("=")[0] for line in lines) == [
        "activation",
        "batch",
        "epochs",
        "lr",
        "modle",
        "seed",
        "width",
    ]


def test_several_values_without_m_do_not_hide_what_else_is_wrong(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("batch=0,2", "seed=-1") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["batch=0,2", "batch=0", "seed=-1"]


@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_a_runs_dir_that_cannot_be_written_to_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, sweep: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["train.py", *sweep, f"runs_dir={tmp_path / 'file' / 'runs'}"])
    with pytest.raises(SystemExit, match="2"):
        main()
    error = capsys.readouterr().err
    assert error.endswith(f"{tmp_path / 'file'} is not a folder that can be written to\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("bacth: 1", "experiment/mine.yaml: there is no key bacth; did you mean batch?"),
        ("batch: one", "experiment/mine.yaml: batch is a whole number from 1 to 54,000"),
        ("model: {hidden_size: [3]}", "there is no key model.hidden_size; did you mean model.hidden_sizes?"),
        ("defaults: [override /model: deep6]", "model=deep6: model is one of combined, deep3"),
        ("batch: [", "expected"),
        ("batch: 0", "batch=0: batch is a whole number from 1 to 54,000"),
    ],
)
def test_a_mistake_in_an_experiment_file_is_one_line_and_status_2(
    command: Command, content: str, line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{content}\n")
    assert command("--config-dir", str(tmp_path), "experiment=mine") == 2
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert line in output.err
    assert "Traceback" not in output.err


def test_an_experiment_file_of_the_users_is_found_and_labels_its_run(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nname: mine\nbatch: 60\n")
    assert command("--config-dir", str(tmp_path), "experiment=mine", *SHORT) == 0
    assert "runs/mine,steps_per_epoch=2,epochs=1-" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["--cfg", "job"], ["--cfg", "job", "question=q03"], ["batch=0"]])
def test_help_configuration_and_mistakes_need_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from mnist_mlp.command import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_help_names_every_group_key_and_question(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--help") == 0
    said = capsys.readouterr().out
    for path in (ROOT / "conf").glob("*/*.yaml"):
        assert path.stem in said
    for key in ("seed=0", "batch=100", "epochs=5", "lr=0.001", "width=200", "runs_dir=runs", "overwrite=False"):
        assert key in said
    assert "q07  Batch 1: what does it change" in said


def test_the_entry_point_is_short() -> None:
    assert len((ROOT / "train.py").read_text().splitlines()) <= 15
