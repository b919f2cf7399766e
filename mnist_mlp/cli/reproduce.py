"""Train all runs of the ten questions, and make the report.

    mnist-mlp reproduce
    mnist-mlp reproduce --questions q02,q08 --seeds 3 --protocol disjoint
    mnist-mlp reproduce --questions q02 -- epochs=10
    mnist-mlp reproduce --questions q05 --precision 0.1
    mnist-mlp reproduce --questions q06 --why

With --why, the variants that explain the answers are trained, too. With --precision, replicates are added until the
interval of every difference in test accuracy reaches at most so many points to either side.

All runs are trained in this process, on the CPU unless an override such as `-- trainer=auto` says otherwise. Finished
runs are not trained again: the same command continues after an interruption.
"""

import sys

from mnist_mlp.cli.arguments import check_writable, positive
from mnist_mlp.cli.report import make, parser, protocols_of
from mnist_mlp.interactive.jobs import train_missing
from mnist_mlp.language import _
from mnist_mlp.report.study import PROTOCOLS, QUESTIONS, Study, gather, with_seed
from mnist_mlp.runs.sweep import Sweep
from mnist_mlp.tracking import seed_means

SEEDS = 20
"""The default number of replicates: with them, differences of some 0.2 points are found in a family of 34."""
MOST = 100
"""Replicates up to which `--precision` adds them."""


def train(study: Study) -> Sweep:
    """Train every run that is not finished; one that fails does not stop the others."""
    variants = {variant.id: variant for variant in study.variants}.values()
    jobs = [(variant, seed) for variant in variants for seed in variant.seeds]
    names = [f"{variant.question}, {variant.label}" for variant, seed in jobs]
    return train_missing([with_seed(variant.config, seed) for variant, seed in jobs], names)


def lacking(study: Study, precision: float) -> dict[str, int]:
    """Return the replicates that each variant needs whose interval is wider, by name; -1 if that cannot be said.

    Args:
        study: with its runs.
        precision: how far an interval may reach to either side, as a fraction.
    """
    found = {}
    for variant in study.variants:
        if variant.changes:
            judgement, test = study.judged_in(variant), study.differences[variant.id].test
            if not judgement.high - judgement.low <= 2 * precision:
                name = f"{variant.question} {variant.name} ({variant.protocol})"
                found[name] = test.needed_for(precision, judgement.level) or -1
    return found


def main() -> None:
    """Parse the command line, train and write the report; exit with status 1 if a run has failed."""
    made = parser(_("Train all runs of the ten questions, and make the report."), SEEDS)
    made.add_argument("--why", action="store_true", help=_("also the variants that explain the answers"))
    precision = _("add seeds until every difference's interval reaches at most so many points to either side")
    made.add_argument("--precision", type=positive, help=precision)
    arguments = made.parse_args()
    trainer = [] if any(text.startswith("trainer=") for text in arguments.overrides) else ["trainer=cpu"]
    check_writable("--runs-dir", arguments.runs_dir)

    def found(seeds: int) -> Study:
        return gather(
            arguments.questions or list(QUESTIONS),
            protocols_of(arguments) or list(PROTOCOLS),
            range(seeds),
            arguments.runs_dir,
            (*trainer, *arguments.overrides),
            arguments.margin / 100,
            arguments.why,
        )

    seeds = arguments.seeds
    sweep = train(found(seeds))
    while arguments.precision and sweep.complete and seeds < MOST:
        wide = lacking(found(seeds), arguments.precision / 100)
        if not wide:
            break
        seeds = min(MOST, max(seeds + 1, *(min(needed, 2 * seeds) for needed in wide.values())))
        sweep = train(found(seeds))
    study = found(seeds)
    print(sweep.table())
    seed_means.write(sweep.configs)
    if arguments.precision:
        for name, needed in lacking(study, arguments.precision / 100).items():
            said = _("{name}: its interval is wider than {precision} points; {needed} seeds would do")
            if needed < 0:
                said = _("{name}: its interval is wider than {precision} points; how many seeds would do is not known")
            print(said.format(name=name, precision=arguments.precision, needed=needed), file=sys.stderr)
    make(study, arguments, "reproduce")
    sys.exit(0 if sweep.complete else 1)
