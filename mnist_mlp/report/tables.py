"""The tables of a report."""

from dataclasses import dataclass

from mnist_mlp.lab import NotebookRun, notebook_run_of
from mnist_mlp.report.study import Study, Variant, on_test, on_validation, seconds
from mnist_mlp.report.text import Words, duration, number, percent, points, probability
from mnist_mlp.statistics import compare


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
        text = tuple(columns.index(name) for name in ("question", "variant", "data", "verdict") if name in columns)
        header = [self.words.texts["columns"][name] for name in columns]
        return Table(header, [list(row.values()) for row in rows], text, columns.index("variant"))

    def cells(self, variant: Variant) -> dict[str, str]:
        """Return what the tables say of a variant, by column."""
        difference, notebook = self.study.differences.get(variant.id), notebook_run_of(variant.config)
        return {
            "question": variant.question[1:].lstrip("0"),
            "variant": self.words.name(variant, in_table=True),
            "data": self.words.texts["data"][variant.protocol],
            "n": str(len(variant.completed)),
            "validation": percent(variant.summary(on_validation)),
            "notebook_validation": number(100 * notebook.epochs[-1]["val_accuracy"]) if notebook else "",
            "test": percent(variant.summary(on_test)),
            "notebook_test": number(100 * notebook.test["accuracy"]) if notebook else "",
            "difference": points(difference.test) if difference else "",
            "p": probability(difference.p) if difference else "",
            "verdict": self.words.texts["verdicts"][difference.verdict] if difference and difference.test.n else "",
            "seconds": duration(variant.summary(seconds)),
            "notebook_seconds": self._seconds(notebook) if notebook else "",
        }

    def _seconds(self, notebook: NotebookRun) -> str:
        printed, every = len(notebook.epochs), len(notebook.epochs) + notebook.epochs_before
        whole = number(notebook.seconds, 0)
        return whole if printed == every else self.words.texts["last_epochs"].format(whole, printed, every)

    def summary(self) -> Table:
        """Tabulate every variant under the first protocol, the baseline once."""
        protocol = self.study.protocols[0]
        variants = [each for each in self.study.variants if each.protocol == protocol and each.changes]
        columns = ("question", "variant", "n", "validation", "test", "verdict", "notebook_validation", "notebook_test")
        rows = [self.cells(each) for each in [self.study.baselines[protocol], *variants]]
        return self.table([{column: row[column] for column in columns} for row in rows])

    def of(self, question: str) -> Table:
        """Tabulate a question's variants, each under one protocol after the other."""
        protocols = self.study.protocols
        pairs = zip(*(self.study.of(question, protocol) for protocol in protocols), strict=True)
        rows = [self.cells(variant) for pair in pairs for variant in pair]
        left_out = ("question",) if len(protocols) > 1 else ("question", "data")
        return self.table([{name: row[name] for name in row if name not in left_out} for row in rows])

    def leak(self) -> Table:
        """Set the protocols side by side."""
        variants = [each for each in self.study.variants if each.protocol == "disjoint"]
        distinct = {each.id: each for each in [self.study.baselines["disjoint"], *variants]}
        rows = []
        for disjoint in distinct.values():
            leaking, cells = self.study.twin(disjoint, "notebook"), self.cells(disjoint)
            row = {
                "variant": cells["variant"],
                "validation_disjoint": cells["validation"],
                "validation_notebook": percent(leaking.summary(on_validation)),
                "leak": points(compare(leaking.values(on_validation), disjoint.values(on_validation))),
                "notebook_validation": cells["notebook_validation"],
                "test_disjoint": cells["test"],
                "test_notebook": percent(leaking.summary(on_test)),
            }
            rows.append(row)
        return self.table(rows)
