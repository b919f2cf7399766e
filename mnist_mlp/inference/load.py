"""Loads a trained network by its run's folder, its label or its checkpoint, or the best of all runs."""

import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor

from mnist_mlp import networks
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.schema import Config, DataConfig, recorded_config
from mnist_mlp.config.valid import DATASETS, nearest
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.images import CLASSES, DIGITS
from mnist_mlp.language import _
from mnist_mlp.runs import checkpoint
from mnist_mlp.runs.record import RECORD, Result, read

BEST = "best"


@dataclass(frozen=True)
class Trained:
    """A trained network with the record of its run.

    Attributes:
        checkpoint: the file of its weights.
        model: on the CPU, in evaluation mode.
        result: the run's record; None if the checkpoint is not in a run's folder.
        config: the run's configuration; None if `result` is.
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
        """The run's folder; None if the checkpoint is not in one."""
        return self.checkpoint.parent.parent if self.result else None

    @property
    def data(self) -> DataConfig:
        """The data that it was trained with, by its record or its checkpoint; MNIST if neither says so."""
        if self.config:
            return self.config.data
        known = {"dataset": "mnist", "dir": None, "content": None} | self.model.data_set
        return DataConfig(dataset=known["dataset"], dir=known["dir"], content=known["content"])

    @property
    def dataset(self) -> str:
        """The value of `data.dataset`."""
        return self.data.dataset

    @property
    def classes(self) -> list[str]:
        """The name of each of the ten outputs, of which those beyond a folder's classes have none but a number."""
        own = self.result.classes if self.result else self.model.data_set.get("classes")
        named = own or CLASSES
        return [*named, *(f"#{number}" for number in range(len(named), DIGITS))]

    @property
    def temperature(self) -> float:
        """What its logits are divided by for probabilities that mean what they say; 1 if its run did not find it."""
        return (self.result and self.result.temperature) or 1.0

    def probabilities(self, images: Float[Tensor, " samples *pixels"]) -> Float64[Tensor, "samples 10"]:
        """Compute the probabilities of the classes of images with values in [0, 1]."""
        with torch.inference_mode():
            return self.calibrated(self.model(images))

    def logits(self, digits: Sequence[Float32[np.ndarray, "views 28 28"]]) -> Float64[Tensor, "digits 10"]:
        """Compute the logits of digits: the logarithm of the mean of the probabilities over the views of each."""
        with torch.inference_mode():
            of_views = self.model(torch.from_numpy(np.concatenate(digits))).double().log_softmax(dim=1)
        parts = of_views.split([len(views) for views in digits])
        return torch.stack([part.logsumexp(dim=0) - math.log(len(part)) for part in parts])

    def calibrated(self, logits: Float[Tensor, "samples 10"]) -> Float64[Tensor, "samples 10"]:
        """Turn logits into the probabilities of the classes."""
        return (logits.double() / self.temperature).softmax(dim=1)

    @property
    def recorded(self) -> dict[str, float] | None:
        """The recorded test loss in nats and accuracy as a fraction; None unless the run tested these weights."""
        if self.result is None or self.config is None or self.result.status != "completed":
            return None
        return self.result.test if self.checkpoint.name == tested_checkpoint(self.config) else None


def load(run: str, runs_dir: str = "runs") -> Trained:
    """Load the network of a run with the weights that the run tested.

    Args:
        run: the folder of a run, or of a variant with a single seed; a label, as in `q05` or `q05/seed0`; a checkpoint
            file; or `best`, the run with the highest final validation accuracy. Runs on other data than MNIST, and
            runs with the notebook's protocol, which trains on validation images, count only if there are no others.
        runs_dir: the folder in which to look for a label or the best run.

    Raises:
        Problem: there is no such run, it is not finished, or its checkpoint is corrupt or not one of this project's.
    """
    try:
        given, all_runs = Path(run).expanduser(), Path(runs_dir).expanduser()
        if given.is_file():
            model = _model(given)
            file = given if len(given.parts) > 2 else given.absolute()  # so that it has two parents
            folder = file.parent.parent
            result = read(folder / RECORD)
            if result is None and not model.data_set:
                said = _("{path}: does not say what it was trained on; taken to be MNIST")
                print(said.format(path=given), file=sys.stderr)
            return Trained(file, model, result, _config(result, folder) if result else None)
        folder = _best(all_runs) if run == BEST else _folder(run, given, all_runs)
    except (OSError, RuntimeError) as error:  # a name that is too long, no permission, or no such user
        raise Problem(_("{path}: cannot be read: {reason}").format(path=run, reason=reason_of(error))) from error
    result = read(folder / RECORD)
    if result is None and (folder / RECORD).exists():
        said = _("{folder}: its {record} is corrupt or was written by another version")
        raise Problem(said.format(folder=folder, record=RECORD))
    if result is None or result.status != "completed":
        said = _("{folder}: the run is {status}; repeat the command that started it, which resumes it")
        status = _(result.status) if result else _("not finished")
        raise Problem(said.format(folder=folder, status=status))
    config = _config(result, folder)
    tested = folder / "checkpoints" / tested_checkpoint(config)
    return Trained(tested, _model(tested), result, config)


def tested_checkpoint(config: Config) -> str:
    """Return the name of the checkpoint with the weights that a run tests."""
    return "best.ckpt" if config.test == "best" else "last.ckpt"


def _folder(run: str, given: Path, runs_dir: Path) -> Path:
    if given.is_dir():
        if given.name.startswith("seed") or (given / RECORD).exists():
            return given
        return _only_seed(given, run)
    word, seed = (*run.rstrip("/").split("/", 1), "")[:2]
    if not runs_dir.is_dir():
        said = _("{run}: there is no such folder or file, and there is no folder {folder} of runs")
        raise Problem(said.format(run=run, folder=runs_dir))
    folders = [path for path in sorted(runs_dir.glob("*-*")) if path.is_dir()]
    variants = [path for path in folders if word in (path.name, path.name.rpartition("-")[0])]
    if not variants:
        labels = sorted({path.name.rpartition("-")[0] for path in folders})
        if labels:
            said = _("{run}: there is no such run in {folder}, which has runs of {labels}{hint}")
        else:
            said = _("{run}: there is no such run in {folder}, which has no runs{hint}")
        hint = nearest(word, [BEST, *labels] if labels else [])
        raise Problem(said.format(run=run, folder=runs_dir, labels=_some(labels), hint=hint))
    if len(variants) > 1:
        said = _("{run}: several configurations have this label: {names}")
        raise Problem(said.format(run=run, names=_some([path.name for path in variants])))
    if not seed:
        return _only_seed(variants[0], run)
    if not (variants[0] / seed).is_dir():
        there = _some(_seeds(variants[0])) or _("an empty folder")
        raise Problem(_("{run}: there is no {seed}, only {seeds}").format(run=run, seed=seed, seeds=there))
    return variants[0] / seed


def _some(names: list[str], most: int = 6) -> str:
    more = _(" and {number} more").format(number=len(names) - most)
    return ", ".join(names[:most]) + (more if len(names) > most else "")


def _seeds(variant: Path) -> list[str]:
    names = [path.name for path in variant.glob("seed*") if path.name.removeprefix("seed").isdecimal()]
    return sorted(names, key=lambda name: int(name.removeprefix("seed")))


def _only_seed(variant: Path, run: str) -> Path:
    seeds = _seeds(variant)
    if not seeds:
        raise Problem(_("{folder}: there are no runs in this folder").format(folder=run))
    if len(seeds) > 1:
        said = _("{run}: has {seeds}; choose one, as in {example}")
        raise Problem(said.format(run=run, seeds=_some(seeds), example=f"{run.rstrip('/')}/{seeds[0]}"))
    return variant / seeds[0]


def _best(runs_dir: Path) -> Path:
    records = [(path.parent, result) for path in sorted(runs_dir.glob(f"*/seed*/{RECORD}")) if (result := read(path))]
    completed = [(folder, result) for folder, result in records if result.status == "completed" and result.epochs]
    for folder, result in sorted(
        completed, key=lambda pair: (*_preferred(pair[1]), pair[1].epochs[-1].val_accuracy), reverse=True
    ):
        with suppress(Problem):  # written by another version
            _config(result, folder)
            return folder
    raise Problem(_("{run}: there is no finished run in {folder}").format(run=BEST, folder=runs_dir))


def _preferred(result: Result) -> tuple[bool, bool]:
    # Whether it is MNIST, and disjoint.
    try:
        data = result.config["data"]
        return data.get("dataset", "mnist") == "mnist", data["protocol"] == "disjoint"
    except (KeyError, TypeError, AttributeError):  # written by another version
        return False, False


def _config(result: Result, folder: Path) -> Config:
    try:
        return recorded_config(result.config)
    except ValueError as error:
        said = _("{folder}: its {record} was written by another version: {reason}")
        raise Problem(said.format(folder=folder, record=RECORD, reason=error)) from error


def _model(path: Path) -> MNISTClassifier:
    try:
        content = checkpoint.read(path)
    except FileNotFoundError as error:
        raise Problem(_("{path}: there is no such checkpoint").format(path=path)) from error
    except OSError as error:
        raise Problem(_("{path}: cannot be read: {reason}").format(path=path, reason=reason_of(error))) from error
    except checkpoint.Damaged as error:
        said = _("{path}: not loaded: corrupt, or it has more than weights and plain values")
        raise Problem(said.format(path=path)) from error
    try:
        parameters, weights = content["hyper_parameters"], content["state_dict"]
        described = parameters["model"]
        kept = path.absolute().parent.parent / networks.FILE
        instance = networks.instance_of(described, kept) if "_target_" in described else None
        model = MNISTClassifier(described, parameters["optimizer"], instance=instance)
        model.data_set = content.get("data_set") or {}
        if model.data_set and (model.data_set["dataset"] not in DATASETS or len(model.data_set["classes"]) > DIGITS):
            raise ValueError("no data set of this version")
    except Problem as problem:
        raise Problem(f"{path}: {problem}") from problem
    except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
        said = _("{path}: incompatible checkpoint: not made by this version of mnist-mlp")
        raise Problem(said.format(path=path)) from error
    try:
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        said = _("{path}: its weights do not match the network that it describes")
        raise Problem(said.format(path=path)) from error
    return model.eval()
