"""The tables of a class: on the terminal, as CSV and as one HTML page."""

import csv
import io
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from mnist_mlp import files
from mnist_mlp.collection.classroom import Collection, named
from mnist_mlp.collection.verdicts import VERDICTS, grouped, with_equal_weights
from mnist_mlp.console import shortened
from mnist_mlp.language import N_, _, language
from mnist_mlp.report.text import accuracies
from mnist_mlp.statistics import summarize_accuracies

EXPLANATIONS = {
    "copied": N_(
        "The times of the epochs are measured and never the same twice: these are copies of one training. Who trained "
        "it, the files cannot say. A group that works together is found here, too."
    ),
    "altered": N_("The record contradicts itself or its checkpoint. These runs are not counted."),
    "other code": N_(
        "Not an accusation: another version gives other last digits, and changed code can be an exercise."
    ),
    "unverified": N_("The figures could not be compared with a checkpoint. These runs are counted."),
    "incomplete": N_("These runs are not counted."),
}


def table(collection: Collection) -> str:
    """Tabulate the class for a terminal: how many variants of each question a student has with all seeds."""
    title = _("student")
    width = min(24, max(map(len, [title, *collection.students])))
    lines = ["  ".join([f"{title:<{width}}", *(f"{question:>5}" for question in collection.questions)])]
    for student in collection.students:
        done = [collection.done(student, question) for question in collection.questions]
        cells = [f"{f'{there}/{all_of_them}':>5}" for there, all_of_them in done]
        lines.append("  ".join([f"{shortened(student, width):<{width}}", *cells]))
    return "\n".join(lines)


def write(collection: Collection, folder: Path) -> None:
    """Write collection.html, collection.csv and runs.csv into a folder.

    Raises:
        OSError: the folder cannot be written to.
    """
    files.make_folder(folder)
    files.write(folder / "collection.csv", as_csv(variants(collection)))
    files.write(folder / "runs.csv", as_csv(runs(collection)))
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(str(resources.files("mnist_mlp.collection") / "templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = templates.get_template("collection.html.jinja").render(
        _=_,
        language=language(),
        collection=collection,
        explanations=EXPLANATIONS,
        found={verdict: [each for each in collection.findings if each.verdict == verdict] for verdict in VERDICTS},
        equal=with_equal_weights(collection.runs),
        named=named,
        accuracies=accuracies,
        grouped=grouped,
    )
    files.write(folder / "collection.html", page.rstrip() + "\n")


def variants(collection: Collection) -> list[dict[str, Any]]:
    """Tabulate what each student has of each variant: accuracies as fractions."""
    return [
        {
            "student": row.student,
            "author": collection.authors(row.student),
            "question": row.variant.question,
            "variant": row.variant.name,
            "protocol": row.variant.protocol,
            "seeds": len(row.runs),
            "wanted": row.wanted,
            "test_accuracy": summary.mean if summary.n else None,
            "low": None if math.isnan(summary.low) else summary.low,
            "high": None if math.isnan(summary.high) else summary.high,
        }
        for rows in collection.rows.values()
        for row in rows
        for summary in [summarize_accuracies(row.tests)]
    ]


def runs(collection: Collection) -> list[dict[str, Any]]:
    """Tabulate every run that was handed in, with what is to be looked at."""
    names = {row.variant.id: row.variant.name for rows in collection.rows.values() for row in rows}
    rows = []
    for run in collection.runs:
        found = [each for each in collection.findings if each.run is run]
        result = run.result
        again = next((each.verdict for each in collection.reruns if each.run is run), None)
        rows.append(
            {
                "student": run.student,
                "author": run.author,
                "folder": run.place,
                "variant": names.get(result.id) if result else None,
                "seed": result.seed if result else None,
                "status": result.status if result else None,
                "test_accuracy": result.test["accuracy"] if result and result.test else None,
                "evaluated_anew": run.accuracy,
                "verdicts": ", ".join(dict.fromkeys(each.verdict for each in found)),
                "reasons": "; ".join(each.reason for each in found),
                "trained_again": again,
                "started": result.started if result else None,
                "commit": result.git if result else None,
                "weights": run.weights,
            }
        )
    return rows


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows as CSV, in which a spreadsheet takes no text of a student's for a formula."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: plain(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def plain(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would calculate."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
