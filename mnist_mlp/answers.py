"""The answers of a report: sentences made from the numbers."""

from mnist_mlp.lab import notebook_run_of
from mnist_mlp.statistics import Verdict, compare
from mnist_mlp.study import Study, Variant, on_test, on_validation
from mnist_mlp.words import Words, epoch_seconds, number, percent, points

VERDICTS: tuple[Verdict, ...] = ("better", "worse", "no difference shown")


class Answers:
    """Answers the questions in sentences, from the runs under the first protocol."""

    def __init__(self, study: Study, words: Words) -> None:
        self.study, self.words, self.texts = study, words, words.texts
        self.protocol = study.protocols[0]
        self.baseline = study.baselines[self.protocol]

    def answer(self, question: str) -> list[str]:
        """Say how a question's variants compare with the baseline, and where its target is reached."""
        variants = [each for each in self.study.of(question, self.protocol) if each.changes]
        compared = [each for each in variants if self.study.differences[each.id].test.n > 1]
        everywhere = [each for each in self.study.variants if each.question == question]
        said = []
        if compared:
            said.append(self.texts["accuracy"].format(percent(self.baseline.summary(on_test)), self.verdicts(compared)))
            said.append(self.texts["time"].format(", ".join(self._time(each) for each in compared)))
        if rest := [self.words.name(each) for each in variants if each not in compared]:
            said.append(self.texts["too_few"].format("; ".join(rest)))
        if question in self.words.targets:
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
                    changes = points(difference.test), points(difference.validation)
                    found.append(self.texts["points"].format(self.words.name(each), *changes))
            said += [f"{self.texts['verdicts'][verdict].capitalize()}: {', '.join(found)}."] if found else []
        return " ".join(said)

    def _time(self, variant: Variant) -> str:
        ratio = variant.summary(epoch_seconds).mean / self.baseline.summary(epoch_seconds).mean
        text = self.texts["factor"].format(number(ratio, 1 if ratio < 10 else 0), self.words.name(variant))
        there, usual = notebook_run_of(variant.config), notebook_run_of(self.baseline.config)
        if there is None or usual is None:
            return text
        ratio = there.seconds / usual.seconds  # of as many epochs
        return f"{text} {self.texts['in_notebook'].format(number(ratio, 1 if ratio < 10 else 0))}"

    def _seeds(self, variant: Variant, seeds: list[int]) -> str:
        protocol = f", data={variant.protocol}" if len(self.study.protocols) > 1 else ""
        return self.texts["seeds"].format(self.words.name(variant) + protocol, ", ".join(str(seed) for seed in seeds))

    def _target(self, variant: Variant, question: str) -> str:
        highest = max(epoch.val_accuracy for result in variant.completed.values() for epoch in result.epochs)
        figures = (
            percent(variant.summary(on_validation)),
            f"{100 * self.words.targets[question]:g}",
            number(100 * highest),
        )
        return self.texts["target"][self.reached(variant, question)].format(*figures, variant.protocol)

    def reached(self, variant: Variant, question: str) -> str:
        """Say whether the interval of the validation accuracy lies above a question's target, below it, or about it."""
        summary, target = variant.summary(on_validation), self.words.targets[question]
        return "reached" if summary.low >= target else "not reached" if summary.high < target else "open"

    def notebook(self, question: str) -> list[str]:
        """Quote the notebook's own answer; say whether it holds, and why it may not."""
        texts, claim = self.texts["judged"], self.words.claims.get(question, VERDICTS)
        variants = self.study.of(question, self.protocol)
        theirs = [each for each in variants if (run := notebook_run_of(each.config)) and run.question == question]
        meant = [each for each in theirs if each.changes] or [each for each in variants if theirs and each.changes]
        compared = [each for each in meant if self.study.differences[each.id].test.n > 1]
        against = [each for each in compared if self.study.differences[each.id].verdict not in claim]
        if not theirs:
            judged = [texts["other"]]
        elif not compared:
            judged = [texts["undecided"]]
        elif question in self.words.targets:
            judged = [texts[self.reached(compared[0], question)]]
        elif contrary := self.verdicts(against, VERDICTS[:2]):
            judged = [texts["refuted"].format(contrary)]
        elif against:
            judged = [texts["unconfirmed"], *self._one_run(against[0])]
        else:
            judged = [texts["holds"]]
        reasons = [self.texts["reasons"][question]] if question in self.texts["reasons"] else []
        said = self.texts["said"].format(self.words.about(question)["answer"])
        return [said, *judged, *reasons, *(self._leak(each) for each in theirs)]

    def _one_run(self, variant: Variant) -> list[str]:
        there, usual = notebook_run_of(variant.config), notebook_run_of(self.baseline.config)
        if there is None or usual is None:
            return []
        apart = number(100 * (there.test["accuracy"] - usual.test["accuracy"]))
        return [self.texts["one_run"].format(apart, number(100 * self.baseline.summary(on_test).deviation))]

    def _leak(self, variant: Variant) -> str:
        notebook, sound = notebook_run_of(variant.config), variant.summary(on_validation)
        assert notebook is not None
        printed = notebook.epochs[-1]["val_accuracy"]
        figures = number(100 * printed), percent(sound)
        if self.protocol == "notebook":
            return ""
        if "notebook" not in self.study.protocols:
            return self.texts["leaked_alone"].format(*figures) if sound.high < printed else ""
        leaking = self.study.twin(variant, "notebook")
        shown = compare(leaking.values(on_validation), variant.values(on_validation)).low > 0
        return self.texts["leaked"].format(*figures, percent(leaking.summary(on_validation))) if shown else ""
