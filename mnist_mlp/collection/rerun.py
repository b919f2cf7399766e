"""One drawn run of each student, trained again and compared.

It is the lab's own configuration that is trained, which has the identity in the record: no configuration that was
handed in is instantiated.
"""

import random
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from mnist_mlp.collection.coverage import Row
from mnist_mlp.collection.examination import Run, digest
from mnist_mlp.collection.verdicts import made_with
from mnist_mlp.config.schema import Config
from mnist_mlp.language import N_, _, figure
from mnist_mlp.report.study import Variant, with_seed
from mnist_mlp.runs import checkpoint, folder, machine
from mnist_mlp.runs.record import Result
from mnist_mlp.training import train

TOLERANCE = 0.01
"""As a fraction: what the test accuracy of the same configuration and seed may differ by on another kind of machine.

Rounding differences grow in training to about the effect of another seed, whose standard deviation is 0.13 points for
the baseline, and 0.5 points for batch 1 and for the learning rate 0.02 (docs/results.md).
"""

IDENTICAL, AGREES, DIFFERS = N_("identical"), N_("agrees"), N_("differs")

HARDWARE = ("device", "gpu", "cpu", "instructions", "threads", "processes", "steps_by")


class Rerun(NamedTuple):
    """A drawn run beside its repetition.

    Attributes:
        verdict: identical, agrees or differs.
        reason: a part of a sentence.
    """

    run: Run
    verdict: str
    reason: str


def draw(rows: Iterable[Row], seed: int) -> tuple[Run, Variant] | None:
    """Draw one of a student's runs; the draw depends on the seed and on the student alone."""
    choices = [(run, row.variant) for row in rows for run in row.runs if run.weights]
    distinct = list({(run.place): (run, variant) for run, variant in choices}.values())
    if not distinct:
        return None
    return random.Random(f"{seed} {distinct[0][0].student}").choice(distinct)


def again(run: Run, variant: Variant) -> Rerun:
    """Train a run again in a folder of its own, and compare.

    Raises:
        Problem: it cannot be trained on this machine.
    """
    assert run.result is not None
    with tempfile.TemporaryDirectory() as runs_dir:
        config = replace(with_seed(variant.config, run.result.seed), runs_dir=runs_dir, author=None)
        threads = run.result.hardware.get("threads")
        if type(threads) is int and 1 <= threads <= machine.cores():  # a number of them changes the last digits
            config = replace(config, trainer={**config.trainer, "threads": threads})
        train(config, show=False)
        return compare(run, *result_of(config))


def result_of(config: Config) -> tuple[Result, str]:
    """Read the record of a run, and hash the weights that it tested."""
    repeated = folder.Run(config)
    result = repeated.result()
    assert result is not None
    name = "best.ckpt" if config.test == "best" else "last.ckpt"
    return result, digest(checkpoint.read(repeated.checkpoints / name)["state_dict"])


def compare(run: Run, result: Result, weights: str) -> Rerun:
    """Compare a run with its repetition."""
    assert run.result is not None
    if run.weights == weights:
        return Rerun(run, IDENTICAL, _("the weights are the same, bit for bit"))
    recorded, repeated = (each.test["accuracy"] if each.test else None for each in (run.result, result))
    if recorded is None or repeated is None:
        said = _("recorded as {recorded}, now {repeated}")
        return Rerun(run, DIFFERS, said.format(recorded=_(run.result.status), repeated=_(result.status)))
    same_machine = all(run.result.hardware.get(name) == result.hardware.get(name) for name in HARDWARE)
    same_code = made_with(run) == made_with(replace(run, result=result))
    said = _("test accuracy {recorded}, now {repeated}, on the same kind of machine with the same code")
    if not same_machine:
        said = _("test accuracy {recorded}, now {repeated}, on another kind of machine")
    elif not same_code:
        said = _("test accuracy {recorded}, now {repeated}, with other code")
    close = abs(recorded - repeated) <= TOLERANCE and not (same_machine and same_code)
    reason = said.format(recorded=figure(recorded, ".2%"), repeated=figure(repeated, ".2%"))
    return Rerun(run, AGREES if close else DIFFERS, reason)
