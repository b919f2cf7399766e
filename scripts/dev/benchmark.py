"""Time an optimizer step of the baseline network here and elsewhere, the start of train.py, the lab, and the logging.

    python scripts/dev/benchmark.py
    python scripts/dev/benchmark.py --parts steps --batches 1,100 --contenders here,jax --rounds 3

Each contender has a process of its own, in which it is warm; the processes take turns, so that a busy moment of the
machine meets all. Figures are medians over rounds, ratios medians of the ratios within a round. The peers other than
PyTorch come with `pip install -e .[bench]`; one that is not installed is skipped by name. Parts that are not measured
keep what docs/benchmark.json has of them.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

from contenders import CONTENDERS, STEPS

from mnist_mlp.cli.arguments import Parser, path, read_or_not, some_of, whole_number
from mnist_mlp.runs import machine

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, str(ROOT / "train.py"), "trainer=cpu"]
PARTS = ("start", "steps", "lab", "logging")
LABELS = {"keras": "the notebook's pipeline, one step per execution"}
"""What a reader has to know about a contender beside its title."""
PACKAGES = ("torch", "lightning", "jax", "optax", "keras", "tensorflow-cpu")


class Process:
    """A contender's process."""

    def __init__(self, name: str, data: Path) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("contenders.py")), name, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def measure(self, batch: int) -> dict[str, float]:
        """Ask for the seconds of an optimizer step."""
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        try:
            print(batch, file=self.process.stdin, flush=True)
            return dict(json.loads(self.process.stdout.readline()))
        except (OSError, ValueError):
            said = self.process.stderr.read().strip().splitlines()
            sys.exit(f"benchmark: {self.name} failed: {said[-1] if said else 'without a word'}")

    def end(self) -> None:
        """Let it go."""
        self.process.kill()
        self.process.communicate()


def measure_steps(names: list[str], batches: list[int], rounds: int) -> dict[str, Any]:
    """Let the contenders take turns; give seconds a step, by contender and batch size, in each round."""
    import numpy as np

    from mnist_mlp import mnist

    steps: dict[str, dict[str, list[float]]] = {name: {str(batch): [] for batch in batches} for name in names}
    epochs: dict[str, list[float]] = {str(batch): [] for batch in batches}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "mnist.npz"
        records = mnist.load(mnist.default_directory(), train=True)
        np.savez(data, images=records.images.numpy(), labels=records.labels.numpy())
        processes = [Process(name, data) for name in names]
        for number in range(1, rounds + 1):
            for batch in batches:
                for process in processes:
                    found = process.measure(batch)
                    steps[process.name][str(batch)].append(found["seconds"])
                    if "epoch_seconds" in found:
                        epochs[str(batch)].append(found["epoch_seconds"])
                    progress(
                        f"round {number}, batch {batch:,}, {process.name}: {found['seconds'] * 1e6:,.1f} microseconds"
                    )
        for process in processes:
            process.end()
    return {"seconds_a_step": steps, "seconds_an_epoch_here": epochs}


def table(part: dict[str, Any]) -> str:
    """Lay out the steps as Markdown."""
    steps, epochs = part["seconds_a_step"], part["seconds_an_epoch_here"]
    batches = list(epochs)
    lines = [
        "| microseconds an optimizer step | " + " | ".join(f"batch {int(batch):,}" for batch in batches) + " |",
        "|---|" + "---:|" * len(batches),
    ]
    for name, seconds in steps.items():
        cells = [f"{1e6 * statistics.median(seconds[batch]):,.0f}" for batch in batches]
        if name != "here" and "here" in steps:
            pairs = [zip(seconds[batch], steps["here"][batch], strict=True) for batch in batches]
            ratios = [statistics.median(theirs / ours for theirs, ours in rounds) for rounds in pairs]
            cells = [f"{cell} ({ratio:.1f} x)" for cell, ratio in zip(cells, ratios, strict=True)]
        title = f"{CONTENDERS[name].title} ({LABELS[name]})" if name in LABELS else CONTENDERS[name].title
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    if "here" in steps:
        cells = [f"{statistics.median(epochs[batch]):.2f} s" for batch in batches]
        lines.append("| *a whole epoch here, validation included* | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", described(part)])


def described(part: dict[str, Any]) -> str:
    """Say in a line on what a part was measured, and how often; then what was noted in its record afterwards."""
    versions = ", ".join(f"{package} {version}" for package, version in part["versions"].items())
    measured = f"{part['hardware']}; {versions}; medians of {part['rounds']} rounds."
    return "\n\n".join([measured, *part.get("notes", [])])


def timed(command: list[str], until: str | None = None) -> dict[str, float]:
    """Run a command; give the seconds until it ends, or prints a line with `until`, and its peak memory."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")
    assert process.stdout
    seconds = None
    for line in process.stdout:
        if until and until in line and seconds is None:
            seconds = time.perf_counter() - started
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"benchmark: {' '.join(command)} ended with status {process.returncode}")
    units_in_a_megabyte = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "seconds": time.perf_counter() - started if seconds is None else seconds,
        "megabytes": usage.ru_maxrss / units_in_a_megabyte,
    }


def measure_start(rounds: int) -> dict[str, Any]:
    """Time what comes before the first optimizer step, and what memory a run takes."""
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = [*TRAIN, "overwrite=true", f"runs_dir={folder}"]
        commands: dict[str, tuple[list[str], str | None]] = {
            "import hydra": ([sys.executable, "-c", "import hydra"], None),
            "train.py --help": ([*TRAIN, "--help"], None),
            "import torch, lightning": ([sys.executable, "-c", "import torch, lightning"], None),
            "first optimizer step, and its validation": ([*run, "epochs=1", "data.steps_per_epoch=1"], "epoch 1/1"),
            "the baseline": (run, None),
        }
        for number in range(1, rounds + 1):
            for name, (command, until) in commands.items():
                found.setdefault(name, []).append(timed(command, until))
                progress(f"round {number}, {name}: {found[name][-1]['seconds']:.2f} s")
    return {"commands": found}


def start_table(part: dict[str, Any]) -> str:
    """Lay out the start as Markdown."""
    lines = ["| from the start of the process to the end of | seconds | peak memory, MB |", "|---|---:|---:|"]
    for name, found in part["commands"].items():
        seconds = statistics.median(each["seconds"] for each in found)
        megabytes = statistics.median(each["megabytes"] for each in found)
        lines.append(f"| {name} | {seconds:.2f} | {megabytes:,.0f} |")
    return "\n".join([*lines, "", described(part)])


def measure_lab(rounds: int) -> dict[str, Any]:
    """Time the ten questions as the notebook ran them: a process each, one seed, five epochs, start-up included."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for question in (f"q{number:02}" for number in range(1, 11)):
                command = [*TRAIN, f"question={question}", "seed=0", f"runs_dir={folder}"]
                found.setdefault(question, []).append(timed(command)["seconds"])
                progress(f"{question}: {found[question][-1]:.1f} s")
    return {"seconds": found}


def lab_table(part: dict[str, Any]) -> str:
    """Lay out the lab as Markdown."""
    questions = part["seconds"]
    whole = [sum(seconds) for seconds in zip(*questions.values(), strict=True)]
    return "\n".join(
        [
            "| the lab, one seed | " + " | ".join(questions) + " | all |",
            "|---|" + "---:|" * (len(questions) + 1),
            "| seconds | "
            + " | ".join(f"{statistics.median(seconds):.1f}" for seconds in [*questions.values(), whole])
            + " |",
            "",
            described(part),
        ]
    )


LOGGING = {
    "no logger": ["logger=none", "callbacks=none"],
    **{f"callbacks={option}": [f"callbacks={option}"] for option in ("light", "default", "full")},
}


def measure_logging(rounds: int) -> dict[str, Any]:
    """Time whole runs of the baseline network, the test included, in one process that is warm, taking turns."""
    from mnist_mlp.cli.train import training_function
    from mnist_mlp.config.compose import compose, composing, labelled

    train = training_function()
    found: dict[str, dict[str, list[float]]] = {name: {} for name in LOGGING}
    with tempfile.TemporaryDirectory() as folder, composing():
        for number in range(rounds + 1):
            for batch, (name, overrides) in product(("100", "10000"), LOGGING.items()):
                job = ["trainer=cpu", f"batch={batch}", f"runs_dir={folder}", "overwrite=true", *overrides]
                composed = compose(job)
                config = labelled(composed, composed.hydra)
                started = time.perf_counter()
                train(config, show=False)
                seconds = time.perf_counter() - started
                if number:  # the first round warms up
                    found[name].setdefault(batch, []).append(seconds)
                    progress(f"round {number}, batch {batch}, {name}: {seconds:.3f} s")
    return {"seconds_a_run": found}


def logging_table(part: dict[str, Any]) -> str:
    """Lay out what logging costs as Markdown."""
    (nothing, without), *others = part["seconds_a_run"].items()
    titles = [f"batch {int(batch):,}" for batch in without]
    lines = [f"| seconds a run of five epochs | {' | '.join(titles)} |", "|---|" + "---:|" * len(titles)]
    lines.append(
        f"| {nothing} | " + " | ".join(f"{statistics.median(seconds):.2f}" for seconds in without.values()) + " |"
    )
    for name, runs in others:
        cells = []
        for batch, seconds in runs.items():
            more = [ours - theirs for ours, theirs in zip(seconds, without[batch], strict=True)]
            share = [ours / theirs - 1 for ours, theirs in zip(seconds, without[batch], strict=True)]
            cells.append(f"{statistics.median(more):+.2f} ({statistics.median(share):+.0%})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", described(part)])


LAYOUTS = {"start": start_table, "steps": table, "lab": lab_table, "logging": logging_table}
MEASURES = {"start": measure_start, "lab": measure_lab, "logging": measure_logging}


def progress(line: str) -> None:
    """Tell someone who waits."""
    print(line, file=sys.stderr)


def installed(name: str) -> bool:
    """Say whether a contender can run; one that cannot is named."""
    missing = [package for package in CONTENDERS[name].needs if importlib.util.find_spec(package) is None]
    if missing:
        progress(f"{name} is skipped: {missing[0]} is not installed; pip install -e .[bench]")
    return not missing


def versions() -> dict[str, str]:
    """Give the versions of what is measured and installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Read the command line, measure, print and write."""
    batches, names = tuple(map(str, STEPS)), tuple(CONTENDERS)
    parser = Parser.of(__doc__)
    parser.add_argument("--rounds", type=whole_number, default=5)
    parser.add_argument("--parts", type=some_of(PARTS), default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--batches", type=some_of(batches), default=list(batches), help=f"some of {','.join(batches)}")
    parser.add_argument("--contenders", type=some_of(names), default=list(names), help=f"some of {','.join(names)}")
    parser.add_argument("--out", type=path, default=ROOT / "docs", help="folder of benchmark.json and benchmark.md")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = arguments.out / "benchmark.json"
    found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    measured_on = {
        "hardware": f"{machine.processor()}, {os.cpu_count()} cores",
        "versions": versions(),
        "rounds": arguments.rounds,
    }
    for part in (part for part in PARTS if part in arguments.parts):  # start first, while this process is small
        if part == "steps":
            contenders = [name for name in arguments.contenders if installed(name)]
            measured = measure_steps(contenders, [int(batch) for batch in arguments.batches], arguments.rounds)
        else:
            measured = MEASURES[part](arguments.rounds)
        found[part] = {**measured_on, **measured}
        print(f"\n{LAYOUTS[part](found[part])}", flush=True)
    record.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    tables = [LAYOUTS[part](found[part]) for part in PARTS if part in found]
    record.with_suffix(".md").write_text("\n\n".join(tables) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with read_or_not():
        main()
