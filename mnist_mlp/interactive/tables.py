"""Runs and their epochs as tables, a row for each."""

from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from mnist_mlp.errors import Problem
from mnist_mlp.language import _
from mnist_mlp.runs.record import RECORD, Epoch, Result, read

RUN = ("label", "seed", "status")
SETTINGS = (
    *("experiment", "question", "protocol", "dataset", "hidden_sizes", "activation", "optimizer", "lr", "batch"),
    "epochs",
)
MEASURED = ("val_loss", "val_accuracy", "test_loss", "test_accuracy", "seconds", "steps", "parameters")
EPOCH = [field.name for field in fields(Epoch)]


def results(folder: str | Path = "runs") -> pd.DataFrame:
    """Tabulate all runs of a folder that have a record, a row for each.

    Losses are in nats, accuracies are fractions, and the time of all epochs is in seconds. Validation figures are of
    the last epoch.

    Raises:
        Problem: there is no such folder.
    """
    return table(_records(folder))


def epochs(folder: str | Path = "runs") -> pd.DataFrame:
    """Tabulate all epochs of all runs of a folder, a row for each, as `results` does with runs.

    Raises:
        Problem: there is no such folder.
    """
    return table_of_epochs(_records(folder))


def table(runs: Iterable[tuple[Path, Result | None]]) -> pd.DataFrame:
    """Tabulate runs by their folders and records."""
    rows = [_row(folder, result) for folder, result in runs]
    return pd.DataFrame(rows, columns=[*RUN, *SETTINGS, *MEASURED, "folder"])


def table_of_epochs(runs: Iterable[tuple[Path, Result | None]]) -> pd.DataFrame:
    """Tabulate the epochs of runs."""
    rows = [
        {"label": result.label, "seed": result.seed, **asdict(epoch), "folder": str(folder)}
        for folder, result in runs
        if result
        for epoch in result.epochs
    ]
    return pd.DataFrame(rows, columns=["label", "seed", *EPOCH, "folder"])


def _records(folder: str | Path) -> list[tuple[Path, Result]]:
    given = Path(folder).expanduser()
    if not given.is_dir():
        raise Problem(_("{folder}: there is no such folder of runs").format(folder=folder))
    found = ((record.parent, read(record)) for record in sorted(given.glob(f"*/seed*/{RECORD}")))
    return [(path, result) for path, result in found if result]


def _row(folder: Path, result: Result | None) -> dict[str, Any]:
    if result is None:
        return {
            "label": folder.parent.name.rpartition("-")[0],
            "seed": int(folder.name[4:]),
            "status": "not run",
            "folder": str(folder),
        }
    config, last, test = result.config, result.epochs[-1] if result.epochs else None, result.test or {}
    model, optimizer = config["model"], config["optimizer"]
    activation = model["activation"]
    return {
        "label": result.label,
        "seed": result.seed,
        "status": result.status,
        "experiment": result.experiment,
        "question": result.question,
        "protocol": config["data"]["protocol"],
        "dataset": config["data"].get("dataset", "mnist"),  # which earlier records lack
        "hidden_sizes": "-".join(map(str, model["hidden_sizes"])),
        "activation": activation if isinstance(activation, str) else "-".join(activation),
        "optimizer": optimizer["_target_"].rpartition(".")[2],
        "lr": optimizer["lr"],
        "batch": config["data"]["batch"],
        "epochs": len(result.epochs),
        "val_loss": last and last.val_loss,
        "val_accuracy": last and last.val_accuracy,
        "test_loss": test.get("loss"),
        "test_accuracy": test.get("accuracy"),
        "seconds": result.fit_seconds,
        "steps": result.optimizer_steps,
        "parameters": result.parameters,
        "folder": str(folder),
    }
