"""How a report writes figures and names things, in its language."""

import math
import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from mnist_mlp import lab
from mnist_mlp.config.schema import Config
from mnist_mlp.images import DIGITS, PIXELS
from mnist_mlp.language import N_, SPACE, _, figure, language, localized, ngettext
from mnist_mlp.report.study import Study, Variant
from mnist_mlp.report.texts import TEXTS
from mnist_mlp.runs.record import Result
from mnist_mlp.statistics import LEVEL, Comparison, Judgement, Normal, Summary, failed, summarize

ACTIVATIONS = (N_("relu"), N_("sigmoid"))
"""Those that are not written as the configuration names them in every language."""

MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 2) -> str:
    """Write a number, with a true minus sign."""
    return "—" if math.isnan(value) else figure(value, f".{digits}f").replace("-", MINUS)


def percent(summary: Summary) -> str:
    """Write the mean of fractions and half of its interval in percent."""
    half = "" if math.isnan(summary.high) else f" ± {figure(100 * (summary.high - summary.mean), '.2f')}"
    return number(100 * summary.mean) + half


def accuracies(values: Sequence[float]) -> str:
    """Write the mean of accuracies with half of its interval, in percent; nothing if there are none.

    If runs failed, the median, the lowest and the highest, and the number of runs that failed.
    """
    if not values:
        return ""
    if not failed(values):
        return percent(summarize(values))
    return _("{0}, {1} of {2} failed").format(median_and_range(values), failed(values), len(values))


def center(values: Sequence[float]) -> str:
    """Write the mean of accuracies with half of its interval, in percent, or their median if a run failed."""
    return number(100 * median(values)) if failed(values) else percent(summarize(values))


def median_and_range(values: Sequence[float], sign: str = "{0}") -> str:
    """Write the median of fractions with the lowest and the highest, in percent, each formatted by `sign`."""
    middle, low, high = (sign.format(number(100 * each)) for each in (median(values), min(values), max(values)))
    return _("median {0} ({1} to {2})").format(middle, low, high) if len(values) > 1 else middle


def points(comparison: Comparison, level: float = LEVEL) -> str:
    """Write a difference of fractions in percentage points, with half of its interval, or its ends if they differ."""
    low, high = comparison.by.interval(level)
    value = ("+" if comparison.difference > 0 else "") + number(100 * comparison.difference)
    if math.isnan(low):
        return value
    if isinstance(comparison.by, Normal):
        return f"{value} ± {figure(50 * (high - low), '.2f')}"
    return value if math.isinf(low) else f"{value} ({number(100 * low)} … {number(100 * high)})"


def probability(p: float) -> str:
    """Write a p-value."""
    return "—" if math.isnan(p) else localized("<0.001" if p < 0.001 else f"{p:.3f}")


def unbroken(value: object) -> object:
    """Keep the sizes of a network, and a mean with its interval, on one line."""
    if type(value) is not str:
        return value
    return re.sub(r"(?<=\d)-(?=\d)", "\N{NON-BREAKING HYPHEN}", value.replace(" ± ", f"{SPACE}±{SPACE}"))


def translated(texts: Any) -> Any:
    """Translate texts within texts."""
    if isinstance(texts, list):
        return [translated(text) for text in texts]
    return {key: translated(text) for key, text in texts.items()} if isinstance(texts, dict) else _(texts)


class Words:
    """Names things, in the language that is spoken when it is made."""

    def __init__(self) -> None:
        self.texts: dict[str, Any] = translated(TEXTS)

    def about(self, question: str) -> dict[str, str]:
        """Return a question's title, what it asks, and the notebook's answer."""
        about = lab.questions().get(question, {"title": question, "asks": "", "answer": ""})
        return {part: _(about[part]) for part in ("title", "asks", "answer")}

    def heading(self, question: str) -> str:
        """Return a question's number and title."""
        return f"{question[1:].lstrip('0')}. {self.about(question)['title']}"

    def name(self, variant: Variant, in_table: bool = False) -> str:
        """Name a variant by what it changes, in a table with its experiment's name."""
        if not variant.changes:
            return self.texts["baseline_name"]
        text = ", ".join(self.change(word, value) for word, value in variant.changes.items())
        if in_table:
            return f"{text} ({variant.experiment})" if variant.experiment else text
        run = lab.notebook_run_of(variant.config)
        return text if run is None or run.as_asked else f"{text} {self.texts['as_run']}"

    def change(self, word: str, value: str) -> str:
        """Say what a key is changed to."""
        return self.texts["words"].get(word, f"{word} {{0}}").format(self.value(value))

    def value(self, text: str) -> str:
        """Write the value of a key: numbers and activations as the language has them, names as they are."""
        if re.fullmatch(r"\d+(\.\d+)?", text) and language() != "en":
            return localized(f"{int(text):,}" if text.isdecimal() else text)
        return "-".join(_(part) if part in ACTIVATIONS else part for part in text.split("-"))

    def network(self, config: Config) -> str:
        """Describe a configuration."""
        sizes = "-".join(str(size) for size in (PIXELS, *config.model.hidden_sizes, DIGITS))
        optimizer = config.optimizer["_target_"].rsplit(".", 1)[-1]
        epochs = ngettext("{number} epoch", "{number} epochs", config.epochs).format(number=config.epochs)
        activation, rate = self.value(str(config.model.activation)), figure(config.optimizer["lr"], "g")
        return self.texts["network"].format(sizes, activation, optimizer, rate, self.value(str(config.batch)), epochs)

    def accuracy(self, study: Study, variant: Variant, of: Callable[[Result], float], unit: bool = False) -> str:
        """Write the mean of accuracies with its interval, or their median and range where that says more.

        Args:
            study: of the variant.
            variant: whose accuracies these are.
            of: which of them.
            unit: whether to write the sign of percent, which the heading of a table has.
        """
        values, sign = list(variant.values(of).values()), self.texts["percent"] if unit else "{0}"
        if not (values and study.is_ranked(variant)):
            return sign.format(percent(variant.summary(of)))
        text = median_and_range(values, sign)
        return _("{0}, {1} of {2} failed").format(text, variant.failed, len(values)) if variant.failed else text

    def verdict(self, judgement: Judgement) -> str:
        """Write a verdict, with the replicates that are needed for one."""
        text = self.texts["verdicts"][judgement.verdict]
        return text if judgement.needed is None else self.texts["needs"].format(text, figure(judgement.needed, ",d"))

    def margin(self, study: Study) -> str:
        """Write the margin of sameness in points."""
        return figure(100 * study.margin, "g")

    def difference(self, study: Study, variant: Variant) -> str:
        """Say in words how a variant differs from the baseline, in the family of its question."""
        found, judgement = study.differences[variant.id], study.judged_in(variant)
        validated = study.judged_in(variant, "validation")
        unknown = judgement.verdict == "undecided" and judgement.needed is None
        kind = "none" if found.test.n == 0 else "open" if unknown else judgement.verdict
        replicates = ngettext("{number} replicate", "{number} replicates", found.test.n).format(number=found.test.n)
        needed, shown = figure(judgement.needed or 0, ",d"), points(found.test, judgement.level)
        texts = self.texts["difference"]
        said: str = texts[kind].format(self.name(variant), shown, replicates, self.margin(study), needed)
        if kind in ("none", "too few"):
            return said
        return texts["validation"].format(said, self.verdict(validated), points(found.validation, validated.level))

    def hardware(self, result: Result) -> str:
        """Describe what a run was trained on."""
        hardware = result.hardware
        device = hardware.get("gpu") or hardware.get("cpu") or hardware.get("device")
        device = ", ".join(filter(None, (device, hardware.get("instructions"))))  # older records have none
        return self.texts["hardware"].format(device, hardware.get("cores", "?"), hardware.get("threads", "?"))
