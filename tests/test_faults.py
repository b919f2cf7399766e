"""A sample of what scripts/dev/faults.py does by the hundred: sweeps that are broken, and end as others do."""

import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "dev"))
try:
    import faults
finally:
    sys.path.remove(str(ROOT / "scripts" / "dev"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs that nothing disturbed."""
    folder = tmp_path_factory.mktemp("completed")
    faults.completed(folder)
    return folder


@pytest.fixture
def undisturbed(completed: Path) -> dict[str, Any]:
    return faults.finished(completed)


@pytest.mark.parametrize("name", ["kill", "disk", "damage"])
def test_a_broken_sweep_loses_nothing_and_ends_as_an_undisturbed_one(
    name: str, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    said = faults.FAULTS[name](tmp_path, undisturbed, 2, random.Random(1))
    assert said
    assert len(undisturbed) == 2


def test_what_differs_from_the_undisturbed_run_is_found(
    completed: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(completed, tmp_path, dirs_exist_ok=True)
    (record, *_) = tmp_path.glob("*/seed0/result.json")
    record.write_text(record.read_text(encoding="utf-8").replace('"val_loss": ', '"val_loss": 1'), encoding="utf-8")
    with pytest.raises(faults.Broken, match="differs from the undisturbed run"):
        faults.check(tmp_path, undisturbed, complete=False)
    record.unlink()
    with pytest.raises(faults.Broken, match="instead of"):
        faults.check(tmp_path, undisturbed, complete=True)
