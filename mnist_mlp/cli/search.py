"""Search for the best configuration by validation accuracy; then train the winner anew, and say what it is worth.

mnist-mlp search q01_width
mnist-mlp search q10 --trials 100 --jobs 2
mnist-mlp search my/space.yaml --fresh 10

A search goes on where it stopped; with the trials it has, it only writes its page. The spaces are in conf/search.
"""

import multiprocessing
import sys
from importlib.util import find_spec
from pathlib import Path

from mnist_mlp.cli.arguments import Parser, path, whole_number
from mnist_mlp.config.compose import composing
from mnist_mlp.errors import Problem
from mnist_mlp.runs import machine
from mnist_mlp.search.space import read


def main() -> None:
    """Read the command line, search, confirm, write."""
    parser = Parser.of(__doc__)
    parser.add_argument("space", metavar="SPACE", help="a name in conf/search, or a YAML file")
    parser.add_argument("--trials", type=whole_number, help="of the whole study (as its file says)")
    parser.add_argument("--jobs", type=whole_number, default=1, help="processes on the study; they share the cores (1)")
    parser.add_argument("--fresh", type=whole_number, default=5, help="fresh seeds to train the winner with (5)")
    parser.add_argument("--runs-dir", type=path, default=Path("runs"), help="folder of the runs (runs)")
    arguments = parser.parse_args()
    missing = [name for name in ("optuna", "matplotlib") if find_spec(name) is None]
    if missing:
        print(f"{' and '.join(missing)} missing: install mnist-mlp[search]", file=sys.stderr)
        sys.exit(2)
    try:
        with composing():
            search(arguments.space, arguments.trials, arguments.jobs, arguments.fresh, arguments.runs_dir)
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # a folder that cannot be written, or a disk that is full
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)


def search(name: str, trials: int | None, jobs: int, fresh: int, runs_dir: Path) -> None:
    """Run the trials, confirm the winner, and write its files."""
    space = read(name)
    wanted = trials or space.trials
    space.check(runs_dir)
    from mnist_mlp.search import confirmation as winner
    from mnist_mlp.search import summary as findings
    from mnist_mlp.search.trials import Search

    threads = max(1, machine.cores() // jobs)
    found = Search(space, runs_dir)
    print(f"{space.name}: {len(found.done)} of {wanted} trials in {found.folder}", flush=True)
    others = [
        multiprocessing.get_context("spawn").Process(target=work, args=(name, wanted, job, threads, runs_dir))
        for job in range(1, jobs)
    ]
    for process in others:
        process.start()
    found.run(wanted, 0, threads)
    for process in others:
        process.join()
    best = found.best
    print(
        f"best: trial {best.number}, validation {best.value:.2%}: {' '.join(best.user_attrs['overrides'])}", flush=True
    )
    experiment = winner.experiment(found)
    confirmed = winner.confirm(found, fresh, machine.cores(), lambda line: print(line, flush=True))
    print(f"{experiment}\n{findings.page(found, experiment, confirmed)}")


def work(name: str, trials: int, job: int, threads: int, runs_dir: Path) -> None:
    """Take part in a study, in a process of its own."""
    from mnist_mlp.search.trials import Search

    with composing():
        Search(read(name), runs_dir).run(trials, job, threads)
