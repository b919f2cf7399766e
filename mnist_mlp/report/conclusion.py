"""What a question's sweep says, for the terminal at its end. Free of torch."""

from collections.abc import Sequence

from mnist_mlp.config.schema import Config
from mnist_mlp.console import command_line
from mnist_mlp.lab import PROTOCOLS
from mnist_mlp.language import _, ngettext
from mnist_mlp.report.answers import Answers
from mnist_mlp.report.study import OWN, of_sweep
from mnist_mlp.report.text import Words

ONLY_HERE = ("trainer", "logger", "callbacks", "hydra/launcher", "language", "author", "fail_fast")
"""The keys and groups that a report does without, as they do not change which runs are meant."""


def conclusion(question: str, configs: Sequence[Config], overrides: Sequence[str]) -> list[str]:
    """Answer a question from the runs that were just launched, and name the command of its report.

    Args:
        question: the option of the group.
        configs: of the jobs.
        overrides: of the command line.
    """
    first = configs[0]
    study = of_sweep(question, configs, first.margin / 100)
    if study is None:
        said = _("question={question}: no answer, as these runs have no variant beside a baseline")
        return ["", said.format(question=question)]
    words, name = Words(), study.questions[0]
    texts, answers = words.texts, Answers(study, words)
    replicates = ngettext("{number} replicate", "{number} replicates", study.replicates).format(number=study.replicates)
    split = first.data.split_seed
    covers = texts["launched" if split is None else "launched_shared"].format(replicates, split)
    lines = ["", f"{words.heading(name)} ({_(PROTOCOLS[first.data.protocol])}; {covers})"]
    if not question.endswith("_why"):
        lines += [answers.lead(name), *(f"  {line}" for line in answers.answer(name))]
    else:
        lines += answers.why(name)
    if first.data.dataset == "mnist":
        command = ["mnist-mlp", "report", "--questions", name, "--protocol", first.data.protocol]
        command += ["--runs-dir", first.runs_dir] if first.runs_dir != "runs" else []
        shared = [text for text in overrides if text.partition("=")[0].lstrip("+~") not in (*OWN, *ONLY_HERE)]
        lines.append(texts["repeat"].format(command_line([*command, *(["--", *shared] if shared else [])])))
    return lines
