"""How a report writes figures and names things, in its language."""

import math
import re
from typing import Any

from mnist_mlp import lab
from mnist_mlp.config.schema import Config
from mnist_mlp.images import DIGITS, PIXELS
from mnist_mlp.language import N_, _, figure, language, localized, ngettext
from mnist_mlp.report.study import Variant
from mnist_mlp.report.texts import TEXTS
from mnist_mlp.runs.record import Result
from mnist_mlp.statistics import Comparison, Summary

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


def points(comparison: Comparison) -> str:
    """Write a difference of fractions and half of its interval in percentage points."""
    half = "" if math.isnan(comparison.high) else f" ± {figure(100 * (comparison.high - comparison.difference), '.2f')}"
    return ("+" if comparison.difference > 0 else "") + number(100 * comparison.difference) + half


def duration(summary: Summary) -> str:
    """Write the mean of seconds and half of its interval."""
    half = "" if math.isnan(summary.high) else f" ± {figure(summary.high - summary.mean, '.1f')}"
    return number(summary.mean, 1) + half


def probability(p: float) -> str:
    """Write a p-value."""
    return "—" if math.isnan(p) else localized("<0.001" if p < 0.001 else f"{p:.3f}")


def unbroken(value: object) -> object:
    """Keep the sizes of a network on one line."""
    return re.sub(r"(?<=\d)-(?=\d)", "\N{NON-BREAKING HYPHEN}", value) if type(value) is str else value


def translated(texts: Any) -> Any:
    """Translate texts within texts."""
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

    def hardware(self, result: Result) -> str:
        """Describe what a run was trained on."""
        hardware = result.hardware
        device = hardware.get("gpu") or hardware.get("cpu") or hardware.get("device")
        device = ", ".join(filter(None, (device, hardware.get("instructions"))))  # older records have none
        return self.texts["hardware"].format(device, hardware.get("cores", "?"), hardware.get("threads", "?"))
