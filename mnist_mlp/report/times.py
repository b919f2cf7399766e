"""The times of the questions' runs, as `mnist-mlp time` measures them, and what the notebook says of them.

Free of torch.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_type_hints

from mnist_mlp import files
from mnist_mlp.config.schema import Config
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.lab import notebook_run_of, notebook_runs, time_claims
from mnist_mlp.language import _

TIMES = "times.csv"
"""In the folder of the runs."""

Outcome = Literal["refuted", "open", "holds"]


@dataclass(frozen=True)
class Row:
    """A timed run, and the baseline's that was trained right after it.

    Attributes:
        question: q01 to q10; baseline for the baseline itself, which all questions share.
        variant: its name in results.csv.
        id: its identity.
        round: from 1 on.
        seconds: of all epochs.
        baseline_seconds: of all epochs of the baseline.
        threads: that PyTorch used.
        cpu: the processor, or the GPU if the runs were trained on one.
        instructions: the instruction set of the compiled kernel; empty where it was not used.
        started: when the run was started, in ISO 8601.
    """

    question: str
    variant: str
    id: str
    round: int
    seconds: float
    baseline_seconds: float
    threads: int
    cpu: str
    instructions: str
    started: str


@dataclass(frozen=True)
class Time:
    """The time of a configuration: medians, as other work on a machine can only lengthen a run.

    Attributes:
        rounds: how often it was trained.
        seconds: the median of a run's seconds.
        fastest: the least of them.
        ratio: the median of the ratios of a run's seconds to those of the baseline beside it.
        lowest: the least of these ratios.
        highest: the greatest.
        threads: that PyTorch used.
        cpu: the processor, or the GPU.
    """

    rounds: int
    seconds: float
    fastest: float
    ratio: float
    lowest: float
    highest: float
    threads: int
    cpu: str


def rows(runs_dir: str) -> list[Row]:
    """Read the timed runs; none if there is no file.

    Raises:
        Problem: the file cannot be read, or has other columns or values.
    """
    path, kinds = Path(runs_dir) / TIMES, get_type_hints(Row)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, strict=True)
            if table.fieldnames != list(kinds):
                raise ValueError
            return [_row(texts, kinds) for texts in table]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Problem(_("{path}: cannot be read: {reason}").format(path=path, reason=reason_of(error))) from error
    except (ValueError, TypeError, csv.Error) as error:
        said = _("{path}: corrupt, or of another version; delete it, and mnist-mlp time measures the times again")
        raise Problem(said.format(path=path)) from error


def _row(texts: dict[str, str], kinds: dict[str, Any]) -> Row:
    if texts.keys() != kinds.keys() or None in texts.values():  # more columns, or fewer
        raise ValueError
    row = Row(**{name: kind(texts[name]) for name, kind in kinds.items()})
    if not all(0 < seconds < inf for seconds in (row.seconds, row.baseline_seconds)):
        raise ValueError
    return row


def write(runs_dir: str, measured: Sequence[Row]) -> None:
    """Add timed runs to the file, in the place of earlier ones of the same configurations.

    Raises:
        Problem: the file there cannot be read, or the new one cannot be written.
    """
    anew = {row.id for row in measured}
    every = [*(row for row in rows(runs_dir) if row.id not in anew), *measured]
    files.make_folder(Path(runs_dir).absolute())
    with files.saving(Path(runs_dir) / TIMES) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(get_type_hints(Row)), lineterminator="\n")
        table.writeheader()
        table.writerows(map(asdict, sorted(every, key=lambda row: (row.question, row.variant, row.id, row.round))))


def by_identity(measured: Sequence[Row]) -> dict[str, Time]:
    """Summarize the timed runs of each configuration."""
    names = dict.fromkeys(row.id for row in measured)
    return {name: time_of([row for row in measured if row.id == name]) for name in names}


def time_of(measured: Sequence[Row]) -> Time:
    """Summarize the timed runs of a configuration."""
    seconds = [row.seconds for row in measured]
    ratios = [row.seconds / row.baseline_seconds for row in measured]
    first = measured[0]
    return Time(
        rounds=len(measured),
        seconds=median(seconds),
        fastest=min(seconds),
        ratio=median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        threads=first.threads,
        cpu=first.cpu,
    )


def notebook_ratio(config: Config) -> float | None:
    """Return the ratio of the notebook's seconds to those of its baseline, the network of question 1.

    It compares as many epochs of both: of question 3, whose run printed the last five of ten, it is that of a
    configuration with five. The notebook printed whole seconds: two digits of it are meant.

    Returns:
        None if the notebook printed no times of this network and training.
    """
    (usual,) = (run for run in notebook_runs() if run.question == "q01")
    for before in {run.epochs_before for run in notebook_runs()}:
        run = notebook_run_of(replace(config, epochs=config.epochs + before))
        if run is not None and run.epochs_before == before:
            return run.seconds / usual.seconds
    return None


def judge(question: str, time: Time) -> Outcome | None:
    """Judge what the notebook's answer says of time by whether all measured ratios lie inside its bounds, or outside.

    Args:
        question: q01 to q10.
        time: of the variant that the notebook ran.

    Returns:
        None if the answer says nothing of time; open if some ratios lie inside and some outside.
    """
    claim = time_claims().get(question)
    if claim is None:
        return None
    low, high = claim["low"], inf if claim["high"] is None else claim["high"]
    if low <= time.lowest and time.highest <= high:
        return "holds"
    return "refuted" if time.highest < low or time.lowest > high else "open"
