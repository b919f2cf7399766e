"""The answers of a report: sentences made from the numbers."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from mnist_mlp.lab import PROTOCOLS, claims, notebook_run_of
from mnist_mlp.language import _, figure
from mnist_mlp.report.study import Study, Variant, on_test, on_validation
from mnist_mlp.report.text import Words, number, percent, points
from mnist_mlp.statistics import Verdict, compare

VERDICTS: tuple[Verdict, ...] = ("better", "worse", "no difference shown")
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

    def answer(self, question: str) -> list[str]:
        """Compare a question's variants with the baseline, and with its target."""
        variants = [each for each in self.study.of(question, self.protocol) if each.changes]
        compared = [each for each in variants if self.study.differences[each.id].test.n > 1]
        everywhere = [each for each in self.study.variants if each.question == question]
        said = []
        if compared:
            said.append(self.texts["accuracy"].format(percent(self.baseline.summary(on_test)), self.verdicts(compared)))
        if rest := [self.words.name(each) for each in variants if each not in compared]:
            said.append(self.texts["too_few"].format("; ".join(rest)))
        if question in self.targets:
            said += [self._target(each, question) for each in everywhere if each.changes and each.completed]
        return said or [self.texts["nothing"]]

    def gaps(self, question: str) -> list[str]:
        """Name the runs that diverged and those that are missing, under any protocol."""
        said = []
        for kind in ("diverged", "missing"):
            variants = [each for each in self.study.variants if each.question == question and getattr(each, kind)]
            runs = "; ".join(self._seeds(each, getattr(each, kind)) for each in variants)
            said += [self.texts[kind].format(runs)] if runs else []
        return said

    def verdicts(self, variants: list[Variant], which: tuple[Verdict, ...] = VERDICTS) -> str:
        """List variants with their differences from the baseline, by verdict."""
        said = []
        for verdict in which:
            found = []
            for each in variants:
                difference = self.study.differences[each.id]
                if difference.verdict == verdict:
                    found.append(self._points(each))
            said += [f"{self.texts['verdicts'][verdict].capitalize()}: {', '.join(found)}."] if found else []
        return " ".join(said)

    def _points(self, variant: Variant) -> str:
        difference = self.study.differences[variant.id]
        changes = points(difference.test), points(difference.validation)
        return self.texts["points"].format(self.words.name(variant), *changes)

    def _seeds(self, variant: Variant, seeds: list[int]) -> str:
        protocol = f", {self.texts['data'][variant.protocol]}" if len(self.study.protocols) > 1 else ""
        return self.texts["seeds"].format(self.words.name(variant) + protocol, ", ".join(str(seed) for seed in seeds))

    def _target(self, variant: Variant, question: str) -> str:
        highest = max(epoch.val_accuracy or 0.0 for result in variant.completed.values() for epoch in result.epochs)
        figures = (
            percent(variant.summary(on_validation)),
            figure(100 * self.targets[question], "g"),
            number(100 * highest),
        )
        return self.texts["target"][self.reached(variant, question)].format(*figures, _(PROTOCOLS[variant.protocol]))

    def reached(self, variant: Variant, question: str) -> str:
        """Judge whether the interval of validation accuracy lies above, below or across a question's target."""
        summary, target = variant.summary(on_validation), self.targets[question]
        return "reached" if summary.low >= target else "not reached" if summary.high < target else "open"

    def notebook(self, question: str) -> list[str]:
        """Quote the notebook's answer, judge what it says about accuracy, and explain the difference."""
        variants = self.study.of(question, self.protocol)
        theirs = [each for each in variants if (run := notebook_run_of(each.config)) and run.question == question]
        meant = [each for each in theirs if each.changes] or [each for each in variants if theirs and each.changes]
        compared = [each for each in meant if self.study.differences[each.id].test.n > 1]
        if not theirs:
            judged = [self.texts["judged"]["other"]]
        elif own := self._own_figures(self.claims[question], theirs[0]):
            judged = own
        elif not compared:
            judged = [self.texts["judged"]["undecided"]]
        else:
            judged = self._judged(self.claims[question], compared)
        reasons = [self.texts["reasons"][question]] if question in self.texts["reasons"] else []
        said = self.texts["said"].format(self.words.about(question)["answer"])
        return [said, *judged, *reasons, *(self._leak(each) for each in theirs)]

    def _own_figures(self, claim: Claim, variant: Variant) -> list[str]:
        run = notebook_run_of(variant.config)
        assert run is not None
        highest, epoch = max((each["val_accuracy"], place) for place, each in enumerate(run.epochs, 1))
        if (claim.kind, claim.of) != ("below", "validation") or highest < claim.bound:
            return []
        figures = figure(100 * claim.bound, "g"), number(100 * highest), run.epochs_before + epoch
        return [self.texts["judged"]["own_figures"].format(*figures, number(100 * run.test["accuracy"]))]

    def _judged(self, claim: Claim, variants: list[Variant]) -> list[str]:
        found = {outcome: [each for each in variants if self._outcome(claim, each) == outcome] for outcome in OUTCOMES}
        outcome = next(outcome for outcome in OUTCOMES if found[outcome])
        meaning = self.texts["meaning"][claim.kind].format(self.texts["of"][claim.of], figure(100 * claim.bound, "g"))
        deciding = ", ".join(self._points(each) for each in found[outcome])
        judged = self.texts["judged"][outcome].format(meaning, deciding)
        return [judged, *(self._one_run(variants[0]) if claim.kind == "same" and outcome != "refuted" else [])]

    def _outcome(self, claim: Claim, variant: Variant) -> Outcome:
        if claim.kind == "below":
            level = variant.summary({"test": on_test, "validation": on_validation}[claim.of])
            return claim.judge(level.low, level.high)
        difference = getattr(self.study.differences[variant.id], claim.of)
        return claim.judge(difference.low, difference.high)

    def _one_run(self, variant: Variant) -> list[str]:
        there, usual = notebook_run_of(variant.config), notebook_run_of(self.baseline.config)
        if there is None or usual is None:
            return []
        apart = number(100 * (there.test["accuracy"] - usual.test["accuracy"]))
        return [self.texts["one_run"].format(apart, number(100 * self.baseline.summary(on_test).deviation))]

    def _leak(self, variant: Variant) -> str:
        notebook, disjoint = notebook_run_of(variant.config), variant.summary(on_validation)
        assert notebook is not None
        printed = notebook.epochs[-1]["val_accuracy"]
        figures = number(100 * printed), percent(disjoint)
        if self.protocol == "notebook":
            return ""
        if "notebook" not in self.study.protocols:
            return self.texts["leaked_alone"].format(*figures) if disjoint.high < printed else ""
        leaking = self.study.twin(variant, "notebook")
        shown = compare(leaking.values(on_validation), variant.values(on_validation)).low > 0
        return self.texts["leaked"].format(*figures, percent(leaking.summary(on_validation))) if shown else ""
