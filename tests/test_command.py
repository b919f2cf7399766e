"""The command line: what is wrong with it is said at once, and nothing is written."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SHORT

from mnist_mlp.cli import verbs
from mnist_mlp.cli.train import main
from mnist_mlp.config.options import OPTIONS

Command = Callable[..., int]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["modle=deep5"], "modle=deep5: there is no key modle; did you mean model?"),
        (["model=deep55"], "did you mean deep5?"),
        (["activation=rleu"], "did you mean relu?"),
        (["search=q10"], "mnist-mlp search --help lists the spaces"),
        (["epochs=five"], "epochs=five: epochs is a whole number of at least 1"),
        (["model.activation=[relu,tahn]"], "did you mean tanh?"),
        (["activation=[relu,tanh]"], "write a list as model.activation=[relu,tanh]"),
        (["model=deep5", "activation=relu_tanh"], "activation names 2 (relu, tanh), but hidden_sizes has 5"),
        (["optimizer=momentum", "optimizer.betas=[0,1]"], "there is no key optimizer.betas"),
        (["optimizer.epss=1"], "did you mean optimizer.eps?"),
        (["+foo=1"], "+foo=1: no key can be added there"),
        (["overwrite=maybe"], "overwrite=maybe: overwrite is true or false"),
        (["hydra/launcher=joblib"], "hydra/launcher=joblib: launches the jobs of a sweep; add -m, or question="),
        (["batch"], "batch: not an override; write KEY=VALUE, as in batch=1"),
        (["batch=1,2"], "batch=1,2: several values; add -m to run one job for each"),
        (["question=q01,q02"], "question=q01,q02: several values; give one question per command"),
        (["-m", "batch=1,0"], "batch=0: batch is a whole number from 1 to 54,000"),
        (["question=q02", "seed=0,-1"], "seed=-1: seed is a whole number from 0 to 4,294,967,295"),
        (["batch", "=", "25"], "batch = 25: no spaces around the equals sign; write batch=25\n"),
        (["batch", "=25"], "batch =25: no spaces around the equals sign; write batch=25\n"),
        (["epochs=1", "batch=", "25"], "batch= 25: no spaces around the equals sign; write batch=25\n"),
        (["question=q1"], "did you mean q01?"),
        (["question=q11"], "q10, q10_why\n"),
        (["data=[mnist,notebook]"], "data=[mnist,notebook]: data is one of emnist_digits, fashion"),
        (["logger=null"], "logger=null: logger is one of csv, mlflow, none, tensorboard, wandb"),
        (["callbacks.curves=3"], "callbacks.curves=3: callbacks.curves is a group of keys"),
        (["-m", "lr=interval(0,1)"], "lr=interval(0,1): a sweep lists its values"),
        (["model.activation=null"], "model.activation=null: model.activation is one of relu"),
        (["model.activation=5"], "model.activation=5: model.activation is one of relu"),
        (["model.activation=[[relu],tanh]"], "model.activation is one of relu"),
        (["trainer.threads=null"], "trainer.threads=null: trainer.threads is a whole number"),
        (["trainer.threads=[1,2]"], "trainer.threads=[1,2]: trainer.threads is a whole number"),
        (["optimizer._target_=null"], "optimizer._target_ is the name of a class"),
        (["~optimizer._target_"], "optimizer._target_ is the name of a class"),
        (["data.dri=x"], "did you mean data.dir?"),
        (["lr=${lrr}"], "Interpolation key 'lrr' not found"),
        (["logger=[csv"], 'logger=[csv: the brackets do not match; quote a list as a whole, as in "logger=[a,b]"'),
        (["runs_dir=a=b"], """quote special characters, as in "runs_dir='a=b'\""""),
        (["=1"], "=1: not an override"),
        ([f"batch={'1' * 5000}"], "Exceeds the limit"),
        (["-m", "batch=glob(*)"], "batch=glob(*): the sweep has no values"),
        (["-m", "model=glob(deep7*)"], "model=glob(deep7*): the sweep has no values"),
        (["model=glob(*)"], "model=glob(*): several values; add -m to run one job for each"),
        (["-m", "seed=range(3,0)"], "seed=range(3,0): the sweep has no values"),
        (["-m", "seed=range(0,3,0)"], "seed=range(0,3,0): the sweep has no values"),
        (["-m", "seed=range(0,x)"], "seed=range(0,x): mismatch type argument stop"),
        (["-m", "seed=choice()"], "seed=choice(): empty choice is not legal"),
        (["-m", "seed="], "seed=: seed is a whole number"),
        (["-m", "question=q01,q02"], "question=q01,q02: several values; give one question per command"),
        (["-m", "~callbacks=1,2"], "Config group override deletion value must be a string"),
        (["-m", "hydra.sweep.dir=a,b"], "Sweeping over Hydra's configuration is not supported : 'hydra.sweep.dir=a,b'"),
        (["-m", 'hydra.sweeper.params={seed:"0,1"}'], "hydra.sweeper.params is of another type"),
        (["hydra.sweep.dir=${nosuch}", "-m"], "Interpolation key 'nosuch' not found"),
        (["hydra.job.env_copy=[NOSUCH]"], "KeyError: 'NOSUCH'"),
        (["hydra.searchpath=[nosuch]"], "path=nosuch is not available"),
        (["hydra.verbose=3"], "hydra.verbose: not supported"),
        (["hydra/launcher=nosuch"], "hydra/launcher is one of basic"),
        (["~optimizer"], "optimizer is a group of keys"),
        (["+callbacks.mine.start=1"], "callbacks.mine._target_ is the name of a class"),
        (["+logger.mine=null"], "logger.mine._target_ is the name of a class"),
        (["--bogus"], "--bogus: there is no such option"),
        (["--mutlirun"], "--mutlirun: there is no such option; did you mean --multirun?"),
        (["-multirun", "batch=1,2"], "-multirun: an option has two dashes; write --multirun"),
        (["--cfg", "jbo"], "--cfg/-c: invalid choice: 'jbo' (choose from"),
        (["--resolve"], "--resolve and --package go with --cfg, as in --cfg job --resolve"),
        (["--package", "model"], "--resolve and --package go with --cfg"),
        (
            ["--cfg", "job", "--package", "modle"],
            "--package modle: the configuration has no such part; did you mean model?",
        ),
        (["--cfg", "hydra", "--resolve"], "Interpolation key 'runs_dir' not found"),
        (["--cfg", "job", "-m"], "--multirun and --cfg do not go together"),
        (["--info", "nosuch"], "--info/-i: invalid choice: 'nosuch' (choose from"),
        (["--experimental-rerun", "x"], "--experimental-rerun is not supported"),
        (["--config-name="], "--config-dir adds a folder of your own files"),
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


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["drwa", "best"], "drwa: neither KEY=VALUE nor one of .*; did you mean draw?"),
        (["train"], "train: training has no verb; write mnist-mlp, or mnist-mlp KEY=VALUE"),
        (["trian", "batch=1"], "trian: training has no verb; write mnist-mlp, or mnist-mlp KEY=VALUE"),
        (["batch", "=", "0"], "batch = 0: no spaces around the equals sign; write batch=0"),
    ],
    ids=str,
)
def test_a_word_that_is_no_verb_is_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["mnist-mlp", *arguments])
    with pytest.raises(SystemExit, match="2"):
        verbs.main()
    assert re.fullmatch(line.replace("?", r"\?") + "\n", capsys.readouterr().err)


@pytest.mark.parametrize("sweep", [[], ["-m"]])
def test_a_runs_dir_that_cannot_be_written_to_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, sweep: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["train.py", *sweep, f"runs_dir={tmp_path / 'file' / 'runs'}"])
    with pytest.raises(SystemExit, match="2"):
        main()
    error = capsys.readouterr().err
    assert error.endswith(f"{tmp_path / 'file'} is not a writable folder\n")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        pytest.param(
            "/proc/runs",
            "runs_dir=/proc/runs: /proc is not a writable folder",
            marks=pytest.mark.skipif(not Path("/proc").exists(), reason="a folder in which even root can make none"),
        ),
        (300 * "a", f"{300 * 'a'}: File name too long"),
    ],
)
def test_a_runs_dir_that_nobody_can_make_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, folder: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", f"runs_dir={folder}"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert capsys.readouterr() == ("", f"{line}\n")


@pytest.mark.parametrize(("sweep", "name"), [([], "hydra.run.dir"), (["-m"], "hydra.sweep.dir")])
def test_a_folder_of_hydras_that_cannot_be_written_to_is_one_line_and_status_2(
    command: Command, sweep: list[str], name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert command(*sweep, f"{name}={tmp_path / 'file'}") == 2
    error = capsys.readouterr().err
    assert error == f"{name}={tmp_path / 'file'}: {tmp_path / 'file'} is not a writable folder\n"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("hydra.sweeper.max_batch_size=0", ("assert max_batch_size", "AssertionError: assert (0")),  # as pytest has it
        ("hydra.sweeper._target_=nosuch.Sweeper", "nosuch.Sweeper: Hydra has no such plugin\n"),
        ("hydra.launcher._target_=nosuch.Launcher", "nosuch.Launcher: Hydra has no such plugin\n"),
    ],
)
def test_a_sweep_that_hydra_cannot_launch_is_one_line_and_status_2(
    command: Command, override: str, line: str | tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command("-m", *SHORT, override) == 2
    output = capsys.readouterr()
    assert output.err.startswith(line)
    assert output.err.count("\n") == 1
    assert "1 job: 1 not run" in output.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("+callbacks.mine._target_=nosuch.Thing", "callbacks.mine: Error loading 'nosuch.Thing': ModuleNotFoundError"),
        ("+callbacks.mine._target_=os.path", "callbacks.mine: Expected a callable target"),
        (
            "+callbacks.mine._target_=os.getcwd",
            "callbacks.mine: must be a lightning.Callback; set",
        ),
        ("+callbacks.curves.nosuch=1", "callbacks.curves: Curves.__init__() got an unexpected keyword argument"),
        ("logger.tensorboard._target_=os.path", "logger.tensorboard: Expected a callable target"),
        ("logger.tensorboard._partial_=false", "logger.tensorboard: tensorboard() missing 1 required positional"),
        ("+logger.tensorboard.nosuch=1", "logger.tensorboard: got an unexpected keyword argument 'nosuch'"),
        (
            "+logger.mine._target_=os.getcwd",
            "logger.mine: must be a callable that takes `run`; add logger.mine",
        ),
        ("optimizer._target_=torch.optim.Adamm", "optimizer: Error loading 'torch.optim.Adamm': ModuleNotFoundError"),
        ("optimizer._target_=torch.nn.Linear", "optimizer: Linear.__init__() got an unexpected keyword argument 'lr'"),
        ("optimizer.betas=[0.9]", "optimizer: list index out of range"),
        ("data.dir=/dev/null", "data.dir: /dev/null/MNIST/raw cannot hold the MNIST files: Not a directory"),
        ("trainer.accelerator=mps", "trainer: "),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_run_that_it_would_replace_is_lost(
    command: Command, override: str, line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command("overwrite=true", *SHORT, override) == 2
    output = capsys.readouterr()
    assert output.err.startswith(line)
    assert output.err.count("\n") == 1
    assert output.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_refusal_leaves_the_run_that_was_to_be_overwritten(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert command(*SHORT, "overwrite=true", "data.dir=/dev/null") == 2
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("arguments", [["batch=0", "-m", "seed=0,1"], ["-m", "batch=0", "--multirun", "seed=0,1"]])
def test_flags_stand_anywhere(command: Command, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*arguments) == 2
    assert capsys.readouterr().err.startswith("batch=0: batch is")


@pytest.mark.parametrize("name", ["a b", "a=b,c", "it's", "日本é", "x[1]{2}(3)", "a%b", "../elsewhere"])
def test_any_name_of_a_folder_is_one_of_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    quoted = name.replace("'", r"\'")
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *SHORT, "callbacks=none", f"runs_dir='{quoted}'"])
    main()
    assert list(Path(name).glob("*/seed0/result.json"))


def test_a_value_can_refer_to_hydra(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("name=${hydra:runtime.choices.model}", *SHORT) == 0
    assert "runs/width2,steps_per_epoch=2,epochs=1-" in capsys.readouterr().out


SCRIPT = "import mnist_mlp.cli.arguments as ours, sys\nwith ours.clean_exit():\n  print(sys.path)"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("{train} --help | true", 141),
        ("{train} --cfg job | true", 141),
        (f"{sys.executable} -c '{SCRIPT}' | true", 141),
        ("{train} {short} runs_dir={runs} | true", 0),
        ("{train} {short} runs_dir={runs} > /dev/full", 0),
        ("{train} {short} runs_dir={runs} <&- >&- 2>&-", 0),
    ],
)
def test_an_output_that_nobody_reads_is_no_fault(line: str, status: int, tmp_path: Path) -> None:
    train, short = f"{sys.executable} {ROOT / 'train.py'}", " ".join([*SHORT, "callbacks=none"])
    line = line.format(train=train, short=short, runs=tmp_path) + "; exit ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (status, "")
    records = [json.loads(path.read_text(encoding="utf-8"))["status"] for path in tmp_path.glob("*/seed0/result.json")]
    assert records == ["completed"] * ("runs_dir" in line)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("bacth: 1\nbatch: 0", "experiment/mine.yaml: there is no key bacth; did you mean batch?"),
        ("callbacks: {mine: {_target_: 3}}", "callbacks.mine._target_ is the name of a class"),
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
    (tmp_path / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{content}\n", encoding="utf-8")
    assert command("--config-dir", str(tmp_path), "experiment=mine") == 2
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert line in output.err
    assert "Traceback" not in output.err


def test_an_experiment_file_of_the_users_is_found_and_labels_its_run(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nname: mine\nbatch: 60\n", encoding="utf-8")
    assert command("--config-dir", str(tmp_path), "experiment=mine", *SHORT) == 0
    assert "runs/mine,steps_per_epoch=2,epochs=1-" in capsys.readouterr().out


def test_a_file_of_the_users_does_not_hide_ours(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text("batch: 0\n", encoding="utf-8")
    assert command("--config-dir", str(tmp_path), "--cfg", "job") == 2
    error = capsys.readouterr().err
    ours = ROOT / "conf" / "config.yaml"
    assert error == f"{tmp_path / 'config.yaml'}: {ours} has the same name and takes precedence; rename yours\n"


def test_help_configuration_and_mistakes_need_neither_torch_nor_rich() -> None:
    lines = [["--help"], ["--cfg", "job"], ["--cfg", "job", "question=q03"], ["batch=0"]]
    code = (
        "import sys; from mnist_mlp.cli.train import main\n"
        f"for line in {lines}:\n"
        "    sys.argv[1:] = line\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "    assert not {'torch', 'rich'} & set(sys.modules), line"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_help_names_every_group_key_and_question(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--help") == 0
    said = capsys.readouterr().out
    for path in (ROOT / "conf").glob("*/*.yaml"):
        assert path.stem in said
    for key in ("seed=0", "batch=100", "epochs=5", "lr=0.001", "width=200", "runs_dir=runs", "overwrite=false"):
        assert key in said
    assert re.search("q07 +batch size 1", said)
    for default in ("width2", "relu", "adam", "constant", "mnist", "none", "auto", "tensorboard", "default"):
        assert f"  * {default} " in said
    assert max(map(len, said.splitlines())) <= 80


def test_every_option_that_is_shipped_is_described() -> None:
    shipped = {path.parent.name: set() for path in (ROOT / "conf").glob("*/*.yaml")}
    for path in (ROOT / "conf").glob("*/*.yaml"):
        if path.parent.name in shipped:
            shipped[path.parent.name].add(path.stem)
    assert {group: set(options) for group, options in OPTIONS.items()} == shipped


@pytest.mark.parametrize("group", [*OPTIONS, "hydra/launcher"])
def test_the_help_of_a_group_shows_its_options_values(
    group: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--help", group) == 0
    said = capsys.readouterr().out
    for option in OPTIONS.get(group, ["slurm"]):
        assert f"{group}={option}" in said


def test_the_help_of_the_models_shows_their_sizes(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--help", "model") == 0
    assert "model=combined: three: 256, 128 and 192 units (question 10)\n    hidden_sizes:\n    - 256\n" in (
        capsys.readouterr().out
    )


def test_the_entry_point_is_short() -> None:
    assert len((ROOT / "train.py").read_text(encoding="utf-8").splitlines()) <= 15


def test_without_arguments_the_baseline_is_trained(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "train.py")], cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    (record,) = tmp_path.glob("runs/baseline-*/seed0/result.json")
    assert json.loads(record.read_text(encoding="utf-8"))["test"]["accuracy"] > 0.97


@pytest.mark.parametrize("wrong", ["bach=1", "batch=0", "model=deep9", "batch=a"])
def test_a_refused_command_line_composes_the_configuration_at_most_twice(
    wrong: str, composed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", wrong])
    with pytest.raises(SystemExit):
        main()
    assert 1 <= len(composed) <= 2


def test_a_run_and_the_baseline_that_names_it_are_composed_from_the_same_files(
    composed: list[str], command: Command
) -> None:
    assert command("data.steps_per_epoch=2", "epochs=1", "batch=50") == 0
    assert composed == [""]


@pytest.mark.parametrize("line", [["-m", "seed=0,1", "experiment=q02"], ["question=q06", "seed=0"]])
def test_the_jobs_of_a_sweep_are_composed_once_for_all_seeds(
    line: list[str], composed: list[str], command: Command
) -> None:
    assert command(*line, *SHORT) == 0
    of_jobs = [overrides for overrides in composed if "experiment=" in overrides and "seed=0,1" not in overrides]
    assert of_jobs
    assert not any("seed=" in overrides for overrides in of_jobs)
    assert len(of_jobs) == len(set(of_jobs))
