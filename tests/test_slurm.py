"""Sweeps as jobs of a Slurm cluster: what is left when they are cancelled, and that they go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slurm
from conftest import ROOT, SHORT
from test_training import assert_same_runs, results

from mnist_mlp.config.compose import compose, composing
from mnist_mlp.config.targets import allowing, instantiate
from mnist_mlp.errors import installing

QUESTION = ["question=q02", "seed=0,1", "data.steps_per_epoch=2", "epochs=40", "trainer=cpu"]


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


@contextmanager
def launched(folder: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    sweep = [*QUESTION, "hydra/launcher=slurm", "hydra.launcher.partition=lab", f"runs_dir={folder}"]
    line = [sys.executable, str(ROOT / "train.py"), *sweep]
    with subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.skipif(slurm.missing() is not None, reason=f"no Slurm cluster can be started: {slurm.missing()}")
def test_a_sweep_that_slurm_cancels_ends_as_an_undisturbed_one_does(
    command: Callable[..., int], tmp_path: Path
) -> None:
    with slurm.cluster() as environment:

        def jobs() -> str:
            return subprocess.run(["squeue"], env=environment, capture_output=True, encoding="utf-8", check=True).stdout

        with launched(tmp_path / "slurm", environment) as process:
            wait_until(lambda: list(tmp_path.glob("slurm/*/seed*/checkpoints/last.ckpt")))
            subprocess.run(["scancel", "--partition=lab"], env=environment, check=True)
            wait_until(lambda: jobs().count("\n") == 1)  # the heading
            process.send_signal(signal.SIGINT)  # without accounting it does not learn that its jobs have ended
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 130, output
        cancelled = results(tmp_path / "slurm")
        half_done = [name for name, run in cancelled.items() if run["status"] == "interrupted" and run["epochs"]]
        assert half_done
        with launched(tmp_path / "slurm", environment) as process:
            output, _ = process.communicate(timeout=300)
            assert process.returncode == 0, output
    assert command(*QUESTION) == 0
    assert len(results(tmp_path / "runs")) == 4
    assert_same_runs(tmp_path / "slurm", tmp_path / "runs")
    for name in half_done:
        log = (tmp_path / "slurm" / name / "train.log").read_text(encoding="utf-8")
        assert log.count("interrupted") == 1
        assert log.count(" 1/40 ") == 1  # it went on


@pytest.mark.parametrize("launcher", ["slurm", "submitit_slurm", "submitit_local"])
def test_the_launchers_of_clusters_compose_and_instantiate(launcher: str) -> None:
    pytest.importorskip("submitit", reason="needs mnist-mlp[slurm]")
    with composing(), allowing(["hydra_plugins.*"]):
        options = instantiate(compose([f"hydra/launcher={launcher}"]).hydra.launcher).params
    assert options["submitit_folder"].startswith("runs/.sweeps/")


@pytest.mark.parametrize(
    ("launcher", "extra"), [("slurm", "slurm"), ("submitit_local", "slurm"), ("joblib", "parallel")]
)
def test_a_launcher_that_is_not_installed_is_one_line_and_status_2(launcher: str, extra: str, tmp_path: Path) -> None:
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "__init__.py").touch()  # hides those that are installed
    python = [sys.executable, "-W", "ignore:Error loading Hydra plugin"]  # Hydra 1.4 still finds their entry points
    run = [*python, str(ROOT / "train.py"), "-m", *SHORT, f"hydra/launcher={launcher}", f"runs_dir={tmp_path}"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = subprocess.run(run, env=environment, capture_output=True, encoding="utf-8")
    assert process.returncode == 2
    assert process.stderr == f"hydra/launcher={launcher} is not installed: {installing(extra)}\n"
