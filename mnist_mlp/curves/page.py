"""The page of a curve: its sentences, its figure and its table, in Markdown; with them the runs as CSV."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mnist_mlp import files
from mnist_mlp.config.schema import Config
from mnist_mlp.curves.curve import Curve, Place, table
from mnist_mlp.curves.drawing import draw, svg
from mnist_mlp.curves.sample import Sample, samples
from mnist_mlp.curves.text import Points, accuracy, seconds, sentences, value
from mnist_mlp.language import _, figure
from mnist_mlp.report.figures import png
from mnist_mlp.runs.folder import Run


def write(name: str, curve: Curve, jobs: Sequence[tuple[Place, Config]], folder: Path, command: str) -> str:
    """Write NAME.md, NAME.csv, NAME.png and NAME.svg into a folder, in the language that is spoken.

    Args:
        name: of the curve.
        jobs: its runs.
        command: makes the files again.

    Returns:
        What the curve shows, in sentences.

    Raises:
        OSError: the folder cannot be written to.
    """
    files.make_folder(folder)
    runs, configs = table(curve, jobs), [config for place, config in jobs]
    points = samples(curve, runs)
    shown = sentences(curve, points)
    drawn, alt = draw(curve, points), _("{title}: test accuracy").format(title=_(curve.title))
    parts = [
        f"# {_(curve.title)}",
        shown,
        f"![{alt}]({name}.png)",
        tabulated(curve, points),
        reading(curve, configs),
        "\n".join(f"- {title}: {text}" for title, text in facts(name, configs, command)),
    ]
    with files.replacing(folder / f"{name}.csv") as partial:
        runs.to_csv(partial, index=False)
    files.write(folder / f"{name}.png", png(drawn))
    files.write(folder / f"{name}.svg", svg(drawn))
    files.write(folder / f"{name}.md", "\n\n".join(parts) + "\n")
    return shown


def tabulated(curve: Curve, points: Points) -> str:
    """Tabulate a curve with a row for each point, or a map with a row for each value of its first axis."""
    header, rows = of_map(curve, points) if len(curve.axes) > 1 else of_line(curve, points)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---:"] * len(header), *rows])


def of_line(curve: Curve, points: Points) -> tuple[list[str], list[list[str]]]:
    """Lay out a curve; a column that has nothing to say is left out."""
    every = list(points.values())
    columns = {
        _(curve.axes[0].title): [value(place[0]) for place in points],
        _("n"): [str(len(each.tests)) for each in every],
        _("test %"): [accuracy(each) if each.tests else "—" for each in every],
    }
    if any(each.failed for each in every):
        columns[_("below 50% or diverged")] = [f"{each.failed}/{each.ended}" if each.failed else "" for each in every]
    for title, numbers in (
        (_("optimizer steps"), [each.steps for each in every]),
        (_("parameters"), [each.parameters for each in every]),
    ):
        if len(set(numbers)) > 1:
            columns[title] = [figure(number, ",.0f") if number > 0 else "—" for number in numbers]
    columns[_("seconds (rough)")] = [seconds(each.seconds) for each in every]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def of_map(curve: Curve, points: Points) -> tuple[list[str], list[list[str]]]:
    """Lay out a map."""
    rows, columns = (list(dict.fromkeys(place[axis] for place in points)) for axis in (0, 1))
    header = [f"{_(curve.axes[0].title)} \\ {_(curve.axes[1].title)}", *map(value, columns)]
    return header, [[value(row), *(cell(points[row, column]) for column in columns)] for row in rows]


def cell(sample: Sample) -> str:
    """Write the test accuracy of a cell, with the share of runs that failed."""
    lost = f", {sample.failed}/{sample.ended}" if sample.failed else ""
    return (accuracy(sample) if sample.tests else "—") + lost


def reading(curve: Curve, configs: Sequence[Config]) -> str:
    """Say what the replicates vary and how the table is read."""
    split = configs[0].data.split_seed
    said = [
        _("Replicates of each point: {number}, with seeds from 0 on, {split}.").format(
            number=len({config.seed for config in configs}),
            split=_("each with its own split")
            if split is None
            else _("all of them with the split of data.split_seed={seed}").format(seed=split),
        ),
        _("± is half the 95% t-interval of the mean over them."),
        _(
            "Where a run ended below 50% or diverged, accuracies are far from normal: their median and range stand "
            "there, and how many runs it was, of those that ended."
        ),
    ]
    if len(curve.axes) == 1:
        said.append(_("Seconds are medians, and rough: they include whatever else the machine did."))
    return " ".join(said)


def facts(name: str, configs: Sequence[Config], command: str) -> list[tuple[str, str]]:
    """Say where the runs are and how they were made."""
    results = [result for config in configs if (result := Run(config).result())]
    machines = [result.hardware for result in results]
    described = (
        ", ".join(str(part) for part in (each.get("gpu") or each.get("cpu"), each.get("instructions")) if part)
        + _(", {threads} threads").format(threads=each.get("threads", "?"))
        for each in machines
    )
    packages = dict.fromkeys(package for result in results for package in result.versions)
    versions = (f"{each} {several(result.versions.get(each) for result in results)}" for each in packages)
    return [
        (_("every run"), f"[{name}.csv]({name}.csv)"),
        (_("command"), f"`{command}`"),
        (_("commit"), several(result.git or "—" for result in results)),
        (_("hardware"), several(described)),
        (_("versions"), ", ".join(versions)),
    ]


def several(values: Iterable[str | None]) -> str:
    """List values, each once."""
    return "; ".join(dict.fromkeys(str(value) for value in values))
