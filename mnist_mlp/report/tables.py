"""The tables of a report."""

import math
from dataclasses import dataclass

from mnist_mlp.lab import NotebookRun, notebook_run_of
from mnist_mlp.language import figure
from mnist_mlp.report import times
from mnist_mlp.report.study import Study, Variant, on_test, on_validation
from mnist_mlp.report.text import Words, number, points, probability

WORDS = ("question", "variant", "data", "verdict", "verdict_validation")
"""The columns that are not numbers."""


@dataclass(frozen=True)
class Table:
    """Cells as text; `words` are the columns that are not numbers, `name` that of the variants."""

    header: list[str]
    rows: list[list[str]]
    words: tuple[int, ...]
    name: int


class Tables:
    """Lays out the figures."""

    def __init__(self, study: Study, words: Words) -> None:
        self.study, self.words = study, words

    def table(self, rows: list[dict[str, str]]) -> Table:
        """Put cells by column under their titles."""
        columns = list(rows[0])
        text = tuple(columns.index(name) for name in WORDS if name in columns)
        header = [self.words.texts["columns"][name] for name in columns]
        return Table(header, [list(row.values()) for row in rows], text, columns.index("variant"))

    def cells(self, variant: Variant) -> dict[str, str]:
        """Return what the tables say of a variant, by column."""
        notebook = notebook_run_of(variant.config)
        return {
            "question": variant.question[1:].lstrip("0"),
            "variant": self.words.name(variant, in_table=True),
            "data": self.words.texts["data"][variant.protocol],
            "n": str(len(variant.completed)),
            "validation": self.words.accuracy(self.study, variant, on_validation),
            "notebook_validation": number(100 * notebook.epochs[-1]["val_accuracy"]) if notebook else "",
            "test": self.words.accuracy(self.study, variant, on_test),
            "notebook_test": number(100 * notebook.test["accuracy"]) if notebook else "",
        }

    def compared(self, variant: Variant) -> dict[str, str]:
        """Return what the tables say of a variant's difference from the baseline, in the family of its question."""
        names = (
            "difference",
            "other_digits",
            "p",
            "verdict",
            "detectable",
            "difference_validation",
            "verdict_validation",
        )
        difference = self.study.differences.get(variant.id)
        if difference is None or not difference.test.n:
            return dict.fromkeys(names, "" if difference is None else "—")
        judgement, validated = self.study.judged_in(variant), self.study.judged_in(variant, "validation")
        together = difference.test.together
        low, high = together.interval(judgement.level) if together else (math.nan, math.nan)
        cells = (
            points(difference.test, judgement.level),
            "—" if math.isnan(low) else f"± {figure(50 * (high - low), '.2f')}",
            probability(judgement.p),
            self.words.verdict(judgement),
            number(100 * judgement.detectable),
            points(difference.validation, validated.level),
            self.words.verdict(validated),
        )
        return dict(zip(names, cells, strict=True))

    def timed(self, variant: Variant) -> dict[str, str]:
        """Return what the tables say of a variant's time; nothing if it was not timed."""
        time, notebook = self.study.times.get(variant.id), notebook_run_of(variant.config)
        ratio = times.notebook_ratio(variant.config)
        return {
            "seconds": number(time.seconds, 1) if time else "",
            "ratio": number(time.ratio) if time else "",
            "notebook_seconds": self._seconds(notebook) if notebook else "",
            "notebook_ratio": "" if ratio is None else number(ratio, 1),
        }

    def _seconds(self, notebook: NotebookRun) -> str:
        printed, every = len(notebook.epochs), len(notebook.epochs) + notebook.epochs_before
        whole = number(notebook.seconds, 0)
        return whole if printed == every else self.words.texts["last_epochs"].format(whole, printed, every)

    def summary(self) -> Table:
        """Tabulate every variant that is asked for under the first protocol, the baseline once."""
        protocol = self.study.protocols[0]
        variants = [each for question in self.study.questions for each in self.study.of(question, protocol)]
        rows = []
        for each in [self.study.baselines[protocol], *(each for each in variants if each.changes)]:
            cells, judgement = self.cells(each), self.study.judged.get(each.id)
            rows.append(
                {
                    **{name: cells[name] for name in ("question", "variant", "n", "validation", "test")},
                    "verdict": self.words.verdict(judgement) if judgement and each.completed else "",
                    **{name: cells[name] for name in ("notebook_validation", "notebook_test")},
                }
            )
        return self.table(rows)

    def of(self, question: str, explains: bool = False) -> Table | None:
        """Tabulate a question's variants without the baseline, under one protocol after the other; None if it has none.

        Args:
            question: q01 to q10.
            explains: those that explain the answer, instead of those that are asked for.
        """
        variants = [
            each
            for protocol in self.study.protocols
            for each in self.study.of(question, protocol, explains)
            if each.changes
        ]
        places = {str(each.changes): place for place, each in reversed(list(enumerate(variants)))}
        variants.sort(key=lambda each: places[str(each.changes)])
        left_out = {"question", *([] if len(self.study.protocols) > 1 else ["data"])}
        if explains:
            left_out |= {"notebook_validation", "notebook_test"}
        if not any(each.id in self.study.times for each in variants):
            left_out |= {"seconds", "ratio", "notebook_seconds", "notebook_ratio"}
        rows = [{**self.cells(each), **self.compared(each), **self.timed(each)} for each in variants]
        return self.table([{name: row[name] for name in row if name not in left_out} for row in rows]) if rows else None

    def leak(self) -> Table:
        """Set the protocols side by side."""
        variants = [each for each in self.study.variants if each.protocol == "disjoint" and not each.explains]
        distinct = {each.id: each for each in [self.study.baselines["disjoint"], *variants]}
        rows = []
        for disjoint in distinct.values():
            leaking, cells = self.study.twin(disjoint, "notebook"), self.cells(disjoint)
            row = {
                "variant": cells["variant"],
                "validation_disjoint": cells["validation"],
                "validation_notebook": self.cells(leaking)["validation"],
                "leak": points(self.study.leak(disjoint)),
                "notebook_validation": cells["notebook_validation"],
                "test_disjoint": cells["test"],
                "test_notebook": self.cells(leaking)["test"],
            }
            rows.append(row)
        return self.table(rows)
