"""Publish a folder of runs: make docs/results/, and the tables of README.md, README.es.md and docs/results.md from it.

    python scripts/dev/publish.py
    python scripts/dev/publish.py --runs-dir runs --seeds 20

The report is that of the runs in the folder, of all seeds unless `--seeds` limits them. The pages take the answers and
the summary from it; what they say beside their tables stays as it is, and tests compare it with the published files.
Runs of the baseline that were trained with the callback noise_scale give noise_scale.csv and its table; the curves that
`mnist-mlp curve NAME --out docs/results/curves` has written give their sentences, and the times.csv of `mnist-mlp time`
the times.
"""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

try:
    import pandas as pd

    from mnist_mlp.cli.arguments import Parser, clean_exit, whole_number
    from mnist_mlp.curves.curve import CURVES
    from mnist_mlp.curves.sample import samples
    from mnist_mlp.curves.text import sentences
    from mnist_mlp.language import speaking
    from mnist_mlp.report.answers import Answers
    from mnist_mlp.report.study import Study, gather
    from mnist_mlp.report.tables import Tables
    from mnist_mlp.report.text import Words
    from mnist_mlp.report.times import notebook_ratio
    from mnist_mlp.report.write import write
    from mnist_mlp.runs.folder import Run
    from mnist_mlp.statistics import summarize
except ModuleNotFoundError as error:
    print(f"{error.name} is not installed: pip install -e .[dev]", file=sys.stderr)
    sys.exit(2)

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
IN_README = ("question", "variant", "test", "verdict", "notebook_test")
"""The columns of the summary that the README shows, of the first variant of each question or the one that is better."""


def summary(study: Study, columns: Iterable[str] | None = None) -> str:
    """Tabulate the summary in Markdown: all of it, or some columns of one variant a question."""
    words = Words()
    table = Tables(study, words).summary()
    kept = (
        list(range(len(table.header)))
        if columns is None
        else [table.header.index(words.texts["columns"][name]) for name in columns]
    )
    rows = table.rows
    if columns is not None:
        better = words.texts["verdicts"]["better"]
        rows = sorted(rows, key=lambda row: (int(row[0] or 0), not (row[0] == "1" and better in row)))
        rows = list({row[0]: row for row in reversed(rows)}.values())[::-1]
    ruler = ["---" if place in table.words else "---:" for place in kept]
    lines = [[table.header[place] for place in kept], ruler, *([row[place] for place in kept] for row in rows)]
    return "".join(f"|{'|'.join(line)}|\n" if line is ruler else f"| {' | '.join(line)} |\n" for line in lines)


def leads(study: Study) -> str:
    """List the sentence that answers each question."""
    words = Words()
    answers = Answers(study, words)
    return "".join(f"- {words.heading(name)}: **{answers.lead(name)}**\n" for name in study.questions)


def noise_scales(study: Study) -> "pd.DataFrame | None":
    """Gather the gradient noise scales of the baseline's runs, a row an epoch; None if none has measured them."""
    runs = Run(study.baselines[study.protocols[0]].config).folder.parent
    found = [
        pd.read_csv(file).assign(seed=int(file.parent.name.removeprefix("seed")))
        for file in runs.glob("seed*/noise_scale.csv")
    ]
    return pd.concat(found).sort_values(["seed", "epoch"]) if found else None


def by_epoch(scales: "pd.DataFrame") -> str:
    """Tabulate the means of the noise scales with their intervals."""
    rows = []
    for epoch, values in scales.groupby("epoch").noise_scale:
        found = summarize(list(values))
        rows.append(f"| {epoch} | {found.n} | {found.mean:,.0f} ± {found.mean - found.low:,.0f} |\n")
    return "".join(["| epoch | n | noise scale, images |\n", "|---:|---:|---:|\n", *rows])


def timed(study: Study) -> str:
    """Tabulate the times of the runs that `mnist-mlp time` has timed, each configuration once."""
    rows = ["| variant | rounds | seconds | times the baseline | lowest to highest | notebook |\n"]
    rows.append("|---|---:|---:|---:|---:|---:|\n")
    for variant in study.distinct:
        if found := study.times.get(variant.id):
            notebook = notebook_ratio(variant.config)
            ratios = f"{found.ratio:.2f} | {found.lowest:.2f} to {found.highest:.2f}"
            own = "" if notebook is None else f"{notebook:.2g}"
            rows.append(f"| `{variant.name}` | {found.rounds} | {found.seconds:.2f} | {ratios} | {own} |\n")
    return "".join(rows)


def curves() -> str:
    """List the sentences of the published curves."""
    said = []
    for name, curve in CURVES.items():
        points = samples(curve, pd.read_csv(RESULTS / "curves" / f"{name}.csv"))
        said.append(f"- [{curve.title}](results/curves/{name}.md): {sentences(curve, points)}\n")
    return "".join(said)


def spliced(text: str, heading: str, starts: str, block: str) -> str:
    """Replace the first block of lines that begin with `starts` after a heading."""
    before, after = text.split(f"\n{heading}\n", 1)
    place = re.search(rf"(?m)(^{re.escape(starts)}.*\n)+", after)
    assert place is not None, f"{heading}: no lines that begin with {starts}"
    return f"{before}\n{heading}\n{after[: place.start()]}{block}{after[place.end() :]}"


def main() -> None:
    """Write the report and the tables."""
    parser = Parser.of("Publish a folder of runs.")
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    parser.add_argument("--seeds", type=whole_number, help="number of seeds, from 0 on (all with finished runs)")
    arguments = parser.parse_args()
    seeds = None if arguments.seeds is None else range(arguments.seeds)
    study = gather(None, None, seeds, arguments.runs_dir)
    with speaking("en"):
        write(study, RESULTS, "python scripts/dev/publish.py")
        page = ROOT / "docs" / "results.md"
        text = spliced(page.read_text(encoding="utf-8"), "## The answers", "- ", leads(study))
        text = spliced(text, "## The answers", "|", summary(study))
        scales = noise_scales(study)
        if scales is not None:
            scales.to_csv(RESULTS / "noise_scale.csv", index=False, float_format="%.6g")
            text = spliced(text, "## Is it what theory says?", "|", by_epoch(scales))
        text = spliced(text, "## Times", "|", timed(study))
        page.write_text(spliced(text, "## Curves", "- ", curves()), encoding="utf-8")
    for name, language, heading in (("README.md", "en", "## The answers"), ("README.es.md", "es", "## Las respuestas")):
        with speaking(language):
            text = (ROOT / name).read_text(encoding="utf-8")
            (ROOT / name).write_text(spliced(text, heading, "|", summary(study, IN_README)), encoding="utf-8")


if __name__ == "__main__":
    with clean_exit():
        main()
