"""Time the runs of the questions, one at a time, each in turn with the baseline.

    mnist-mlp time
    mnist-mlp time --questions q02,q06 --protocol notebook
    mnist-mlp time --questions q02,q03 --why
    mnist-mlp time --questions q07 --rounds 3 -- trainer.threads=1

The runs are trained in a temporary folder, on the CPU unless an override such as `-- trainer=auto` says otherwise, and
nothing of them is kept but their times, in `times.csv` in the folder of the runs. Other work on the machine falsifies
them.
"""

import os
import textwrap
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mnist_mlp.cli.arguments import Parser, check_writable, one_of, some_of, whole_number
from mnist_mlp.console import say, shortened
from mnist_mlp.errors import Problem
from mnist_mlp.interactive.jobs import training_function
from mnist_mlp.language import _, figure
from mnist_mlp.report import times
from mnist_mlp.report.study import PROTOCOLS, QUESTIONS, Study, Variant, gather
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import Result
from mnist_mlp.runs.sweep import Sweep

WIDTH = 80
COLUMN = 10


def measure(study: Study, rounds: int) -> list[times.Row]:
    """Time every variant once in each round, and the baseline right after it.

    The baseline is a variant, too, which shows what chance does.

    Raises:
        Problem: a run is not completed.
    """
    (baseline,) = study.baselines.values()
    turns = [(number, variant) for number in range(1, rounds + 1) for variant in study.distinct]
    sweep = Sweep([variant.config for number, variant in turns])
    say(_("warm-up: its time is dropped"))
    train(baseline)
    measured = []
    for place, (number, variant) in enumerate(turns, start=1):
        with sweep.job(place, _("{label}, round {number}").format(label=variant.name, number=number)):
            result = train(variant)
            hardware = result.hardware
            row = times.Row(
                question=variant.question if variant.changes else "baseline",
                variant=variant.name,
                id=variant.id,
                round=number,
                seconds=result.fit_seconds,
                baseline_seconds=train(baseline).fit_seconds,
                threads=hardware["threads"],
                cpu=hardware["gpu"] or hardware["cpu"],
                instructions=hardware["instructions"] or "",
                started=result.started,
            )
            measured.append(row)
    return measured


def train(variant: Variant) -> Result:
    """Train a variant in a temporary folder, and return its record.

    Raises:
        Problem: the run is not completed.
    """
    with TemporaryDirectory(dir=variant.config.runs_dir) as folder:
        config = replace(variant.config, runs_dir=folder)
        training_function()(config, show=False)
        result = Run(config).result()
    if result is None or result.status != "completed":
        said = _("{label}: {status}, but only a completed run is timed; nothing was written")
        raise Problem(said.format(label=variant.name, status=_(result.status if result else "not run")))
    return result


def table(variants: Iterable[Variant], found: dict[str, times.Time]) -> str:
    """Tabulate the times of variants within 80 columns."""
    header = (_("variant"), _("seconds"), _("ratio"), _("fastest"), _("notebook"))
    rows = [header, *(_cells(variant, found[variant.id]) for variant in variants)]
    width = WIDTH - COLUMN * (len(header) - 1)
    lines = [
        shortened(name, width).ljust(width) + "".join(number.rjust(COLUMN) for number in numbers)
        for name, *numbers in rows
    ]
    said = _(
        "seconds: the median of a run's; ratio: the median of the ratios to the baseline beside it; fastest: "
        "the least seconds; notebook: the notebook's own ratio."
    )
    return "\n".join([*lines, textwrap.fill(said, WIDTH)])


def _cells(variant: Variant, time: times.Time) -> tuple[str, ...]:
    notebook = times.notebook_ratio(variant.config)
    own = (figure(time.seconds, ".2f"), figure(time.ratio, ".2f"), figure(time.fastest, ".2f"))
    return (variant.name, *own, "" if notebook is None else figure(notebook, ".2g"))


def main() -> None:
    """Parse the command line, time the runs, write the times and print them."""
    parser = Parser.of(_("Time the runs of the questions, one at a time, each in turn with the baseline."))
    protocols = tuple(PROTOCOLS)
    parser.add_argument("--questions", type=some_of(QUESTIONS), default=QUESTIONS, help=_("as in q01,q05 (all)"))
    parser.add_argument("--why", action="store_true", help=_("also the variants that explain the answers"))
    parser.add_argument("--rounds", type=whole_number, default=5, help=_("how often each variant is trained (5)"))
    parser.add_argument(
        "--protocol", type=one_of(protocols), default=protocols[0], help=_("disjoint or notebook (disjoint)")
    )
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of times.csv (runs)"))
    parser.add_argument("overrides", nargs="*", help=_("after --: overrides of train.py, the same for all runs"))
    arguments = parser.parse_args()
    check_writable("--runs-dir", arguments.runs_dir)
    times.rows(arguments.runs_dir)  # finds a corrupt file now rather than after the last run
    trainer = [] if any(text.startswith("trainer=") for text in arguments.overrides) else ["trainer=cpu"]
    with TemporaryDirectory() as folder:
        overrides = (*trainer, *arguments.overrides)
        study = gather(arguments.questions, [arguments.protocol], [0], folder, overrides, why=arguments.why)
        measured = measure(study, arguments.rounds)
    times.write(arguments.runs_dir, measured)
    print(table(study.distinct, times.by_identity(times.rows(arguments.runs_dir))))
    print(Path(arguments.runs_dir) / times.TIMES)
