"""Run folders, each with a run's record, log, curves and checkpoints."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from mnist_mlp import files
from mnist_mlp.config.identity import identity
from mnist_mlp.config.schema import Config
from mnist_mlp.errors import Problem
from mnist_mlp.runs.record import RECORD, Result, read


class Run:
    """The folder of one configuration and one seed: `RUNS_DIR/LABEL-ID/seedN`.

    A folder with the same ID is found whatever its label, so that the same configuration always has the same folder.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.id = identity(config)
        self.runs_dir = Path(config.runs_dir)
        self.folder = self._find()

    def _find(self) -> Path:
        folders = sorted(path for path in self.runs_dir.glob(f"*-{self.id}") if path.is_dir())
        folder = folders[0] if folders else self.runs_dir / f"{self.config.name}-{self.id}"
        return folder / f"seed{self.config.seed}"

    @contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Lock the run. If another process holds the lock, call `waiting` and wait until that process ends.

        The operating system releases the lock of a process that is killed.
        """
        locks = self.runs_dir / ".locks"
        with files.lock(locks / self.id):  # two labels of one configuration at once: the first names the folder
            self.folder = self._find()
            files.make_folder(self.folder.parent)
        lock = files.lock(locks / f"{self.id}-seed{self.config.seed}")
        try:
            lock.acquire(timeout=0)
        except TimeoutError:
            waiting()
            lock.acquire()
        try:
            if self._aside.exists():  # a process was killed while it replaced the run
                if self.folder.exists():
                    shutil.rmtree(self._aside)
                else:
                    self._aside.rename(self.folder)
            yield
        finally:
            lock.release()

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Move the old run aside; move it back if a `Problem` prevents the new one."""
        if self.folder.exists():
            self.folder.rename(self._aside)
        try:
            yield
        except Problem:
            shutil.rmtree(self.folder, ignore_errors=True)
            if self._aside.exists():
                self._aside.rename(self.folder)
            raise
        finally:
            shutil.rmtree(self._aside, ignore_errors=True)

    @property
    def _aside(self) -> Path:
        return self.folder.with_name(f".{self.folder.name}.replaced")

    def began(self) -> float:
        """When the run last started, as a file's time; 0 if it never did."""
        config = self.folder / "config.yaml"
        return config.stat().st_mtime if config.exists() else 0

    @property
    def label(self) -> str:
        """The readable part of the folder's name."""
        return self.folder.parent.name.removesuffix(f"-{self.id}")

    @property
    def checkpoints(self) -> Path:
        """The folder of `last.ckpt` and `best.ckpt`."""
        return self.folder / "checkpoints"

    def result(self) -> Result | None:
        """Read `result.json`; None if it is missing or corrupt."""
        return read(self.folder / RECORD)

    def answer(self) -> Result | None:
        """Return the finished result, which need not be trained again; None if there is none or overwrite=true."""
        result = None if self.config.overwrite else self.result()
        return result if result is not None and result.finished else None

    def begin(self) -> None:
        """Create the folder and write `config.yaml`."""
        files.make_folder(self.folder)
        files.write(self.folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(self.config)))

    def configuration(self) -> str:
        """Read `config.yaml`."""
        return (self.folder / "config.yaml").read_text(encoding="utf-8")

    def write(self, result: Result) -> None:
        """Write `result.json` atomically."""
        files.write(self.folder / RECORD, json.dumps(asdict(result), indent=1, allow_nan=False) + "\n")
