"""A sweep that was trained, from Python: its runs as a table, compared and drawn."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from mnist_mlp.config.schema import Config, DataConfig
from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem, needing
from mnist_mlp.interactive import tables
from mnist_mlp.interactive.run import TrainedRun
from mnist_mlp.language import _, ngettext
from mnist_mlp.statistics import MARGIN, compare, failed, judge, summarize, summarize_accuracies

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPARISON = (
    "configuration",
    "n",
    "mean",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "verdict",
    "detectable",
    "needed",
)


class Sweep:
    """The runs of a sweep.

    Args:
        configs: of the jobs, with the labels of their folders as names.

    Attributes:
        runs: in the order of the jobs.
        names: what distinguishes each configuration from the others of the sweep, by identity.
    """

    def __init__(self, configs: Sequence[Config]) -> None:
        runs = [TrainedRun(config) for config in configs]
        self.runs = list({run.folder: run for run in runs}.values())
        self.names = distinguishing({run.id: run.label for run in self.runs})

    def table(self) -> pd.DataFrame:
        """Tabulate the runs, a row for each, as `mnist_mlp.results` does with a folder."""
        return self._with_names(tables.table((run.folder, run.result) for run in self.runs))

    def epochs(self) -> pd.DataFrame:
        """Tabulate the epochs of all runs, a row for each."""
        return self._with_names(tables.table_of_epochs((run.folder, run.result) for run in self.runs))

    def _with_names(self, rows: pd.DataFrame) -> pd.DataFrame:
        names = {str(run.folder): self.names[run.id] for run in self.runs}
        rows.insert(0, "configuration", rows["folder"].map(names))
        return rows

    def values(self, of: str = "test_accuracy") -> dict[str, dict[int, float]]:
        """Return a figure of the completed runs, by configuration and seed.

        Args:
            of: a column of `table` with numbers.

        Raises:
            Problem: there is no such column.
        """
        table = self.table()
        numbers = [*tables.MEASURED, "epochs"]
        if of not in numbers:
            said = _("{column}: it is one of {columns}{hint}")
            raise Problem(said.format(column=of, columns=", ".join(numbers), hint=nearest(of, numbers)))
        found: dict[str, dict[int, float]] = {name: {} for name in self.names.values()}
        done = table[(table["status"] == "completed") & table[of].notna()]
        for name, seed, value in zip(done["configuration"], done["seed"], done[of], strict=True):
            found[name][seed] = float(value)
        return found

    def compare(self, reference: str = "baseline", of: str = "test_accuracy", margin: float = MARGIN) -> pd.DataFrame:
        """Compare each configuration with one of them, in pairs if each seed has a split of its own.

        Args:
            reference: a configuration, by what distinguishes it, or "baseline" for the one that nothing does.
            of: a column of `table`; of an accuracy more is better, of anything else less.
            margin: two accuracies, as fractions, are the same within it; other columns are never judged the same.

        Returns:
            A row for each configuration: the number of its completed runs, the mean with its 95% t-interval, of
            accuracies none if a run stayed below 50%, the difference from the reference with the interval that belongs
            to the verdict, and its p-value adjusted for all rows (Holm 1979). The verdict is "better", "worse", "the
            same", "undecided", or of fewer than three seeds "too few"; `detectable` is the difference that would have
            been found with a probability of 80%, `needed` the number of seeds that would probably decide what is
            undecided. If a run stayed below 50%, the difference is the median of those seed by seed, by a sign test.

        Raises:
            Problem: the sweep has no such configuration or the table no such column, or it is of other images in one
                configuration than in another.
        """
        values = self.values(of)
        if reference not in values:
            labels = list(values)
            said = _("{name}: not in this sweep, which has {names}{hint}")
            raise Problem(said.format(name=reference, names=", ".join(labels), hint=nearest(reference, labels)))
        self._check_images(of, reference)
        of_accuracy = of.endswith("accuracy")
        data = {self.names[run.id]: run.config.data for run in self.runs}
        images = {name: (_data_set(each), each.protocol, each.split_seed) for name, each in data.items()}
        others = [label for label in values if label != reference]
        comparisons = [
            compare(
                values[label],
                values[reference],
                paired=images[label] == images[reference] and data[label].split_seed is None,
                normal=not (of_accuracy and failed([*values[label].values(), *values[reference].values()])),
            )
            for label in others
        ]
        if not of_accuracy:
            comparisons = [replace(each, by=each.by.mirrored) for each in comparisons]
        judged = dict(zip(others, judge(comparisons, margin if of_accuracy else 0), strict=True))
        rows = []
        for label, own in values.items():
            summary = (summarize_accuracies if of_accuracy else summarize)(list(own.values()))
            row: tuple[str | float | None, ...] = (label, summary.n, summary.mean, summary.low, summary.high)
            if label in judged:
                found = judged[label]
                middle, low, high = comparisons[others.index(label)].difference, found.low, found.high
                if not of_accuracy:
                    middle, low, high = -middle, -high, -low
                row += (middle, low, high, found.p, found.verdict, found.detectable, found.needed)
            rows.append(dict(zip(COMPARISON, row, strict=False)))
        return pd.DataFrame(rows, columns=COMPARISON)

    def _check_images(self, of: str, reference: str) -> None:
        if not of.startswith(("val_", "test_")):
            return
        seeds: dict[int, dict[str, str]] = {}
        for run in self.runs:
            seeds.setdefault(run.seed, {})[self.names[run.id]] = _data_set(run.config.data)
        for on in seeds.values():
            if reference in on and len(set(on.values())) > 1:
                groups = {each: ", ".join(name for name in on if on[name] == each) for each in on.values()}
                listed = ", ".join(f"{each} ({names})" for each, names in groups.items())
                said = _("{column}: on different data sets, {images}; compare sweeps of one data set")
                raise Problem(said.format(column=of, images=listed))

    def plot(self, of: str = "test_accuracy", x: str = "configuration") -> "Figure":
        """Draw a figure of the runs: means with 95% t-intervals, and each run as a small point.

        Args:
            of: a column of `table`, or with `x="epoch"` one of the epochs: train_loss, val_accuracy and so on.
            x: "configuration", "epoch" for curves, or a column of `table` with numbers, as batch, lr or steps.

        Raises:
            Problem: there is no such column, or no completed run has it.
        """
        with needing("report"):
            from mnist_mlp.interactive import plots

        return plots.plot(self, of, x)

    def __repr__(self) -> str:
        """Count the runs."""
        done = sum(run.status == "completed" for run in self.runs)
        said = ngettext(
            "sweep of {number} run, {done} completed", "sweep of {number} runs, {done} completed", len(self.runs)
        )
        return f"<{said.format(number=len(self.runs), done=done)}>"

    def _repr_html_(self) -> str:
        return str(self.table().drop(columns="folder").to_html(index=False))


def _data_set(data: DataConfig) -> str:
    return f"data={data.dataset}" + (f" data.content={data.content}" if data.content else "")


def distinguishing(labels: Mapping[str, str]) -> dict[str, str]:
    """Name configurations by the parts of their labels that not all of them have, or "baseline" if there are none.

    Args:
        labels: by identity; where two are the same, as with `name=`, the identity is added.
    """
    parts = {identity: label.split(",") for identity, label in labels.items()}
    shared = set.intersection(*map(set, parts.values())) if len(parts) > 1 else set()
    names = {own: ",".join(part for part in parts[own] if part not in shared) or "baseline" for own in parts}
    several = Counter(names.values())
    return {own: f"{name}-{own}" if several[name] > 1 else name for own, name in names.items()}
