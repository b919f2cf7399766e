"""Run folders: where a run's record, log, curves and checkpoints are."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import Timeout
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
    def held(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Keep the run to this process. If another has it, call `waiting` and wait until that process ends or dies.

        The operating system takes the lock from a process that is killed.
        """
        locks = self.runs_dir / ".locks"
        with files.lock(locks / self.id):  # two labels of one configuration at once: the first names the folder
            self.folder = self._find()
            files.make_folder(self.folder.parent)
        held = files.lock(locks / f"{self.id}-seed{self.config.seed}")
        try:
            held.acquire(timeout=0)
        except Timeout:
            waiting()
            held.acquire()
        try:
            yield
        finally:
            held.release()

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Put what the folder has aside, and back if a `Problem` ends what begins anew."""
        aside = self.folder.with_name(f".{self.folder.name}.replaced")
        shutil.rmtree(aside, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(aside)
        try:
            yield
        except Problem:
            shutil.rmtree(self.folder, ignore_errors=True)
            if aside.exists():
                aside.rename(self.folder)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def began(self) -> float:
        """When the run was last begun, as a file's time; 0 if it never was."""
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
        """Read `result.json`; None if there is none that is whole."""
        return read(self.folder / RECORD)

    def answer(self) -> Result | None:
        """Give the finished result that need not be trained again; None if there is none or overwrite=true."""
        result = None if self.config.overwrite else self.result()
        return result if result is not None and result.finished else None

    def begin(self) -> None:
        """Make the folder and write `config.yaml`."""
        files.make_folder(self.folder)
        files.write(self.folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(self.config)))

    def configuration(self) -> str:
        """Read `config.yaml`."""
        return (self.folder / "config.yaml").read_text(encoding="utf-8")

    def write(self, result: Result) -> None:
        """Write `result.json` all at once."""
        files.write(self.folder / RECORD, json.dumps(asdict(result), indent=1, allow_nan=False) + "\n")
