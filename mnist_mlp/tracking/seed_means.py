"""Curves of a variant for TensorBoard: means over seeds and their intervals, as a separate run. Free of torch.

Its name begins with `mean of N seeds`, as TensorBoard cuts off the ends of names and sorts by their beginnings.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from mnist_mlp import files
from mnist_mlp.config.schema import Config
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import Result, completed
from mnist_mlp.statistics import summarize

OVER_EPOCHS = ("loss/train", "loss/val", "accuracy/train", "accuracy/val")
AT_THE_END = ("test/loss", "test/accuracy")

TENSORBOARD = "mnist_mlp.tracking.loggers.tensorboard"


def mean(tag: str) -> str:
    """Return the tag of a mean in a margin chart; it differs from `tag`, as each run must have all or none of them.

    These tags are for Custom scalars. TensorBoard can hide them nowhere else, but groups them last by their name.
    """
    return f"with_interval/{tag.replace('/', '_')}_mean"


def low(tag: str) -> str:
    """Return the tag of the lower end of a mean's 95% t-interval."""
    return f"with_interval/{tag.replace('/', '_')}_low"


def high(tag: str) -> str:
    """Return the tag of the upper end of a mean's 95% t-interval."""
    return f"with_interval/{tag.replace('/', '_')}_high"


def write(configs: list[Config]) -> None:
    """Write the folder `mean of N seeds/VARIANT` beside the folder of each variant with at least two completed runs.

    Args:
        configs: one or more runs of each variant.
    """
    for run in {run.id: run for run in map(Run, configs)}.values():
        if any(logger["_target_"] == TENSORBOARD for logger in run.config.logger.values()):
            with files.lock(run.runs_dir / ".locks" / "means"):
                _write(run.folder.parent)


def _write(variant: Path) -> None:
    runs = completed(variant)
    folder = variant.parent / f"mean of {len(runs)} seeds" / variant.name
    written = max((path.stat().st_mtime for path in folder.glob("events*")), default=0)
    if len(runs) < 2 or written > max(path.stat().st_mtime for path in runs):
        return
    shutil.rmtree(variant / "mean", ignore_errors=True)  # of version 0.1.0
    for earlier in variant.parent.glob("mean of * seeds"):
        shutil.rmtree(earlier / variant.name, ignore_errors=True)
        if not any(earlier.iterdir()):
            earlier.rmdir()
    writer = EventFileWriter(str(folder))
    for step, tag, value in _points(list(runs.values())):
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(step=step, wall_time=time.time(), summary=summary))
    writer.close()


def _points(results: list[Result]) -> Iterator[tuple[int, str, float]]:
    for epochs in zip(*(result.epochs for result in results), strict=True):
        for tag in OVER_EPOCHS:
            measure, stage = tag.split("/")
            yield from _with_interval(epochs[0].epoch, tag, [getattr(epoch, f"{stage}_{measure}") for epoch in epochs])
    for tag in AT_THE_END:
        values = [result.test[tag.partition("/")[2]] for result in results if result.test]
        yield from _with_interval(len(results[0].epochs), tag, values)


def _with_interval(step: int, tag: str, values: list[float]) -> Iterator[tuple[int, str, float]]:
    summary = summarize(values)
    yield step, tag, summary.mean
    yield step, mean(tag), summary.mean
    yield step, low(tag), summary.low
    yield step, high(tag), summary.high
