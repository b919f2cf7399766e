"""Search for the best configuration by validation accuracy; then train the winner again with fresh seeds, and report.

mnist-mlp search q01_width
mnist-mlp search q10 --trials 100 --jobs 2
mnist-mlp search my/space.yaml --fresh 10

The same command continues an interrupted search; if all trials are done, it only reports.
"""

import multiprocessing
from multiprocessing.synchronize import Semaphore
from pathlib import Path

from mnist_mlp.cli.arguments import Parser, clean_exit, path, whole_number
from mnist_mlp.config.compose import composing
from mnist_mlp.fast import start
from mnist_mlp.language import _, figure
from mnist_mlp.runs import machine
from mnist_mlp.search.space import SPACES, read


def main() -> None:
    """Parse the command line and search."""
    parser = Parser.of(
        _(
            "Search for the best configuration by validation accuracy; then train the winner again with fresh seeds, "
            "and report."
        )
    )
    parser.add_argument("space", metavar="SPACE", help=_("{names}, or a YAML file").format(names=", ".join(SPACES)))
    parser.add_argument("--trials", type=whole_number, help=_("in total, earlier ones included (as SPACE says)"))
    parser.add_argument("--jobs", type=whole_number, default=1, help=_("parallel processes, which share the cores (1)"))
    parser.add_argument("--fresh", type=whole_number, default=5, help=_("fresh seeds to train the winner with (5)"))
    parser.add_argument("--runs-dir", type=path, default=Path("runs"), help=_("folder of the runs (runs)"))
    arguments = parser.parse_args()
    try:
        with composing():
            search(arguments.space, arguments.trials, arguments.jobs, arguments.fresh, arguments.runs_dir)
    except KeyboardInterrupt:
        print("\n" + _("interrupted; the same command resumes the search"))
        raise


def search(name: str, trials: int | None, jobs: int, fresh: int, runs_dir: Path) -> None:
    """Run the trials, train the winner with fresh seeds, and write the page and the winner's experiment file."""
    space = read(name)
    total = trials or space.trials
    space.check(runs_dir)
    from mnist_mlp.search import confirmation, summary
    from mnist_mlp.search.trials import Search

    threads = max(1, machine.cores() // jobs)
    study = Search(space, runs_dir)
    said = _("{space}: {done} of {total} trials in {folder}")
    print(said.format(space=space.name, done=len(study.done), total=total, folder=study.folder), flush=True)
    spawning = multiprocessing.get_context("spawn")
    begun = spawning.Semaphore(max(0, total - len(study.done)))
    others = [
        spawning.Process(target=work, args=(name, total, job, threads, runs_dir, begun)) for job in range(1, jobs)
    ]
    for process in others:
        process.start()
    study.run(total, 0, threads, begun)
    for process in others:
        process.join()
    study.run(total, 0, threads)  # instead of those that another process has begun and not ended
    best = study.best
    overrides = " ".join(best.user_attrs["overrides"])
    said = _("best: trial {trial}, validation {accuracy}: {overrides}")
    accuracy = figure(best.value or 0.0, ".2%")
    print(said.format(trial=best.number, accuracy=accuracy, overrides=overrides), flush=True)
    experiment = confirmation.experiment(study)
    confirmed = confirmation.confirm(study, fresh, machine.cores(), lambda line: print(line, flush=True))
    command = ["python", "scripts/search.py", name, f"--trials={total}", f"--jobs={jobs}", f"--fresh={fresh}"]
    command += [f"--runs-dir={runs_dir}"] if runs_dir != Path("runs") else []
    page = summary.page(study, experiment, confirmed, command)
    print(f"{confirmed.conclusion()}\n{experiment}\n{page}")


def work(name: str, trials: int, job: int, threads: int, runs_dir: Path, begun: Semaphore) -> None:
    """Run trials in another process."""
    start.prepare()
    from mnist_mlp.search.trials import Search

    with clean_exit(), composing():
        Search(read(name), runs_dir).run(trials, job, threads, begun)
