"""Every command of the README runs, and does what the README says."""

import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SHORT

from mnist_mlp.classifier import MNISTClassifier

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```(?:bash|console)\n(.*?)```", README, re.DOTALL)
    for line in (line.removeprefix("$ ") for line in block.splitlines())
    if line.startswith(("python ", "bash ", "tensorboard "))
] + re.findall(r"\| `(python .*?)` \|", README)
ON_A_CLUSTER = "python train.py question=q02 hydra/launcher=slurm"  # tests/test_slurm.py runs it
TRAININGS = [line for line in COMMANDS if line.startswith("python train.py") and line != ON_A_CLUSTER]


def test_the_readme_has_the_commands_this_file_runs() -> None:
    assert len(TRAININGS) >= 20
    assert sorted(set(COMMANDS) - set(TRAININGS)) == [
        "bash scripts/test.sh",
        "bash scripts/train.sh",
        "python scripts/benchmark.py",
        "python scripts/draw.py q04/seed0 best",
        "python scripts/evaluate.py best",
        "python scripts/export.py best --format onnx",
        "python scripts/predict.py best photograph.jpg drawings/ digits.npy",
        "python scripts/report.py --language es",
        "python scripts/reproduce.py",
        "python scripts/reproduce.py --seeds 10 --out docs/results",
        "python scripts/search.py q01_width --trials 20 --jobs 2",
        "python scripts/table.py experiment=q10_best experiment=beyond experiment=beyond_augmented",
        ON_A_CLUSTER,
        "tensorboard --logdir runs",
    ]


@pytest.mark.parametrize("line", TRAININGS)
def test_every_training_command_runs(command: Callable[..., int], line: str) -> None:
    asks = "--help" in line or "--cfg" in line
    short = [] if asks else [override for override in SHORT if override.split("=")[0] not in line]
    assert command(*shlex.split(line)[2:], *short) == 0


def test_what_the_readme_shows_of_a_run_is_what_a_run_shows(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = re.findall(r"```console\n\$ python train.py\n(.*?)```", README, re.DOTALL)
    assert command("trainer=cpu") == 0
    ours = capsys.readouterr().out

    def form(text: str) -> list[str]:
        text = re.sub(r"\S*runs/", "runs/", text)
        return re.sub(r"\d+ threads?", "N threads", re.sub(r" *\d+\.\d+", " N", text)).strip().splitlines()

    assert form(ours) == form(shown)
    test_accuracy = re.search(r"^test .* (\d+\.\d+)%\s+97.97%", ours, re.MULTILINE)
    assert test_accuracy is not None
    assert 97.3 <= float(test_accuracy[1]) <= 98.3


def test_the_scripts_train_from_any_directory(tmp_path: Path) -> None:
    line = ["bash", str(ROOT / "scripts" / "train.sh"), *SHORT]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "runs/steps_per_epoch=2,epochs=1-" in done.stdout
    assert list(tmp_path.glob("runs/*/seed0/result.json"))


def test_tensorboard_serves_the_runs(command: Callable[..., int], tmp_path: Path) -> None:
    assert command(*SHORT) == 0
    line = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path / "runs"), "--port", "0"]
    server = subprocess.Popen(line, stderr=subprocess.PIPE, encoding="utf-8")
    try:
        assert server.stderr is not None
        address = next(match[0] for text in server.stderr if (match := re.search(r"http://\S+", text)))
        for _ in range(100):
            with urllib.request.urlopen(f"{address}data/runs") as answer:
                runs = answer.read().decode()
            if "seed0" in runs:
                break
            time.sleep(0.1)  # it reads the events in the background
        assert "steps_per_epoch=2,epochs=1" in runs
    finally:
        server.terminate()
        server.communicate()


def test_the_checkpoint_the_readme_loads_is_where_it_says(command: Callable[..., int], tmp_path: Path) -> None:
    (path,) = re.findall(r'load_from_checkpoint\("runs/(.*?)"\)', README)
    assert command("epochs=5", "trainer=cpu", "batch=100", "experiment=baseline") == 0
    MNISTClassifier.load_from_checkpoint(tmp_path / "runs" / path)


def test_the_file_tree_of_the_readme_is_the_packages() -> None:
    (tree,) = re.findall(r"```\n(train.py .*?)```", README, re.DOTALL)
    modules = {path.name for path in (ROOT / "mnist_mlp").glob("*.py")} - {"__init__.py"}
    scripts = {path.name for path in (ROOT / "scripts").glob("*.py")}
    named = set(re.findall(r"\b\w+\.py\b", tree)) - {"test_NAME.py"}
    assert named == {"train.py"} | modules | scripts
