"""What is installed: the wheel, and what the scripts say when they cannot install."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT, SHORT

from mnist_mlp import mnist
from mnist_mlp.runs.launch import MODULES


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
    assert {"mnist_mlp/lab.json", "mnist_mlp/py.typed"} <= set(names)
    assert "mnist_mlp/locale/es/LC_MESSAGES/mnist_mlp.mo" in names
    for name in ("lab", "laboratorio"):
        assert any(path.endswith(f".data/data/share/mnist_mlp/{name}.ipynb") for path in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/mnist_mlp/mnist_files/README.md") for name in names)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run the command of the wheel, in an environment and a directory without the checkout; give what it prints.

    The environment borrows the other packages of this one, but not its .pth files, of which one names the checkout.
    """
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    def run(*arguments: str, name: str = "mnist-mlp") -> str:
        line = [str(python.with_name(name)), *arguments]
        environment = {**os.environ, "PYTHONPATH": "", "XDG_CACHE_HOME": str(folder / "cache")}
        done = subprocess.run(line, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    from_where = run("-c", "import mnist_mlp.config.compose as c; print(c.__file__, c.CONF)", name="python").split()
    assert all(Path(path).is_relative_to(site) for path in from_where)
    return run


FOLDERS = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
GROUPS = sorted(FOLDERS - {"hydra", "question", "trainer", "debug"})
APART = {*MODULES, "relu_tanh_sigmoid", "emnist_digits", "fashion", "folder", "kmnist"}
"""What needs an extra or data that is not bundled, and what is for three hidden layers, as experiment=q10 has them."""


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_the_installed_command_trains_with_every_option_of_a_group(installed: Callable[..., str], group: str) -> None:
    options = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} - APART
    printed = installed("-m", f"{group}={','.join(sorted(options))}", *SHORT, "overwrite=true")
    assert printed.splitlines()[-1] == f"{len(options)} jobs: {len(options)} completed"


@pytest.mark.slow
def test_the_installed_command_debugs(installed: Callable[..., str]) -> None:
    assert "fast_dev_run keeps no record" in installed("debug=one_batch", *SHORT)
    assert "2 jobs: 1 limited, 1 completed" in installed("-m", "debug=overfit,profile", *SHORT, "overwrite=true")


@pytest.mark.slow
def test_the_verbs_of_the_installed_command_work_outside_the_checkout(installed: Callable[..., str]) -> None:
    installed(*SHORT)
    assert "digit 9" in installed("evaluate", "best")
    assert "| `python train.py epochs=1" in installed("table", "epochs=1 data.steps_per_epoch=2 trainer=cpu")


@pytest.mark.slow
def test_the_installed_package_trains_from_python_and_collects_what_a_class_hands_in(
    installed: Callable[..., str],
) -> None:
    keys = "runs_dir='class/ana', author='Ana', show=False"
    program = f"import mnist_mlp as lab; print(lab.sweep('question=q02', 'seed=0,1,2', *{SHORT!r}, {keys}))"
    assert installed("-c", program, name="python") == "<sweep of 6 runs, 6 completed>\n"
    printed = installed("collect", "class/ana", "--questions", "q02", *(f"--set={each}" for each in SHORT[:2]))
    assert re.search(r"^ana +2/2$", printed, re.MULTILINE)


@pytest.mark.slow
def test_the_installed_command_answers_a_question(installed: Callable[..., str]) -> None:
    assert "12 jobs: " in installed("question=q01", "seed=0,1", *SHORT)


def test_the_installed_command_says_what_there_is(installed: Callable[..., str]) -> None:
    printed = installed("--help")
    assert "    mnist-mlp model=deep5 batch=1 " in printed
    assert all(path.stem in printed for path in (ROOT / "conf" / "question").glob("*.yaml"))


def test_the_installed_command_says_it_in_spanish(installed: Callable[..., str]) -> None:
    assert installed("--help", "language=es").startswith("Entrenar un perceptrón multicapa con MNIST.\n")


def test_every_requirement_names_its_oldest_version_as_oldest_sh_reads_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = sum(project["optional-dependencies"].values(), project["dependencies"])
    others = [text for text in requirements if not re.match(r"[a-z0-9-]+>=[0-9.]+(,|$)", text)]
    assert {text.split("[")[0] for text in others} == {"mnist-mlp"}


def copy_of_the_scripts(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path / "scripts"


@pytest.mark.parametrize("script", ["train.sh", "test.sh", "dev/oldest.sh", "dev/newest.sh"])
def test_an_older_python_is_told_which_one_is_needed(tmp_path: Path, script: str) -> None:
    older = tmp_path / "python3.10"
    older.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.12 && exit 0\nexit 1\n', encoding="utf-8")
    older.chmod(0o755)
    line = ["bash", str(copy_of_the_scripts(tmp_path) / script)]
    done = subprocess.run(line, env={**os.environ, "PYTHON": str(older)}, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr == (
        "Python 3.10.12 is too old: mnist_mlp needs Python 3.11 or newer; set PYTHON=/path/to/python3\n"
    )


def test_a_python_that_is_not_there_is_told(tmp_path: Path) -> None:
    line = ["bash", str(copy_of_the_scripts(tmp_path) / "train.sh")]
    done = subprocess.run(line, env={**os.environ, "PYTHON": "no-python"}, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr.startswith("no-python is not installed: install Python 3.11 or newer")


@pytest.mark.slow
def test_an_installation_that_fails_says_what_to_do(tmp_path: Path) -> None:
    scripts = copy_of_the_scripts(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'broken'\n", encoding="utf-8")
    line = ["bash", str(scripts / "train.sh")]
    done = subprocess.run(line, env={**os.environ, "PYTHON": sys.executable}, capture_output=True, encoding="utf-8")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("check them and try again.")
    assert not list(tmp_path.glob(".venv*/installed*"))
