"""A sweep: its jobs, how far they are, and what has become of each. Free of torch."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from tqdm import tqdm

from mnist_mlp.config import Config
from mnist_mlp.runs import Result, Run

Outcome = Literal["completed", "reused", "diverged", "failed", "not run"]

FINISHED = ("completed", "diverged")


class Sweep:
    """The runs of a sweep, and what was known of them when it began.

    Args:
        configs: of the jobs, in order, with the labels of their folders as names.
    """

    def __init__(self, configs: list[Config]) -> None:
        self.configs = configs
        self.before = [Run(config).result() for config in configs]

    def outcome(self, config: Config, before: Result | None) -> Outcome:
        """Say what has become of a job."""
        result = Run(config).result()
        if result is None:
            return "not run"
        if result == before and result.status in FINISHED and not config.overwrite:
            return "reused"
        if result.status in FINISHED:
            return "completed" if result.status == "completed" else "diverged"
        return "failed" if result.status == "failed" and result != before else "not run"

    def outcomes(self) -> list[Outcome]:
        """Say what has become of each job."""
        return [self.outcome(config, before) for config, before in zip(self.configs, self.before, strict=True)]

    def table(self) -> str:
        """Lay out the jobs with their outcomes, and the reasons of those that have none."""
        outcomes = self.outcomes()
        lines = []
        for config, outcome in zip(self.configs, outcomes, strict=True):
            run = Run(config)
            result = run.result()
            accuracy = f"{result.test['accuracy']:8.2%}" if result and result.test and outcome != "failed" else " " * 8
            reason = f"  {result.reason}" if result and result.reason and outcome in ("failed", "diverged") else ""
            lines.append(f"{outcome:<9}  {accuracy}  {run.folder}{reason}")
        counts = Counter(outcomes)
        total = ", ".join(f"{number} {outcome}" for outcome, number in counts.most_common())
        return "\n".join([f"{'job':<9}  {'test':>8}", *lines, f"{len(outcomes)} jobs: {total}"])

    @property
    def complete(self) -> bool:
        """Whether every job has a result."""
        return not {"failed", "not run"} & set(self.outcomes())

    @contextmanager
    def display(self) -> Iterator[None]:
        """Show on a terminal how many jobs are done and running, and the time that is left."""
        began, ended = time.time(), threading.Event()
        bar = tqdm(total=len(self.configs), desc="jobs", unit="job", disable=None)

        def watch() -> None:
            while not ended.wait(0.5):
                outcomes = self.outcomes()
                open_runs = [
                    Run(config) for config, outcome in zip(self.configs, outcomes, strict=True) if outcome == "not run"
                ]
                bar.set_postfix_str(f"{sum(run.began() >= began for run in open_runs)} running", refresh=False)
                bar.update(len(outcomes) - len(open_runs) - bar.n)
                bar.refresh()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            bar.close()
