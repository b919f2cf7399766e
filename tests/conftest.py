"""What the tests share: a cache of the unpacked data, and command lines run in this process."""

import contextlib
import getpass
import io
import os
import pickle
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hypothesis import settings

from mnist_mlp.fast import start

# One cache for all workers of a test session, apart from the user's own; set before anything asks for it.
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"mnist_mlp-tests-{getpass.getuser()}")
os.environ["KERAS_BACKEND"] = "torch"
os.environ["LC_ALL"] = "C.UTF-8"  # English
os.environ.pop("LANGUAGE", None)
os.environ.pop("MNIST_MLP_AUTHOR", None)
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


@pytest.fixture(autouse=True, scope="session")
def _compositions_of_our_own_files() -> Iterator[None]:
    """Keep them from one command to the next: a command composes for a third of its time, and these files stay."""
    compose, kept = ConfigLoaderImpl.load_configuration, dict[Any, bytes]()

    def load(self: ConfigLoaderImpl, config_name: str, overrides: list[str], *arguments: Any, **named: Any) -> Any:
        own = all(source.provider != "command-line" for source in self.get_sources())
        if not own or any("searchpath" in text for text in overrides):
            return compose(self, config_name, overrides, *arguments, **named)
        key = (os.getcwd(), *overrides, str(arguments), str(named))
        if key not in kept:
            kept[key] = pickle.dumps(compose(self, config_name, overrides, *arguments, **named))
        return pickle.loads(kept[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConfigLoaderImpl, "load_configuration", load)
        yield


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List the overrides of what Hydra composes."""
    overrides: list[str] = []
    load = ConfigLoaderImpl.load_configuration

    def counted(self: ConfigLoaderImpl, name: str, chosen: list[str], *arguments: Any, **named: Any) -> Any:
        overrides.append(" ".join(chosen))
        return load(self, name, chosen, *arguments, **named)

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", counted)
    return overrides


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Run a command line of train.py in this process, with the runs in a folder of the test's; give its exit status."""
    from mnist_mlp.cli.train import main

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments, f"runs_dir={tmp_path / 'runs'}"])
        return status_of(main)

    return run


def status_of(main: Callable[[], None]) -> int:
    """Run a command line in this process; give its exit status."""
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


class Done(NamedTuple):
    """What is left of a command that has ended, as of a process."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run one of scripts/ in this process."""

    def run(name: str, *arguments: object) -> Done:
        path, status = str(ROOT / "scripts" / name), 0
        monkeypatch.setattr(sys, "argv", [path, *map(str, arguments)])
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as stop:
                status = int(stop.code or 0)
        return Done(status, out.getvalue(), err.getvalue())

    return run
