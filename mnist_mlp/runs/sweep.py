"""A sweep: its jobs, how far they are, and what has become of each. Free of torch."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from tqdm import tqdm

from mnist_mlp.config.schema import Config
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import Result

Outcome = Literal["completed", "reused", "limited", "diverged", "interrupted", "failed", "not run"]


ENDED = ("completed", "reused", "limited", "diverged")
"""The outcomes of jobs that have a result."""


class Sweep:
    """The runs of a sweep, and what was known of them when it began.

    Args:
        configs: of the jobs, in order, with the labels of their folders as names.
    """

    def __init__(self, configs: list[Config]) -> None:
        self.configs = configs
        self.before = [Run(config).result() for config in configs]
        self.began = time.time()

    def outcome(self, config: Config, before: Result | None) -> Outcome:
        """Say what has become of a job; one that was begun and left no result has failed."""
        run = Run(config)
        result = run.result()
        if result is not None and result.finished:
            return "reused" if result == before and not config.overwrite else result.status
        if result is not None and result.status == "interrupted" and result != before:
            return "interrupted"
        begun = (result is not None and result != before) or run.began() >= self.began
        return "failed" if begun else "not run"

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
            told = outcome in ("failed", "limited", "diverged")
            reason = f"  {result.reason}" if told and result and result.reason else ""
            lines.append(f"{outcome:<11}  {accuracy}  {run.folder}{reason}")
        counts = Counter(outcomes)
        total = ", ".join(f"{number} {outcome}" for outcome, number in counts.most_common())
        return "\n".join([f"{'job':<11}  {'test':>8}", *lines, f"{len(outcomes)} jobs: {total}"])

    @property
    def complete(self) -> bool:
        """Whether every job has a result."""
        return not {"interrupted", "failed", "not run"} & set(self.outcomes())

    @contextmanager
    def display(self) -> Iterator[None]:
        """Show on a terminal how many jobs are done and running, and the time that is left."""
        ended = threading.Event()
        bar = tqdm(total=len(self.configs), desc="jobs", unit="job", disable=None)

        def watch() -> None:
            while not ended.wait(0.5):
                runs = [Run(config) for config in self.configs]
                outcomes = self.outcomes()
                done = [
                    outcome in ENDED or (outcome == "failed" and run.result() != before)
                    for run, outcome, before in zip(runs, outcomes, self.before, strict=True)
                ]
                begun = [run.began() >= self.began for run in runs]
                running = sum(begins and not ends for begins, ends in zip(begun, done, strict=True))
                bar.set_postfix_str(f"{running} running", refresh=False)
                bar.update(sum(done) - bar.n)
                bar.refresh()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            bar.close()
