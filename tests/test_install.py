"""What is installed: the wheel, and what the scripts say when they cannot install."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, SHORT

from mnist_mlp import mnist


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    line = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(line, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_configuration_the_data_and_the_licences(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert f"mnist_mlp/conf/{path.relative_to(ROOT / 'conf')}" in names
    for name in mnist.FILES:
        assert f"mnist_mlp/mnist_files/{name}.gz" in names
    assert "mnist_mlp/lab.json" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/mnist_mlp/mnist_files/README.md") for name in names)


def test_an_installed_package_trains_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "from mnist_mlp.command import main, CONF; assert 'site' in str(CONF), CONF; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *SHORT, "experiment=q10"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/q10,*/seed0/result.json"))


def copy_of_the_scripts(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path / "scripts"


@pytest.mark.parametrize("script", ["train.sh", "test.sh"])
def test_an_older_python_is_told_which_one_is_needed(tmp_path: Path, script: str) -> None:
    older = tmp_path / "python3.10"
    older.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.12 && exit 0\nexit 1\n')
    older.chmod(0o755)
    line = ["bash", str(copy_of_the_scripts(tmp_path) / script)]
    done = subprocess.run(line, env={**os.environ, "PYTHON": str(older)}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == (
        "Python 3.10.12 is too old: mnist_mlp needs Python 3.11 or newer; name one with PYTHON=/path/to/python3\n"
    )


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    line = ["bash", str(copy_of_the_scripts(tmp_path) / "train.sh")]
    done = subprocess.run(line, env={**os.environ, "PYTHON": "no-python"}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("no-python is not there: install Python 3.11 or newer")


def test_an_installation_that_fails_says_what_to_do(tmp_path: Path) -> None:
    scripts = copy_of_the_scripts(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'broken'\n")
    line = ["bash", str(scripts / "train.sh")]
    done = subprocess.run(line, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().endswith("run the command again when these are there.")
    assert not list((tmp_path / ".venv").glob("installed*"))
