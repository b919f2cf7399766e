"""The tested versions: within the bounds of pyproject.toml, with hashes, and wherever one gets them from."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TEXT = (ROOT / "scripts" / "constraints.txt").read_text(encoding="utf-8")
PINNED = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^ ;]+)", TEXT, re.MULTILINE)}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: needed for name, needed in PROJECT["optional-dependencies"].items() if name != "bench"}
NEEDED = [Requirement(text) for text in sum(EXTRAS.values(), PROJECT["dependencies"])]


@pytest.mark.parametrize("needed", [each for each in NEEDED if each.name != "mnist-mlp"], ids=lambda each: each.name)
def test_a_tested_version_is_within_its_bounds(needed: Requirement) -> None:
    assert needed.specifier.contains(PINNED[canonicalize_name(needed.name)])


def test_every_version_has_the_hashes_of_its_files() -> None:
    parts = re.split(r"^(?=\S)", TEXT, flags=re.MULTILINE)[1:]
    assert len(parts) == len(PINNED)
    assert [part for part in parts if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", part)] == []


def test_no_index_host_or_address_is_named() -> None:
    assert re.findall(r"://|--(?!hash=)\w+|@|\w\.(?:org|com|net)\b", TEXT) == []


def test_the_suite_is_installed_with_the_tested_versions(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = --constraint ] && cat "$2"; shift; done\n', encoding="utf-8"
    )
    python.chmod(0o755)
    done = subprocess.run(["bash", str(tmp_path / "scripts" / "test.sh")], capture_output=True, encoding="utf-8")
    written = [re.fullmatch(r"([\w.-]+)==([^ ;]+)(?: ; .+)?", line) for line in done.stdout.splitlines()]
    assert {canonicalize_name(each[1]): each[2] for each in written if each} == PINNED
    assert all(written)
