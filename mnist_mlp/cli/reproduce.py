"""Train all runs of the ten questions, and make the report.

    mnist-mlp reproduce
    mnist-mlp reproduce --questions q02,q08 --seeds 3 --protocol disjoint
    mnist-mlp reproduce --questions q02 -- epochs=10

All runs are trained in this process, on the CPU unless an override such as `-- trainer=auto` says otherwise. Finished
runs are not trained again: the same command continues after an interruption.
"""

import sys

from mnist_mlp.cli.report import make, parser, protocols_of
from mnist_mlp.errors import Problem
from mnist_mlp.interactive.jobs import training_function
from mnist_mlp.language import _
from mnist_mlp.report.study import PROTOCOLS, QUESTIONS, Study, gather, with_seed
from mnist_mlp.runs.launch import problems_of_folder
from mnist_mlp.runs.sweep import Sweep
from mnist_mlp.tracking import seed_means

SEEDS = 5  # with three, a paired t-test corrected for 34 comparisons detects only the largest differences


def train(study: Study) -> Sweep:
    """Train every run that is not finished; one that fails does not stop the others."""
    variants = {variant.id: variant for variant in study.variants}.values()
    jobs = [(variant, seed) for variant in variants for seed in variant.seeds]
    sweep = Sweep([with_seed(variant.config, seed) for variant, seed in jobs])
    for number, (variant, seed) in enumerate(jobs, start=1):
        if seed not in variant.missing:
            continue
        try:
            run = training_function()
            name = _("{label}, seed {seed}").format(label=f"{variant.question}, {variant.label}", seed=seed)
            with sweep.job(number, name):
                run(sweep.configs[number - 1])
        except Problem as problem:
            print(problem, file=sys.stderr)
        except Exception as error:
            said = _("failed: {label}, seed {seed}: {error}")
            reason = f"{type(error).__name__}: {error}"
            print(said.format(label=variant.label, seed=seed, error=reason), file=sys.stderr)
    return sweep


def main() -> None:
    """Parse the command line, train and write the report; exit with status 1 if a run has failed."""
    arguments = parser(_("Train all runs of the ten questions, and make the report."), SEEDS).parse_args()
    trainer = [] if any(text.startswith("trainer=") for text in arguments.overrides) else ["trainer=cpu"]
    if problems := problems_of_folder(arguments.runs_dir):
        raise Problem(problems[0].replace("runs_dir=", "--runs-dir "))
    selection = (
        arguments.questions or list(QUESTIONS),
        protocols_of(arguments) or list(PROTOCOLS),
        range(arguments.seeds),
        arguments.runs_dir,
        (*trainer, *arguments.overrides),
    )
    sweep = train(gather(*selection))
    print(sweep.table())
    seed_means.write(sweep.configs)
    make(gather(*selection), arguments, "reproduce")
    sys.exit(0 if sweep.complete else 1)
