"""The record of a run, result.json, which everything downstream reads. Free of torch."""

import json
import math
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from mnist_mlp.config.identity import is_observer
from mnist_mlp.language import N_, _

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 1


RECORD = "result.json"

REASONS = (
    N_("the training loss became {value} at optimizer step {step}"),
    N_("the validation loss became {value} in epoch {epoch}"),
    N_("the time is over"),
    N_("stopped before its first epoch"),
    N_("stopped within epoch {epoch}"),
    N_("by the user"),
)
"""Reasons of a status as records have them, always in English."""


Status = Literal["completed", "limited", "diverged", "failed", "interrupted"]


@dataclass
class Epoch:
    """An epoch's record: losses in nats, accuracies as fractions, and the time of its training and validation.

    The training figures are means over the epoch's samples while the weights changed. Those of the validation are None
    if a limited run skipped it.
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
        git: the commit of the checkout that holds the code, with "+" if it was changed; None outside one.
        experiment: option of the group, or none. This and the next two are None in records of version 0.1.0.
        question: q01 to q10, baseline (which all questions share) or none, as on other data than MNIST.
        protocol: disjoint or notebook.
        classes: their names, in the order of the network's outputs; None in earlier records, whose classes are digits.
        correct: `images`, their number, and `bits`, a bit for each that was classified correctly, as `packed` gives it;
            None in earlier records, and if not all test images were used.
        temperature: what to divide the logits by for probabilities that mean what they say, found on the validation
            images; None in earlier records, and without a test.
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
    experiment: str | None = None
    question: str | None = None
    protocol: str | None = None
    classes: list[str] | None = None
    correct: dict[str, Any] | None = None
    temperature: float | None = None

    @property
    def right(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]] | None":
        """Which test images were classified correctly, in their order; None if the record does not have it."""
        if self.correct is None:
            return None
        import numpy as np  # which --help does without

        packed = np.frombuffer(b64decode(self.correct["bits"]), np.uint8)
        return np.unpackbits(packed, count=self.correct["images"]).astype(bool)

    @property
    def author(self) -> str | None:
        """Who trained the run; None if nobody said so, as in records of version 0.1.0."""
        return self.config.get("author") or None

    @property
    def finished(self) -> bool:
        """Whether the run is not trained again."""
        return self.status in ("completed", "limited", "diverged")


def read(record: Path) -> Result | None:
    """Read a record; None if it is missing, corrupt, or made by an incompatible version."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))
        result = Result(**found | {"epochs": [Epoch(**epoch) for epoch in found["epochs"]]})
        return result if _is(result, Result) and _agrees(result) else None
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def packed(right: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> dict[str, Any]:
    """Pack which test images were classified correctly, eight a byte, in Base64."""
    import numpy as np

    return {"images": len(right), "bits": b64encode(np.packbits(right).tobytes()).decode()}


def explained(reason: str) -> str:
    """Translate the reason of a status, to show it; that of an error, or an argument, stays as it is."""
    for template in REASONS:
        if found := re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>.+)", template), reason):
            return _(template).format(**found.groupdict())
    return reason


def _is(value: Any, kind: Any) -> bool:
    # Whether a value and its parts have the declared types; numbers must be finite.
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
