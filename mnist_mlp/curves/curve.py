"""The curves: which values each goes through, and what was measured there. Free of torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import pandas as pd

from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import TRAINING
from mnist_mlp.errors import Problem
from mnist_mlp.language import N_, _
from mnist_mlp.report.study import with_seed
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.launch import check_shared, problems_of_debugging, problems_of_devices

OWN = ("question", "experiment", "seed", "data.seed", "runs_dir", "overwrite", "test")
"""The keys that every curve itself sets, or that would change what it measures."""

STEPS = 540
"""Optimizer steps of a run of `batch_steps`: an epoch of the baseline."""

MEASURED = ("val_accuracy", "val_loss", "test_accuracy", "test_loss", "seconds", "optimizer_steps", "parameters")

Place = tuple[float, ...]
"""The value on each axis."""


@dataclass(frozen=True)
class Axis:
    """A setting that a curve varies.

    Attributes:
        column: its name in the CSV file.
        title: of the figure's axis.
        at: a value of it, within a sentence.
        keys: of the configuration, which the curve sets.
    """

    column: str
    title: str
    at: str
    keys: tuple[str, ...]


WIDTH = Axis("width", N_("units in each hidden layer"), N_("width {value}"), ("width", "model", "model.hidden_sizes"))
DEPTH = Axis("depth", N_("hidden layers"), N_("depth {value}"), WIDTH.keys)
BATCH = Axis("batch", N_("batch size"), N_("batch {value}"), ("batch", "data.batch"))
RATE = Axis("lr", N_("learning rate"), N_("learning rate {value}"), ("lr", "optimizer.lr"))


@dataclass(frozen=True)
class Curve:
    """What one command trains and draws; everything else is as in the baseline.

    Attributes:
        title: of the page.
        axes: one, or two for a map.
        points: the overrides at each place.
        margin: how far from the highest accuracy, in percentage points, counts as near it.
        timed: whether the setting changes a run's time.
        keys: those that its points set, beside the axes'.
    """

    title: str
    axes: tuple[Axis, ...]
    points: dict[Place, tuple[str, ...]]
    margin: float = 0.2
    timed: bool = True
    keys: tuple[str, ...] = ()


def _of(*columns: tuple[Axis, Sequence[float]]) -> dict[Place, tuple[str, ...]]:
    # The overrides of all combinations of the values of keys.
    axes, values = zip(*columns, strict=True)
    return {
        place: tuple(f"{axis.column}={value}" for axis, value in zip(axes, place, strict=True))
        for place in product(*values)
    }


def _equal_steps(batch: int) -> tuple[str, ...]:
    per_epoch = min(STEPS, TRAINING // batch)
    return (f"batch={batch}", f"data.steps_per_epoch={per_epoch}", f"epochs={STEPS // per_epoch}")


CURVES = {
    "width": Curve(
        N_("Width of both hidden layers"),
        (WIDTH,),
        _of((WIDTH, (4, 8, 16, 32, 50, 100, 200, 256, 350, 512, 1024, 2048))),  # with those of question 1
    ),
    "depth": Curve(
        N_("Number of hidden layers, of 200 units each"),
        (DEPTH,),
        {(depth,): (f"model.hidden_sizes=[{','.join(['200'] * depth)}]",) for depth in range(1, 13)},
    ),
    "batch": Curve(
        N_("Batch size at equal epochs"),
        (BATCH,),
        _of((BATCH, (1, 3, 10, 30, 100, 300, 1000, 3000, 6000, 10_000, 27_000, 54_000))),
    ),
    "batch_steps": Curve(
        N_("Batch size at equal optimizer steps: 540 in each run"),
        (BATCH,),
        {  # from 100 on, the steps of an epoch divide 540; before, a run sees a part of the images
            (batch,): _equal_steps(batch)
            for batch in (1, 3, 10, 30, 100, 200, 500, 1000, 2000, 4500, 9000, 18_000, 54_000)
        },
        keys=("epochs", "data.steps_per_epoch", "data", "data.dataset"),
    ),
    "lr": Curve(
        N_("Learning rate"),
        (RATE,),
        _of((RATE, (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0))),
        margin=0.5,
        timed=False,
    ),
    "map": Curve(
        N_("Batch size and learning rate"),
        (BATCH, RATE),
        _of(
            (BATCH, (1, 10, 30, 100, 1000, 10_000, 54_000)),
            (RATE, (0.00001, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1)),
        ),
        margin=0.5,
    ),
}


def jobs(curve: Curve, seeds: Iterable[int], runs_dir: str, overrides: Sequence[str]) -> list[tuple[Place, Config]]:
    """Compose the runs of a curve, the seeds of a point one after another.

    Args:
        seeds: of each point's replicates.
        runs_dir: the folder of the runs.
        overrides: further ones, the same for all runs.

    Raises:
        Problem: an override is wrong, or of a key that the curve itself sets.
    """
    own = {*OWN, *curve.keys, *(key for axis in curve.axes for key in axis.keys)}
    for text in overrides:
        if text.partition("=")[0].lstrip("+~") in own:
            said = _("{override}: the curve, --seeds or another option sets this; leave it out")
            raise Problem(said.format(override=text))
    with composing():
        check_shared(overrides)
        configs = {place: _composed([*overrides, *point], runs_dir) for place, point in curve.points.items()}
    return [(place, with_seed(config, seed)) for place, config in configs.items() for seed in seeds]


def _composed(overrides: list[str], runs_dir: str) -> Config:
    try:
        config = replace(compose_run(overrides), runs_dir=runs_dir)
    except Problem as problem:
        raise Problem(f"{' '.join(overrides)}: {problem}") from problem
    if problems := problems_of_debugging(config, sweeps=True) + problems_of_devices(config, sweeps=True):
        raise Problem("\n".join(problems))
    return config


def table(curve: Curve, jobs: Iterable[tuple[Place, Config]]) -> pd.DataFrame:
    """Tabulate the runs, a row for each: losses in nats, accuracies as fractions, the time of the epochs in seconds.

    The status of a run without a readable record is "missing".
    """
    axes = [axis.column for axis in curve.axes]
    rows = []
    for place, config in jobs:
        run = Run(config)
        result = run.result()
        row = {**dict(zip(axes, place, strict=True)), "seed": config.seed, "status": "missing"}
        row |= dict.fromkeys(MEASURED)
        if result is not None:
            last, test = result.epochs[-1] if result.epochs else None, result.test or {}
            accuracies = (last and last.val_accuracy, last and last.val_loss, test.get("accuracy"), test.get("loss"))
            measured = (*accuracies, result.fit_seconds, result.optimizer_steps, result.parameters)
            row |= {"status": result.status, **dict(zip(MEASURED, measured, strict=True))}
        rows.append(row | {"overrides": " ".join(curve.points[place]), "folder": run.id})
    counts = {"optimizer_steps": "Int64", "parameters": "Int64"}  # which leave out what is missing
    return pd.DataFrame(rows).astype(dict.fromkeys(MEASURED, "float64") | counts)
