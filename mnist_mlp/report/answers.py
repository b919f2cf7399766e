"""The answers of a report: sentences made from the numbers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import inf
from typing import Literal

from mnist_mlp.lab import PROTOCOLS, claims, notebook_run_of, notebook_runs
from mnist_mlp.language import _, figure, ngettext
from mnist_mlp.report import times
from mnist_mlp.report.study import Study, Variant, on_test, on_validation
from mnist_mlp.report.text import Words, center, number, points
from mnist_mlp.statistics import FEWEST, failed, far_from_normal, interval_of_accuracies, summarize

Outcome = Literal["refuted", "open", "holds"]
OUTCOMES: tuple[Outcome, ...] = ("refuted", "open", "holds")


@dataclass(frozen=True)
class Claim:
    """What the notebook's answer to a question says about accuracy.

    Attributes:
        kind: the variants are the same as the baseline, not better, not worse or worse; or they stay below a target.
        of: the accuracy that is meant.
        bound: the target, or by how much a variant has to differ from the baseline to count as different; a fraction.
    """

    kind: Literal["same", "not better", "not worse", "worse", "below"]
    of: Literal["test", "validation"]
    bound: float

    def judge(self, low: float, high: float) -> Outcome:
        """Judge whether an interval lies inside the claimed range, outside it, or across its end."""
        bottom, top = {
            "same": (-self.bound, self.bound),
            "not better": (-inf, self.bound),
            "not worse": (-self.bound, inf),
            "worse": (-inf, -self.bound),
            "below": (-inf, self.bound),
        }[self.kind]
        return "holds" if bottom < low and high < top else "refuted" if high <= bottom or low >= top else "open"


class Answers:
    """Answers the questions in sentences, from the runs under the first protocol."""

    def __init__(self, study: Study, words: Words) -> None:
        self.study, self.words, self.texts = study, words, words.texts
        self.claims = {question: Claim(**claim) for question, claim in claims().items()}
        self.targets = {question: claim.bound for question, claim in self.claims.items() if claim.kind == "below"}
        self.protocol = study.protocols[0]
        self.baseline = study.baselines[self.protocol]

    def lead(self, question: str) -> str:
        """Answer a question in a sentence."""
        asked = [each for each in self.study.of(question, self.protocol) if each.changes and each.completed]
        if not asked or not self.baseline.completed:
            return self.texts["nothing"]
        if question in self.targets and asked[0].completed:
            return self._reached(asked[0], question, self.texts["lead_target"])
        if question == "q01":
            return self._lead_of_widths(asked)
        judgement = self.study.judged_in(asked[0])
        size = number(100 * abs(self.study.differences[asked[0].id].test.difference))
        said = self.texts["lead"][judgement.verdict].format(self.texts["with"][question], size, self.margin)
        yes_or_no = {"better": "yes", "worse": "yes", "the same": "no"}.get(judgement.verdict)
        asks_whether = question in ("q08", "q09") and yes_or_no
        return self.texts["prefix"][yes_or_no].format(said) if asks_whether else said

    def _lead_of_widths(self, widths: list[Variant]) -> str:
        judged = {each.id: self.study.judged_in(each) for each in widths}

        def named(verdict: str) -> list[Variant]:
            return [each for each in widths if judged[each.id].verdict == verdict]

        if better := named("better"):
            best = max(better, key=lambda each: self.study.differences[each.id].test.difference)
            size = number(100 * self.study.differences[best.id].test.difference)
            return self.texts["lead_width"]["better"].format(self._width(best), size)
        if undecided := named("undecided"):
            open_ones = ", ".join(self._width(each) for each in undecided)
            return self.texts["lead_width"]["undecided"].format(open_ones)
        return self.texts["lead_width"]["the same" if len(named("too few")) < len(widths) else "too few"]

    @staticmethod
    def _width(variant: Variant) -> str:
        return str(variant.config.model.hidden_sizes[0])

    @property
    def margin(self) -> str:
        """The margin of sameness in points."""
        return self.words.margin(self.study)

    def answer(self, question: str) -> list[str]:
        """Compare each of a question's variants with the baseline."""
        variants = [each for each in self.study.of(question, self.protocol) if each.changes]
        if not any(each.completed for each in variants):
            return []
        baseline = (self.words.accuracy(self.study, self.baseline, of, unit=True) for of in (on_test, on_validation))
        return [
            self.texts["beside"].format(*baseline),
            *(self.words.difference(self.study, each) for each in variants),
        ]

    def targets_of(self, question: str) -> list[str]:
        """Compare a question's variants with its target, if it has one."""
        if question not in self.targets:
            return []
        asked = [each for each in self.study.variants if each.question == question and not each.explains]
        return [self._target(each, question) for each in asked if each.changes and each.completed]

    def why(self, question: str) -> list[str]:
        """Explain the answer, with the test accuracy of the variants that do so."""
        shown = []
        for each in self.study.of(question, self.protocol, explains=True):
            if each.completed and each.experiment in self.texts["explaining"]:
                judgement, difference = self.study.judged_in(each), self.study.differences[each.id].test
                accuracy = self.words.accuracy(self.study, each, on_test, unit=True)
                verdict = "" if math.isnan(judgement.p) else f"; {self.words.verdict(judgement)}"
                named = self.texts["explaining"][each.experiment]
                shown.append(
                    self.texts["explained_by"].format(named, accuracy, points(difference, judgement.level), verdict)
                )
        numbers = self.texts["explained"].format(
            self.words.accuracy(self.study, self.baseline, on_test, unit=True), "; ".join(shown)
        )
        return [self.texts["why_of"][question], *([numbers] if shown else [])]

    def gaps(self, question: str) -> list[str]:
        """Name the runs that diverged and those that are missing, under any protocol."""
        said = []
        for kind in ("diverged", "missing"):
            variants = [each for each in self.study.variants if each.question == question and getattr(each, kind)]
            runs = "; ".join(self._seeds(each, getattr(each, kind)) for each in variants)
            said += [self.texts[kind].format(runs)] if runs else []
        return said

    def _seeds(self, variant: Variant, seeds: list[int]) -> str:
        protocol = f", {self.texts['data'][variant.protocol]}" if len(self.study.protocols) > 1 else ""
        said = ngettext("{name}, seed {seeds}", "{name}, seeds {seeds}", len(seeds))
        return said.format(name=self.words.name(variant) + protocol, seeds=", ".join(ranges(seeds)))

    def _target(self, variant: Variant, question: str) -> str:
        return self._reached(variant, question, self.texts["target"])

    def _reached(self, variant: Variant, question: str, texts: dict[str, str]) -> str:
        highest = max(epoch.val_accuracy or 0.0 for result in variant.completed.values() for epoch in result.epochs)
        figures = (
            center(list(variant.values(on_validation).values())),
            figure(100 * self.targets[question], "g"),
            number(100 * highest),
        )
        return texts[self.reached(variant, question)].format(*figures, _(PROTOCOLS[variant.protocol]))

    def reached(self, variant: Variant, question: str) -> str:
        """Judge whether the interval of validation accuracy lies above, below or across a question's target."""
        low, high = interval_of_accuracies(list(variant.values(on_validation).values()))
        target = self.targets[question]
        return "reached" if low >= target else "not reached" if high < target else "open"

    def notebook(self, question: str) -> list[str]:
        """Quote the notebook's answer, judge what it says about accuracy, and explain the difference."""
        variants = self.study.of(question, self.protocol)
        theirs = [each for each in variants if (run := notebook_run_of(each.config)) and run.question == question]
        meant = [each for each in theirs if each.changes] or [each for each in variants if theirs and each.changes]
        compared = [each for each in meant if not math.isnan(self.study.differences[each.id].test.p)]
        if not theirs:
            judged = [self.texts["judged"]["other"]]
        elif own := self._own_figures(self.claims[question], theirs[0]):
            judged = own
        elif not compared:
            judged = [self.texts["judged"]["undecided"]]
        else:
            judged = self._judged(self.claims[question], compared)
        judged += self._time(question, variants)
        reasons = [self.texts["reasons"][question]] if question in self.texts["reasons"] else []
        said = self.texts["said"].format(self.words.about(question)["answer"])
        return [said, *judged, *reasons, *(self._leak(each) for each in theirs)]

    def _time(self, question: str, variants: list[Variant]) -> list[str]:
        timed = [each for each in variants if each.changes and each.id in self.study.times]
        same = [each for each in timed if times.notebook_ratio(each.config) is not None]  # of as many epochs
        outcome = times.judge(question, self.study.times[same[0].id]) if same else None
        if outcome is None:
            return []
        ratio = number(self.study.times[same[0].id].ratio)
        return [self.texts["judged"][f"time {outcome}"].format(self.texts["time_words"][question], ratio)]

    def _own_figures(self, claim: Claim, variant: Variant) -> list[str]:
        run = notebook_run_of(variant.config)
        assert run is not None
        highest, epoch = max((each["val_accuracy"], place) for place, each in enumerate(run.epochs, 1))
        if (claim.kind, claim.of) != ("below", "validation") or highest < claim.bound:
            return []
        others = [
            other.question[1:].lstrip("0")
            for other in notebook_runs()
            if other.question != run.question and any(each["val_accuracy"] > claim.bound for each in other.epochs)
        ]
        figures = figure(100 * claim.bound, "g"), number(100 * highest), run.epochs_before + epoch
        return [
            self.texts["judged"]["own_figures"].format(*figures, number(100 * run.test["accuracy"]), ", ".join(others))
        ]

    def _judged(self, claim: Claim, variants: list[Variant]) -> list[str]:
        found = {outcome: [each for each in variants if self._outcome(claim, each) == outcome] for outcome in OUTCOMES}
        outcome = next(outcome for outcome in OUTCOMES if found[outcome])
        meaning = self.texts["meaning"][claim.kind].format(self.texts["of"][claim.of], figure(100 * claim.bound, "g"))
        deciding = ", ".join(self._points(each, claim.of) for each in found[outcome])
        judged = self.texts["judged"][outcome].format(meaning, deciding)
        return [judged, *(self._one_run(variants[0]) if claim.kind == "same" and outcome != "refuted" else [])]

    def _outcome(self, claim: Claim, variant: Variant) -> Outcome:
        if claim.kind == "below":
            values = variant.values({"test": on_test, "validation": on_validation}[claim.of])
            return claim.judge(*interval_of_accuracies(list(values.values())))
        return claim.judge(*getattr(self.study.differences[variant.id], claim.of).by.interval())

    def _points(self, variant: Variant, of: Literal["test", "validation"]) -> str:
        return f"{self.words.name(variant)} ({points(getattr(self.study.differences[variant.id], of))})"

    def _one_run(self, variant: Variant) -> list[str]:
        there, usual = notebook_run_of(variant.config), notebook_run_of(self.baseline.config)
        if there is None or usual is None:
            return []
        apart = number(100 * (there.test["accuracy"] - usual.test["accuracy"]))
        return [self.texts["one_run"].format(apart, number(100 * self.baseline.summary(on_test).deviation))]

    def _leak(self, variant: Variant) -> str:
        notebook, disjoint = notebook_run_of(variant.config), list(variant.values(on_validation).values())
        assert notebook is not None
        printed = notebook.epochs[-1]["val_accuracy"]
        figures = number(100 * printed), center(disjoint)
        if self.protocol == "notebook":
            return ""
        if "notebook" not in self.study.protocols:
            return self.texts["leaked_alone"].format(*figures) if interval_of_accuracies(disjoint)[1] < printed else ""
        leaking = list(self.study.twin(variant, "notebook").values(on_validation).values())
        shown = self.study.leak(variant).by.interval()[0] > 0
        return self.texts["leaked"].format(*figures, center(leaking)) if shown else ""

    def printed(self) -> str:
        """Count the accuracies that the notebook printed at the end within the range of runs under its protocol."""
        variants = [each for each in self.study.variants if each.protocol == "notebook" and not each.explains]
        inside, outside = 0, []
        for variant in {each.id: each for each in variants}.values():
            run = notebook_run_of(variant.config)
            if run is None or len(variant.completed) < FEWEST:
                continue
            finals = {"validation": run.epochs[-1]["val_accuracy"], "test": run.test["accuracy"]}
            for of, measure in (("validation", on_validation), ("test", on_test)):
                low, high = predicted(list(variant.values(measure).values()))
                if low <= finals[of] <= high:
                    inside += 1
                else:
                    ends = number(100 * finals[of]), number(100 * low), number(100 * high)
                    named = run.question[1:].lstrip("0"), self.texts["of"][of]
                    outside.append(self.texts["printed_figure"].format(*named, *ends))
        others = self.texts["except"].format("; ".join(outside)) if outside else ""
        return self.texts["printed"].format(inside + len(outside), inside, others) if inside or outside else ""


def predicted(values: list[float]) -> tuple[float, float]:
    """Return the 95% prediction interval of one more value, by the t-distribution.

    Where runs fail it is from the lowest to the highest; those of 40 hold one more with a probability of 39/41.
    """
    if failed(values) or far_from_normal(values):
        return min(values), max(values)
    summary = summarize(values)
    half = (summary.high - summary.mean) * math.sqrt(1 + summary.n)
    return summary.mean - half, summary.mean + half


def ranges(seeds: Sequence[int]) -> Iterator[str]:
    """Write seeds, those that follow one another as a range."""
    for _number, group in groupby(enumerate(sorted(seeds)), key=lambda place: place[1] - place[0]):
        following = [seed for _place, seed in group]
        yield str(following[0]) if len(following) == 1 else f"{following[0]}\N{EN DASH}{following[-1]}"
