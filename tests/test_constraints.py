"""The tested versions: within the bounds of pyproject.toml, with hashes, and wherever one gets them from."""

import re
import tomllib
from importlib import metadata

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


def test_the_versions_are_those_that_the_tests_run_with_or_say_what_to_type() -> None:
    # Elsewhere, as on other systems and with the oldest versions, others are tested.
    here = {canonicalize_name(each.name): each.version for each in metadata.distributions()}
    if here.get("torch") != PINNED["torch"] or here.get("hydra-core") != PINNED["hydra-core"]:
        pytest.skip("an environment of other versions")
    others = {name: here[name] for name in PINNED if here.get(name, PINNED[name]) != PINNED[name]}
    assert others == {}, "bash scripts/dev/constraints.sh"
