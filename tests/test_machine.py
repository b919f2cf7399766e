from pathlib import Path

import pytest

from mnist_mlp import machine


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("400000 100000", 4), ("50000 100000", 1), ("1600000 100000", 8)]
)
def test_the_cores_are_those_of_the_container(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(8), raising=False)
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert machine.cores(tmp_path / "cpu.max") == cores
    assert machine.cores(tmp_path / "none") == 8


def test_the_processor_has_a_name() -> None:
    assert machine.processor()
    assert machine.instructions()
