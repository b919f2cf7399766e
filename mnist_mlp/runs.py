"""Run folders: where a run's record, log, curves and checkpoints are."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from filelock import Timeout
from omegaconf import OmegaConf

from mnist_mlp import files
from mnist_mlp.config import Config, identity, is_observer
from mnist_mlp.problem import Problem

SCHEMA = 1
RECORD = "result.json"

Status = Literal["completed", "limited", "diverged", "failed", "interrupted"]


@dataclass
class Epoch:
    """An epoch's record: losses in nats, accuracies as fractions, and the time of its training and validation.

    The training figures are means over the epoch's samples while the weights changed. Those of the validation are None
    where a limited run left it out.
    """

    epoch: int
    seconds: float
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None


@dataclass
class Result:
    """The one record of a run that everything downstream reads: `result.json`.

    Attributes:
        status: completed, limited (an argument of the Trainer cut it short), diverged (a loss became NaN or infinite),
            failed or interrupted.
        reason: of a status other than completed.
        epochs: the first is 1.
        test: loss in nats and accuracy as a fraction; None if the run ended before it, or `test=none`.
        fit_seconds: the time of all epochs, those before an interruption included.
        optimizer_steps: taken in all.
        parameters: of the network.
        started: when the run was started (the last time, if it was interrupted), in ISO 8601.
        git: the commit of the checkout the code lies in, with "+" if it was changed; None outside one.
    """

    schema: int
    id: str
    label: str
    status: Status
    reason: str | None
    seed: int
    config: dict[str, Any]
    epochs: list[Epoch]
    test: dict[str, float] | None
    fit_seconds: float
    optimizer_steps: int
    parameters: int
    hardware: dict[str, Any]
    versions: dict[str, str]
    started: str
    git: str | None

    @property
    def finished(self) -> bool:
        """Whether the run is not trained again."""
        return self.status in ("completed", "limited", "diverged")


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


def read(record: Path) -> Result | None:
    """Read a record; None if there is none that is whole and of this version."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        result = Result(**found | {"epochs": [Epoch(**epoch) for epoch in found["epochs"]]})
        return result if _is(result, Result) and _agrees(result) else None
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _is(value: Any, kind: Any) -> bool:
    # Whether a value is of a declared kind, as are its parts; a number that is a figure is finite.
    origin, parts = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return all(_is(getattr(value, name), of) for name, of in get_type_hints(kind).items())
    if origin is Literal:
        return value in parts
    if origin is UnionType:
        return any(_is(value, each) for each in parts)
    if origin is list:
        return isinstance(value, list) and all(_is(each, parts[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(_is(each, parts[1]) for each in value.values())
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return kind is Any or type(value) is kind


def _agrees(result: Result) -> bool:
    if result.schema != SCHEMA or [epoch.epoch for epoch in result.epochs] != list(range(1, len(result.epochs) + 1)):
        return False
    if result.status != "completed":
        return True
    epochs, config = len(result.epochs), result.config
    tested = set() if config.get("test") == "none" else {"loss", "accuracy"}
    # A callback that counts, as EarlyStopping does, may end a run.
    stops_early = config.get("patience") is not None or not all(map(is_observer, config.get("callbacks", {}).values()))
    ended = 0 < epochs <= config["epochs"] if stops_early else epochs == config["epochs"]
    validated = all(epoch.val_accuracy is not None and epoch.val_loss is not None for epoch in result.epochs)
    return ended and validated and (result.test or {}).keys() == tested


def completed(variant: Path) -> dict[Path, Result]:
    """Read the records of a variant's completed runs, by their paths."""
    records = {path: read(path) for path in sorted(variant.glob(f"seed*/{RECORD}"))}
    return {path: result for path, result in records.items() if result is not None and result.status == "completed"}
