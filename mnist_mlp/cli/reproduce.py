"""Train what the ten questions compare, and make their report.

    mnist-mlp reproduce
    mnist-mlp reproduce --questions q02,q08 --seeds 3 --protocol mnist
    mnist-mlp reproduce --questions q02 -- epochs=10

All runs are trained in this process, on the CPU unless an override such as `-- trainer=auto` says otherwise. Finished
runs are not trained again, so that the command goes on where it was stopped.
"""

import sys

from mnist_mlp.cli.report import make, parser, protocols_of
from mnist_mlp.cli.train import training_function
from mnist_mlp.errors import Problem
from mnist_mlp.report.study import PROTOCOLS, QUESTIONS, Study, gather, with_seed
from mnist_mlp.runs.launch import problems_of_folder
from mnist_mlp.runs.sweep import Sweep
from mnist_mlp.tracking import seed_means as means

SEEDS = 5  # with three, a paired t-test corrected for 34 comparisons shows the largest differences only


def train(study: Study) -> Sweep:
    """Train every run that is not finished; one that fails does not stop the others."""
    variants = {variant.id: variant for variant in study.variants}.values()
    sweep = Sweep([with_seed(variant.config, seed) for variant in variants for seed in variant.seeds])
    waiting = [(variant, seed) for variant in variants for seed in variant.missing]
    for number, (variant, seed) in enumerate(waiting, start=1):
        print(f"run {number} of {len(waiting)}: {variant.question}, {variant.label}, seed {seed}", flush=True)
        try:
            training_function()(with_seed(variant.config, seed))
        except Problem as problem:
            print(problem, file=sys.stderr)
        except Exception as error:
            print(f"failed: {variant.label}, seed {seed}: {type(error).__name__}: {error}", file=sys.stderr)
    return sweep


def main() -> None:
    """Read the command line, train, write the report; exit with status 1 if a run has failed."""
    arguments = parser(__doc__, SEEDS).parse_args()
    on_the_cpu = [] if any(text.startswith("trainer=") for text in arguments.overrides) else ["trainer=cpu"]
    try:
        if found := problems_of_folder(arguments.runs_dir):
            raise Problem(found[0].replace("runs_dir=", "--runs-dir "))
        asked = (
            arguments.questions or list(QUESTIONS),
            protocols_of(arguments) or list(PROTOCOLS),
            range(arguments.seeds),
            arguments.runs_dir,
            (*on_the_cpu, *arguments.overrides),
        )
        sweep = train(gather(*asked))
        print(sweep.table())
        means.write(sweep.configs)
        make(gather(*asked), arguments, "reproduce.py")
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if sweep.complete else 1)
