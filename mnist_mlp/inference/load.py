"""A trained network, found by its run's folder, its label or its checkpoint, or as the best there is."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem
from mnist_mlp.runs import checkpoint
from mnist_mlp.runs.record import RECORD, Result, read

BEST = "best"


@dataclass(frozen=True)
class Trained:
    """A network with what is known of its training.

    Attributes:
        checkpoint: the file of its weights.
        model: on the CPU, in evaluation mode.
        result: the run's record; None of a checkpoint that lies outside a run's folder, as is `config`.
        config: the run's own configuration.
    """

    checkpoint: Path
    model: MNISTClassifier
    result: Result | None
    config: Config | None

    @property
    def name(self) -> str:
        """The label and seed of the run, or the checkpoint's path."""
        return f"{self.result.label}/seed{self.result.seed}" if self.result else str(self.checkpoint)

    @property
    def folder(self) -> Path | None:
        """The run's folder; None of a checkpoint outside one."""
        return self.checkpoint.parent.parent if self.result else None

    @property
    def recorded(self) -> dict[str, float] | None:
        """The record's test loss in nats and accuracy as a fraction; None unless these are the weights it tested."""
        if self.result is None or self.config is None or self.result.status != "completed":
            return None
        return self.result.test if self.checkpoint.name == _tested(self.config) else None


def load(run: str, runs_dir: str = "runs") -> Trained:
    """Load the network of a run with the weights that the run tested.

    Args:
        run: the folder of a run, or of a variant with a single seed; a label, as in `q05` or `q05/seed0`; a
            checkpoint's file; or `best`, the run with the best validation accuracy at its end. Of those with the sound
            protocol, if there are any: under the notebook's, validation images are trained on.
        runs_dir: where labels and the best are looked for.

    Raises:
        Problem: there is no such run or it is not finished, or its checkpoint is none of this project's or is damaged.
    """
    try:
        given, all_runs = Path(run).expanduser(), Path(runs_dir).expanduser()
        if given.is_file():
            model = _model(given)
            file = given if len(given.parts) > 2 else given.absolute()  # the run's folder is two above it
            folder = file.parent.parent
            result = read(folder / RECORD)
            return Trained(file, model, result, _config(result, folder) if result else None)
        folder = _best(all_runs) if run == BEST else _folder(run, given, all_runs)
    except (OSError, RuntimeError) as error:  # a name that is too long, a folder that is closed, no such user's home
        raise Problem(f"{run}: it cannot be looked for: {getattr(error, 'strerror', None) or error}") from error
    result = read(folder / RECORD)
    if result is None and (folder / RECORD).exists():
        raise Problem(f"{folder}: its {RECORD} is corrupt or of another version")
    if result is None or result.status != "completed":
        state = "is not finished" if result is None else f"is {result.status}"
        raise Problem(f"{folder}: the run {state}; finish it first: the same command resumes it")
    config = _config(result, folder)
    tested = folder / "checkpoints" / _tested(config)
    return Trained(tested, _model(tested), result, config)


def _tested(config: Config) -> str:
    return "best.ckpt" if config.test == "best" else "last.ckpt"


def _folder(run: str, given: Path, runs_dir: Path) -> Path:
    if given.is_dir():
        if given.name.startswith("seed") or (given / RECORD).exists():
            return given
        return _only_seed(given, run)
    word, _, seed = run.rstrip("/").partition("/")
    if not runs_dir.is_dir():
        raise Problem(f"{run}: there is no such folder or file, and no folder {runs_dir} of runs")
    folders = [path for path in sorted(runs_dir.glob("*-*")) if path.is_dir()]
    variants = [path for path in folders if word in (path.name, path.name.rpartition("-")[0])]
    if not variants:
        labels = sorted({path.name.rpartition("-")[0] for path in folders})
        there = f"has runs of {_some(labels)}" if labels else "has no runs"
        raise Problem(f"{run}: there is no such run in {runs_dir}, which {there}{nearest(word, labels)}")
    if len(variants) > 1:
        raise Problem(f"{run}: several configurations have this label: {_some([path.name for path in variants])}")
    if not seed:
        return _only_seed(variants[0], run)
    if not (variants[0] / seed).is_dir():
        raise Problem(f"{run}: there is no {seed}; there are {_some(_seeds(variants[0])) or 'no seeds'}")
    return variants[0] / seed


def _some(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _seeds(variant: Path) -> list[str]:
    names = [path.name for path in variant.glob("seed*") if path.name.removeprefix("seed").isdecimal()]
    return sorted(names, key=lambda name: int(name.removeprefix("seed")))


def _only_seed(variant: Path, run: str) -> Path:
    seeds = _seeds(variant)
    if not seeds:
        raise Problem(f"{run}: there is no run in it")
    if len(seeds) > 1:
        raise Problem(f"{run}: it has {_some(seeds)}; name one, as in {run.rstrip('/')}/{seeds[0]}")
    return variant / seeds[0]


def _best(runs_dir: Path) -> Path:
    found = [(path.parent, result) for path in sorted(runs_dir.glob(f"*/seed*/{RECORD}")) if (result := read(path))]
    completed = [(folder, result) for folder, result in found if result.status == "completed" and result.epochs]
    for folder, result in sorted(
        completed, key=lambda pair: (_is_sound(pair[1]), pair[1].epochs[-1].val_accuracy), reverse=True
    ):
        with suppress(Problem):  # of another version
            _config(result, folder)
            return folder
    raise Problem(f"{BEST}: there is no finished run in {runs_dir}")


def _is_sound(result: Result) -> bool:
    try:
        return bool(result.config["data"]["protocol"] == "disjoint")
    except (KeyError, TypeError):  # of another version
        return False


def _config(result: Result, folder: Path) -> Config:
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Config), result.config)
        config: Any = OmegaConf.to_object(merged)
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise Problem(f"{folder}: its {RECORD} is of another version: {str(error).splitlines()[0]}") from error
    assert isinstance(config, Config)
    return config


def _model(path: Path) -> MNISTClassifier:
    try:
        found = checkpoint.read(path)
    except FileNotFoundError as error:
        raise Problem(f"{path}: there is no such checkpoint") from error
    except OSError as error:
        raise Problem(f"{path}: it cannot be read: {error.strerror}") from error
    except checkpoint.Damaged as error:
        raise Problem(f"{path}: not loaded: corrupt, or it holds more than weights and plain values") from error
    try:
        parameters, weights = found["hyper_parameters"], found["state_dict"]
        model = MNISTClassifier(parameters["model"], parameters["optimizer"])
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        raise Problem(f"{path}: incompatible checkpoint: not made by this version of mnist-mlp") from error
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise Problem(f"{path}: its weights do not fit the network that it describes") from error
    return model.eval()
