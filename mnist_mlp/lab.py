"""The lab: what each question asks, and what the notebook printed."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NoReturn

from mnist_mlp.config.identity import what_counts
from mnist_mlp.config.schema import Config
from mnist_mlp.language import N_

PROTOCOLS = {"disjoint": N_("disjoint protocol"), "notebook": N_("notebook protocol")}
"""The protocols as they are shown."""

KERAS_ADAM = {"_target_": "torch.optim.Adam", "_partial_": True, "betas": [0.9, 0.999], "eps": 1e-7}


@dataclass(frozen=True)
class NotebookRun:
    """A network as the notebook ran it, with its printed figures: losses in nats, accuracies as fractions.

    Attributes:
        question: q01 to q10.
        ran: hidden, activation, lr, batch and epochs.
        as_asked: whether it is what the question asks for.
        epochs: of each printed epoch the seconds, loss, accuracy, val_loss and val_accuracy.
        epochs_before: epochs the network had been trained for before those that were printed.
        test: loss and accuracy.
    """

    question: str
    ran: dict[str, Any]
    as_asked: bool
    epochs: list[dict[str, float]]
    epochs_before: int
    test: dict[str, float]

    @property
    def seconds(self) -> float:
        """The time of the printed epochs."""
        return sum(epoch["seconds"] for epoch in self.epochs)


@cache
def _lab() -> dict[str, Any]:
    return json.loads((resources.files("mnist_mlp") / "lab.json").read_text(encoding="utf-8"))


def questions() -> dict[str, dict[str, Any]]:
    """Return each question's title, what it asks, what the notebook ran and answered; the catalogue has the texts."""
    return _lab()["questions"]


def claims() -> dict[str, dict[str, Any]]:
    """Return what the notebook's answer to each question claims: a kind, a quantity, and a bound as a fraction."""
    return _lab()["claims"]


def time_claims() -> dict[str, dict[str, Any]]:
    """Return what the notebook's answers claim about time, by question.

    The bounds are those of the ratio to the baseline's time for which one would choose the answer's words: "nearly 50%
    more" is nearer to that than to 30% or 70%, twice is the nearest multiple, "close, a little lower" is within a
    quarter. `high` is None where there is none.
    """
    return _lab()["time_claims"]


@cache
def notebook_runs() -> list[NotebookRun]:
    """List what the notebook ran, a run for each question."""
    runs = []
    for name, question in questions().items():
        before = question.get("epochs_before", 0)
        as_asked = question["ran"] == question["asked"] and not before
        runs.append(NotebookRun(name, question["ran"], as_asked, question["epochs"], before, question["test"]))
    return runs


def notebook_run_of(config: Config) -> NotebookRun | None:
    """Find the notebook's run of the same network and training, under either protocol."""
    counts = what_counts(config)
    for run in notebook_runs():
        if (
            counts.keys() == {"model", "optimizer", "data", "epochs", "precision", "test"}  # nothing beyond the lab
            and counts["model"]
            == {"hidden_sizes": run.ran["hidden"], "activation": run.ran["activation"], "init": "glorot"}
            and counts["optimizer"] == {**KERAS_ADAM, "lr": run.ran["lr"]}
            and counts["precision"] == "32-true"
            and counts["test"] == "last"
            and not counts["data"].keys() & {"order_seed", "dataset"}
            and counts["data"]["batch"] == run.ran["batch"]
            and counts["data"]["steps_per_epoch"] is None
            and counts["epochs"] == run.epochs_before + run.ran["epochs"]
        ):
            return run
    return None


if not TYPE_CHECKING:  # mypy would take every name for one of this module

    def __getattr__(name: str) -> NoReturn:  # of who has typed `from mnist_mlp import lab`
        raise AttributeError(f"{__name__} has no {name}; to train, type `import mnist_mlp as lab`")
