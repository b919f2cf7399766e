"""A run's folder: what an interrupted replacement leaves."""

from pathlib import Path

import pytest

from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.runs.folder import Run


@pytest.fixture
def finished(tmp_path: Path) -> Run:
    with composing():
        run = Run(compose_run([f"runs_dir={tmp_path}"]))
    run.begin()
    (run.folder / "old").touch()
    return run


def left_by_a_kill(run: Run) -> Path:
    """Move the run aside as `replacing` does, without what it does at its end."""
    return run.folder.rename(run.folder.with_name(f".{run.folder.name}.replaced"))


def fail(*_: object) -> None:
    pytest.fail("nobody else has the lock")


def test_a_run_whose_replacement_was_killed_before_it_began_is_back(finished: Run) -> None:
    left_by_a_kill(finished)
    with finished.locked(fail):
        assert (finished.folder / "old").exists()


def test_what_a_begun_replacement_left_aside_is_removed(finished: Run) -> None:
    aside = left_by_a_kill(finished)
    finished.begin()
    with finished.locked(fail):
        assert not aside.exists()
        assert not (finished.folder / "old").exists()
        assert (finished.folder / "config.yaml").exists()
