"""What the tests share: a cache of the unpacked data, and a command line run in this process."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from mnist_mlp.fast import start

# One cache for all workers of a test session, apart from the user's own; set before anything asks for it.
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"mnist_mlp-tests-{os.getuid()}")
os.environ["KERAS_BACKEND"] = "torch"
os.environ["OMP_NUM_THREADS"] = "1"  # each core has a worker of its own

# A fixed sample in the test suite; scripts/dev/night.sh tries new ones, a hundred times as many.
settings.register_profile("sample", max_examples=15, derandomize=True)
settings.register_profile("night", max_examples=2_500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "sample"))

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

start.prepare()  # as every command does

ROOT = Path(__file__).parents[1]
SHORT = ["data.steps_per_epoch=2", "epochs=1", "trainer=cpu"]
"""Overrides that make any run take a moment."""


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run a command line of train.py in this process, with the runs in a folder of the test's; give its exit status."""
    from mnist_mlp.cli.train import main

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments, f"runs_dir={tmp_path / 'runs'}"])
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    return run
