"""The report: a study as Markdown, one HTML page, figures and a table of results. Free of torch."""

from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from mnist_mlp import files
from mnist_mlp.lab import PROTOCOLS
from mnist_mlp.language import _, language
from mnist_mlp.report import times
from mnist_mlp.report.answers import Answers
from mnist_mlp.report.figures import Pictures
from mnist_mlp.report.study import Study
from mnist_mlp.report.tables import Tables
from mnist_mlp.report.text import Words, unbroken


def write(study: Study, folder: Path, command: str) -> None:
    """Write report.md, report.html, the tables of runs and figures/ into a folder, in the language that is spoken.

    results.csv has a row a run, epochs.csv a row an epoch, and correct.npz which test images each run has right: a row
    of bits (numpy.packbits) for each `folder` and `seed`.

    Args:
        command: makes the report again.

    Raises:
        OSError: the folder cannot be written to.
    """
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with files.replacing(folder / "results.csv") as partial:
        study.table().to_csv(partial, index=False)
    with files.replacing(folder / "epochs.csv") as partial:
        study.epochs().to_csv(partial, index=False, float_format="%.6g")
    if study.timed:
        times.write(str(folder), study.timed)
    known = [(result.id, result.seed, result.right) for result in study.results() if result.right is not None]
    with files.replacing(folder / "correct.npz") as partial, partial.open("wb") as file:
        columns = zip(*known, strict=True) if known else ([], [], [])
        folders, seeds, right = (np.array(list(column)) for column in columns)
        np.savez_compressed(file, folder=folders, seed=seeds, correct=np.packbits(right.astype(bool), axis=-1))
    words = Words()
    tables, answers, pictures = Tables(study, words), Answers(study, words), Pictures(study, words)
    overview, all_curves = pictures.overview(), pictures.all_curves()
    sections: list[dict[str, Any]] = [
        {
            "question": question,
            "heading": words.heading(question),
            "asks": words.about(question)["asks"],
            "lead": answers.lead(question),
            "answer": answers.answer(question),
            "targets": answers.targets_of(question),
            "why": answers.why(question),
            "gaps": answers.gaps(question),
            "notebook": answers.notebook(question),
            "table": tables.of(question),
            "explaining": tables.of(question, explains=True),
            "pictures": [pictures.curves(question, protocol) for protocol in study.protocols],
        }
        for question in study.questions
    ]
    for picture in [overview, all_curves, *(picture for section in sections for picture in section["pictures"])]:
        files.write(folder / "figures" / f"{picture.name}.png", picture.png)
        files.write(folder / "figures" / f"{picture.name}.pdf", picture.pdf)
    for kind, finalize in (("md", None), ("html", unbroken)):
        templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(str(resources.files("mnist_mlp.report") / "templates")),
            autoescape=kind == "html",
            undefined=jinja2.StrictUndefined,
            finalize=finalize,
        )
        text = templates.get_template(f"report.{kind}.jinja").render(
            texts=words.texts,
            language=language(),
            notes=notes(study, words),
            summary_of=words.texts["summary_of"].format(_(PROTOCOLS[study.protocols[0]])),
            summary=tables.summary(),
            reading=[text.format(words.margin(study), study.compared) for text in words.texts["reading"]],
            overview=overview,
            all_curves=all_curves,
            printed=answers.printed(),
            leak=tables.leak() if len(study.protocols) > 1 else None,
            sections=sections,
            facts=facts(study, words, command),
            marks={words.texts["verdicts"][verdict]: verdict for verdict in ("better", "worse")},
        )
        files.write(folder / f"report.{kind}", text.rstrip() + "\n")


def notes(study: Study, words: Words) -> list[str]:
    """Return what the reader has to know before the first table."""
    config = study.baselines[study.protocols[0]].config
    split = config.data.split_seed
    return [
        words.texts["baseline"].format(words.network(config)),
        words.texts["replicates"]["own" if split is None else "shared"].format(split),
        *(words.texts["protocols"][protocol] for protocol in study.protocols),
    ]


def facts(study: Study, words: Words, command: str) -> list[tuple[str, str]]:
    """Describe from the records how the runs were made."""
    results = list(study.results())
    packages = dict.fromkeys(package for result in results for package in result.versions)
    versions = [f"{name} {several(result.versions.get(name) for result in results)}" for name in packages]
    variants = {variant.id: variant for variant in study.variants}.values()
    kinds = ("completed", "diverged", "missing")
    counts = {kind: sum(len(getattr(variant, kind)) for variant in variants) for kind in kinds}
    found = {
        "command": command,
        "commit": several(result.git or words.texts["no_commit"] for result in results),
        "versions": ", ".join(versions) or "—",
        "hardware": several(words.hardware(result) for result in results),
        "dates": several(sorted(result.started[:10] for result in results)),
        "runs": words.texts["runs"].format(**counts),
    }
    if study.left_out:
        found["left_out"] = counted(study.left_out)
    return [(words.texts["facts"][name], value) for name, value in found.items()]


def counted(numbers: Mapping[str, int]) -> str:
    """List names with their numbers, as in fashion (3), kmnist (1)."""
    return ", ".join(f"{name} ({number})" for name, number in numbers.items())


def several(values: Iterable[str | None]) -> str:
    """List values, each once."""
    return "; ".join(dict.fromkeys(str(value) for value in values)) or "—"
