"""The examination of a run that was handed in: is its record that of its checkpoint?

A checkpoint is read without executing code, and a configuration is compared but never instantiated.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mnist_mlp.collection.students import printable
from mnist_mlp.config.identity import identity
from mnist_mlp.config.schema import Config, recorded_config
from mnist_mlp.inference import evaluation
from mnist_mlp.inference.load import load, tested_checkpoint
from mnist_mlp.language import _, figure
from mnist_mlp.runs import checkpoint
from mnist_mlp.runs.record import RECORD, Result, explained, read


@dataclass(frozen=True)
class Run:
    """A run that a student handed in.

    Attributes:
        place: its folder, within what was handed in.
        result: its record; None if there is none that can be read.
        incomplete: why it counts for nothing yet; empty for a completed or diverged run.
        altered: how the record contradicts itself or the checkpoint, a sentence each.
        unverified: why the figures could not be compared with the checkpoint; empty if they were.
        traces: what no two trainings have in common: the times of the epochs, the TensorBoard events.
        weights: a hash of the tested weights.
        accuracy: of the checkpoint on the test images, evaluated anew, as a fraction.
    """

    student: str
    place: str
    result: Result | None
    incomplete: str = ""
    altered: tuple[str, ...] = ()
    unverified: str = ""
    traces: frozenset[str] = frozenset()
    weights: str | None = None
    accuracy: float | None = None

    @property
    def counts(self) -> bool:
        """Whether it is one of the runs that were asked for."""
        return self.result is not None and not self.incomplete and not self.altered

    @property
    def author(self) -> str | None:
        """The name in the record."""
        return printable(self.result.author) if self.result and self.result.author else None


def examine(student: str, folder: Path, place: str) -> Run:
    """Examine the folder of a run."""
    result, record = read(folder / RECORD), folder / RECORD
    if result is None and record.exists():
        return Run(student, place, None, _("its record is corrupt or was made by another version"))
    if result is None:
        return Run(student, place, None, _("it has no record: it was not finished"))
    if not result.finished or result.status == "limited":
        reason = printable(explained(result.reason or _("no reason given")))
        said = _("{status}: {reason}").format(status=_(result.status), reason=reason)
        return Run(student, place, result, said)
    try:
        config = config_of(record.read_text(encoding="utf-8"), result.config)
    except ValueError as error:
        said = _("its record has a configuration that is none of this version: {reason}").format(reason=error)
        return Run(student, place, None, said)
    altered = [*contradictions(result, config, folder)]
    traces = {f"epochs {[epoch.seconds for epoch in result.epochs]}"} if result.epochs else set()
    for events in folder.glob("events.out.tfevents*"):
        traces.add(f"events {hashlib.sha256(events.read_bytes()).hexdigest()}")
    tested = folder / "checkpoints" / tested_checkpoint(config)
    weights = accuracy = None
    try:
        content = checkpoint.read(tested)
        model = content["hyper_parameters"]["model"]
        weights = digest(content["state_dict"])
        epochs = content["callbacks"]["History"]["epochs"]
        if epochs:
            traces.add(f"epochs {[epoch['seconds'] for epoch in epochs]}")
        altered += [*contradictions_of_checkpoint(result, tested.name, content, epochs)]
        unverified = ""
        if "_target_" in model:
            unverified = _("a network of the student's own code is not loaded")
        elif result.status == "diverged" or config.test == "none":
            unverified = _("it has no test figures")
        elif config.trainer["precision"] not in ("32-true", "64-true"):
            unverified = _("it was tested with {precision}").format(precision=config.trainer["precision"])
        else:
            trained = load(str(tested))
            evaluated = evaluation.evaluate(trained)
            accuracy = evaluated.accuracy
            assert result.test is not None
            if not evaluated.agrees(result.test):
                said = _(
                    "the checkpoint has {now} and a loss of {loss} on the test images, the record {recorded} and "
                    "{recorded_loss}"
                )
                altered.append(
                    said.format(
                        now=figure(accuracy, ".2%"),
                        loss=figure(evaluated.loss, ".4f"),
                        recorded=figure(result.test["accuracy"], ".2%"),
                        recorded_loss=figure(result.test["loss"], ".4f"),
                    )
                )
    except FileNotFoundError:
        unverified = "" if result.status == "diverged" else _("there is no {file}").format(file=tested.name)
    except (OSError, checkpoint.Damaged):
        said = _("{file} is corrupt, or has more than weights and plain values")
        unverified = said.format(file=tested.name)
    except Exception:  # what a stranger's checkpoint holds can raise anything
        unverified = _("{file} is not a checkpoint of this version").format(file=tested.name)
    return Run(
        student, place, result, "", tuple(dict.fromkeys(altered)), unverified, frozenset(traces), weights, accuracy
    )


def config_of(text: str, values: Any) -> Config:
    """Read a configuration without resolving anything in it.

    Raises:
        ValueError: it is not one of this version's.
    """
    if "${" in text:  # would be resolved, as to a variable of the environment; a record has none
        raise ValueError(_("it refers to other values"))
    try:
        config = recorded_config(values)
        identity(config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(printable((str(error).splitlines() or [type(error).__name__])[0])) from error
    return config


def contradictions(result: Result, config: Config, folder: Path) -> Iterator[str]:
    """Say how a record contradicts itself, its folder's name or its config.yaml."""
    if result.id != identity(config) or result.seed != config.seed:
        yield _("the configuration in the record is not that of its ID and seed")
    named = re.search(r"-([0-9a-f]{8})/seed(\d+)$", folder.absolute().as_posix())
    if named and (named[1], int(named[2])) != (result.id, result.seed):
        said = _("the folder is named {name}, seed {number}, and the record {id}, seed {seed}")
        yield said.format(name=named[1], number=named[2], id=result.id, seed=result.seed)
    file = folder / "config.yaml"
    if not file.exists():
        return
    try:
        text = file.read_text(encoding="utf-8")
        begun = config_of(text, OmegaConf.create(text))
        differs = (identity(begun), begun.seed) != (identity(config), config.seed)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        differs = True
    if differs:
        yield _("config.yaml has another configuration than the record")


def contradictions_of_checkpoint(result: Result, name: str, content: Any, epochs: Any) -> Iterator[str]:
    """Say how a record contradicts its checkpoint, which has the epochs up to its own."""
    recorded = [asdict(epoch) for epoch in result.epochs]
    whole = name == "last.ckpt" and result.status == "completed"
    if epochs != (recorded if whole else recorded[: len(epochs)]):
        yield _("the figures of the epochs are not those of the checkpoint")
    if whole and content["global_step"] != result.optimizer_steps:
        yield _("the optimizer steps are not those of the checkpoint")


def digest(state: Any) -> str:
    """Hash weights, bit for bit."""
    hashed = hashlib.sha256()
    for name in sorted(state):
        hashed.update(f"{name} {tuple(state[name].shape)} {state[name].dtype}".encode())
        hashed.update(state[name].contiguous().cpu().numpy().tobytes())
    return hashed.hexdigest()
