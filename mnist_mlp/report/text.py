"""How a report writes figures and names things, in its language."""

import json
import math
import re
from importlib import resources
from typing import Any

from mnist_mlp import lab
from mnist_mlp.config.schema import Config
from mnist_mlp.images import DIGITS, PIXELS
from mnist_mlp.report.study import Variant
from mnist_mlp.runs.record import Result
from mnist_mlp.statistics import Comparison, Summary

LANGUAGES = ("en", "es")
MINUS = "\N{MINUS SIGN}"


def number(value: float, digits: int = 2) -> str:
    """Write a number, with a true minus sign."""
    return "—" if math.isnan(value) else f"{value:.{digits}f}".replace("-", MINUS)


def percent(summary: Summary) -> str:
    """Write the mean of fractions and half of its interval in percent."""
    half = "" if math.isnan(summary.high) else f" ± {100 * (summary.high - summary.mean):.2f}"
    return number(100 * summary.mean) + half


def points(comparison: Comparison) -> str:
    """Write a difference of fractions and half of its interval in percentage points."""
    half = "" if math.isnan(comparison.high) else f" ± {100 * (comparison.high - comparison.difference):.2f}"
    return ("+" if comparison.difference > 0 else "") + number(100 * comparison.difference) + half


def duration(summary: Summary) -> str:
    """Write the mean of seconds and half of its interval."""
    half = "" if math.isnan(summary.high) else f" ± {summary.high - summary.mean:.1f}"
    return number(summary.mean, 1) + half


def probability(p: float) -> str:
    """Write a p-value."""
    return "—" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def unbroken(value: object) -> object:
    """Keep the sizes of a network on one line."""
    return re.sub(r"(?<=\d)-(?=\d)", "\N{NON-BREAKING HYPHEN}", value) if type(value) is str else value


class Words:
    """Names things in a language."""

    def __init__(self, language: str) -> None:
        texts = (resources.files("mnist_mlp.report") / "texts.json").read_text(encoding="utf-8")
        self.texts: dict[str, Any] = json.loads(texts)[language]
        self.questions = lab.questions() | self.texts["questions"]

    def about(self, question: str) -> dict[str, str]:
        """Return a question's title, what it asks, and the notebook's answer."""
        return self.questions.get(question, {"title": question, "asks": "", "answer": ""})

    def heading(self, question: str) -> str:
        """Return a question's number and title."""
        return f"{question[1:].lstrip('0')}. {self.about(question)['title']}"

    def name(self, variant: Variant, in_table: bool = False) -> str:
        """Name a variant by what it changes, in a table with its experiment's name."""
        if not variant.changes:
            return self.texts["baseline_name"]
        text = ", ".join(f"{self.texts['words'].get(word, word)} {value}" for word, value in variant.changes.items())
        if in_table:
            return f"{text} ({variant.experiment})" if variant.experiment else text
        run = lab.notebook_run_of(variant.config)
        return text if run is None or run.as_asked else f"{text} {self.texts['as_run']}"

    def network(self, config: Config) -> str:
        """Describe a configuration."""
        sizes = "-".join(str(size) for size in (PIXELS, *config.model.hidden_sizes, DIGITS))
        optimizer = config.optimizer["_target_"].rsplit(".", 1)[-1]
        epochs = self.texts["epochs"][config.epochs > 1].format(config.epochs)
        return self.texts["network"].format(
            sizes, config.model.activation, optimizer, f"{config.optimizer['lr']:g}", config.batch, epochs
        )

    def hardware(self, result: Result) -> str:
        """Describe what a run was trained on."""
        hardware = result.hardware
        device = hardware.get("gpu") or hardware.get("cpu") or hardware.get("device")
        device = ", ".join(filter(None, (device, hardware.get("instructions"))))  # older records have none
        return self.texts["hardware"].format(device, hardware.get("cores", "?"), hardware.get("threads", "?"))
