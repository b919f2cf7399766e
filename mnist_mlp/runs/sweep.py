"""A sweep: its jobs, how far they are, and what has become of each. Free of torch."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Literal

from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import TRAINING
from mnist_mlp.console import console, left, rendered, say, shortened, showing
from mnist_mlp.lab import notebook_run_of
from mnist_mlp.language import N_, _, figure, ngettext
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import Result, explained

Outcome = Literal["completed", "reused", "limited", "diverged", "interrupted", "failed", "not run"]


COLORS: dict[Outcome, str] = {"completed": "green", "reused": "green", "limited": "yellow", "not run": "dim"}
"""Of the outcomes; those that went wrong are red."""

WORDS: dict[Outcome, str] = {
    "completed": N_("completed"),
    "reused": N_("reused"),
    "limited": N_("limited"),
    "diverged": N_("diverged"),
    "interrupted": N_("interrupted"),
    "failed": N_("failed"),
    "not run": N_("not run"),
}
"""The outcomes as they are shown."""

ENDED = ("completed", "reused", "limited", "diverged")
"""The outcomes of jobs that have a result."""


def counted(outcome: Outcome, number: int) -> str:
    """Count jobs with an outcome."""
    said: dict[Outcome, str] = {
        "completed": ngettext("{number} completed", "{number} completed", number),
        "reused": ngettext("{number} reused", "{number} reused", number),
        "limited": ngettext("{number} limited", "{number} limited", number),
        "diverged": ngettext("{number} diverged", "{number} diverged", number),
        "interrupted": ngettext("{number} interrupted", "{number} interrupted", number),
        "failed": ngettext("{number} failed", "{number} failed", number),
        "not run": ngettext("{number} not run", "{number} not run", number),
    }
    return said[outcome].format(number=number)


OVERHEAD = 10
"""Images whose computation takes as long as the rest of an optimizer step: of published runs of batch 1 and 100."""


def work(config: Config) -> float:
    """Estimate how much a run computes: multiplications, of its images and in the place of its steps' overhead."""
    from mnist_mlp.images import DIGITS, PIXELS  # with NumPy, which --help does without

    steps = config.data.steps_per_epoch or math.ceil(TRAINING / config.data.batch)
    sizes = [PIXELS, *config.model.hidden_sizes, DIGITS]
    return config.epochs * steps * (config.data.batch + OVERHEAD) * sum(a * b for a, b in pairwise(sizes))


class Sweep:
    """The runs of a sweep, and what was known of them when it began.

    Args:
        configs: of the jobs, in order, with the labels of their folders as names.
    """

    def __init__(self, configs: list[Config]) -> None:
        self.configs = configs
        runs = [Run(config) for config in configs]
        self.before = [run.result() for run in runs]
        self.work = [0 if run.answer() else work(run.config) for run in runs]  # what is yet to be trained
        self.began = time.time()
        self.interrupted = False
        self.seconds = self.worked = 0.0

    def outcome(self, config: Config, before: Result | None) -> Outcome:
        """Say what has become of a job; one that began and left no result was interrupted with the sweep, or failed."""
        run = Run(config)
        result = run.result()
        if result is not None and result.finished:
            return "reused" if result == before and not config.overwrite else result.status
        if result is not None and result.status == "interrupted" and result != before:
            return "interrupted"
        if result is not None and result != before:
            return "failed"
        if run.began() < self.began:
            return "not run"
        return "interrupted" if self.interrupted else "failed"

    def outcomes(self) -> list[Outcome]:
        """Say what has become of each job."""
        return [self.outcome(config, before) for config, before in zip(self.configs, self.before, strict=True)]

    def table(self) -> str:
        """Lay out the jobs with their outcomes, and the reasons of those that have none."""
        from rich.text import Text

        out, outcomes = console(), self.outcomes()
        width = max(11, *(len(_(word)) for word in WORDS.values()))
        table = Text.assemble((_("job").ljust(width) + _("test").rjust(10), "bold"))
        for config, outcome in zip(self.configs, outcomes, strict=True):
            run = Run(config)
            result = run.result()
            tested = result.test if result and outcome != "failed" else None
            accuracy = figure(tested["accuracy"], ".2%") if tested else ""
            folder = shortened(str(run.folder), out.width - 12 - width) if out.is_terminal else str(run.folder)
            table.append(f"\n{_(WORDS[outcome]):<{width}}", COLORS.get(outcome, "red"))
            table.append(f"  {accuracy:>8}  {folder}")
            if outcome in ("failed", "limited", "diverged") and result and result.reason:
                table.append(f"\n    {explained(result.reason)}", "dim")
        total = ", ".join(counted(*pair) for pair in Counter(outcomes).most_common())
        jobs = ngettext("{number} job: {outcomes}", "{number} jobs: {outcomes}", len(outcomes))
        table.append("\n" + jobs.format(number=len(outcomes), outcomes=total))
        return rendered(table)

    @property
    def complete(self) -> bool:
        """Whether every job has a result."""
        return all(outcome in ENDED for outcome in self.outcomes())

    @contextmanager
    def job(self, number: int, name: str = "") -> Iterator[None]:
        """Say which job comes next where one runs after another, and about how long it and the rest take."""
        from rich.text import Text

        rest = left(self.seconds / self.worked * sum(self.work[number - 1 :]) if self.worked else 0)
        say(Text.assemble((self._job(number), "bold"), (rest, "dim"), f": {name}" if name else ""))
        began = time.monotonic()
        yield
        if self.work[number - 1]:
            self.seconds += time.monotonic() - began
            self.worked += self.work[number - 1]

    def reuses(self, number: int) -> bool:
        """Say in a line that a job is finished already, and return whether it is."""
        run = Run(self.configs[number - 1])
        if (result := run.answer()) is None:
            return False
        said = _("{job}: already {status}, {folder}")
        if result.author and result.author != run.config.author:
            said = _("{job}: already {status} by {author}, {folder}")
        job, status = self._job(number), _(result.status)
        say(said.format(job=job, status=status, author=result.author, folder=run.folder))
        return True

    def compared(self, number: int) -> bool:
        """Whether a job before this one has shown the notebook's figures of the same protocol."""
        protocol = self.configs[number - 1].data.protocol
        before = zip(self.configs[: number - 1], self.work, strict=False)
        return any(trained and each.data.protocol == protocol and notebook_run_of(each) for each, trained in before)

    def _job(self, number: int) -> str:
        return _("job {number}/{total}").format(number=number, total=len(self.configs))

    @contextmanager
    def display(self) -> Iterator[None]:
        """Show on a terminal how many jobs are done and running where several run at once, and the time left."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        bar = Progress(TextColumn(_("jobs")), BarColumn(30), MofNCompleteColumn(), TextColumn("{task.description}"))
        bar.add_task("", total=len(self.configs))

        def look() -> Progress:
            with suppress(OSError):  # a job begins anew, and its folder goes
                runs, outcomes = [Run(config) for config in self.configs], self.outcomes()
                done = [
                    outcome in ENDED or (outcome == "failed" and run.result() != before)
                    for run, outcome, before in zip(runs, outcomes, self.before, strict=True)
                ]
                running = sum(run.began() >= self.began and not ends for run, ends in zip(runs, done, strict=True))
                worked = sum(work for ends, work in zip(done, self.work, strict=True) if ends)
                rest = left((time.time() - self.began) * (sum(self.work) / worked - 1) if worked else 0)
                now = _("{number} running").format(number=running)
                bar.update(bar.task_ids[0], completed=sum(done), description=now + rest)
            return bar

        with showing(look):
            yield
