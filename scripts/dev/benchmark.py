"""Time an optimizer step of the baseline network here and elsewhere, the start of train.py, the lab, and logging.

    python scripts/dev/benchmark.py
    python scripts/dev/benchmark.py --parts steps --batches 1,100 --contenders here,jax --rounds 3

Each contender has a process of its own, which warms up first; the processes take turns, so that other load on the
machine affects all of them. Figures are medians over rounds; ratios are medians of the ratios within a round. JAX,
Keras and TensorFlow come with `pip install -e .[bench]`; contenders that are not installed are skipped with a message.
docs/benchmark.json keeps its figures for the parts that are not measured.
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

from mnist_mlp.cli.arguments import Parser, clean_exit, path, some_of, whole_number
from mnist_mlp.runs import machine

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, str(ROOT / "train.py"), "trainer=cpu"]
PARTS = ("start", "steps", "lab", "logging")
LABELS = {"keras": "the notebook's pipeline, one step per execution"}
"""Remarks on contenders, beside their titles."""
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
        """Let the contender measure an optimizer step; return its answer, with the seconds."""
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        try:
            print(batch, file=self.process.stdin, flush=True)
            return dict(json.loads(self.process.stdout.readline()))
        except (OSError, ValueError):
            errors = self.process.stderr.read().strip().splitlines()
            sys.exit(f"benchmark: {self.name} failed: {errors[-1] if errors else 'without a message'}")

    def end(self) -> None:
        """Terminate the process."""
        self.process.kill()
        self.process.communicate()


def measure_steps(names: list[str], batches: list[int], rounds: int) -> dict[str, Any]:
    """Measure the contenders in turns; return the seconds a step by contender and batch size, for each round."""
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
                    answer = process.measure(batch)
                    steps[process.name][str(batch)].append(answer["seconds"])
                    if "epoch_seconds" in answer:
                        epochs[str(batch)].append(answer["epoch_seconds"])
                    progress(
                        f"round {number}, batch {batch:,}, {process.name}: {answer['seconds'] * 1e6:,.1f} microseconds"
                    )
        for process in processes:
            process.end()
    return {"seconds_a_step": steps, "seconds_an_epoch_here": epochs}


def table(part: dict[str, Any]) -> str:
    """Format the times of the steps as a Markdown table."""
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
    """Return a line on the hardware, the versions and the rounds of a part, and then the notes in its record."""
    versions = ", ".join(f"{package} {version}" for package, version in part["versions"].items())
    measured = f"{part['hardware']}; {versions}; medians of {part['rounds']} rounds."
    return "\n\n".join([measured, *part.get("notes", [])])


def timed(command: list[str], until: str | None = None) -> dict[str, float]:
    """Run a command; return the seconds until it ends, or prints a line with `until`, and its peak memory."""
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
    measured: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = [*TRAIN, "overwrite=true", f"runs_dir={folder}"]
        commands: dict[str, tuple[list[str], str | None]] = {
            "import hydra": ([sys.executable, "-c", "import hydra"], None),
            "train.py --help": ([*TRAIN, "--help"], None),
            "import torch, lightning": ([sys.executable, "-c", "import torch, lightning"], None),
            "first optimizer step, and its validation": ([*run, "epochs=1", "data.steps_per_epoch=1"], " 1/1 "),
            "the baseline": (run, None),
        }
        for number in range(1, rounds + 1):
            for name, (command, until) in commands.items():
                measured.setdefault(name, []).append(timed(command, until))
                progress(f"round {number}, {name}: {measured[name][-1]['seconds']:.2f} s")
    return {"commands": measured}


def start_table(part: dict[str, Any]) -> str:
    """Format the times of the start as a Markdown table."""
    lines = ["| from the start of the process to the end of | seconds | peak memory, MB |", "|---|---:|---:|"]
    for name, measured in part["commands"].items():
        seconds = statistics.median(each["seconds"] for each in measured)
        megabytes = statistics.median(each["megabytes"] for each in measured)
        lines.append(f"| {name} | {seconds:.2f} | {megabytes:,.0f} |")
    return "\n".join([*lines, "", described(part)])


def measure_lab(rounds: int) -> dict[str, Any]:
    """Time the ten questions as the notebook ran them: one seed, five epochs, each in a process, start-up included."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for question in (f"q{number:02}" for number in range(1, 11)):
                command = [*TRAIN, f"question={question}", "seed=0", f"runs_dir={folder}"]
                seconds.setdefault(question, []).append(timed(command)["seconds"])
                progress(f"{question}: {seconds[question][-1]:.1f} s")
    return {"seconds": seconds}


def lab_table(part: dict[str, Any]) -> str:
    """Format the times of the lab as a Markdown table."""
    questions = part["seconds"]
    totals = [sum(seconds) for seconds in zip(*questions.values(), strict=True)]
    return "\n".join(
        [
            "| the lab, one seed | " + " | ".join(questions) + " | all |",
            "|---|" + "---:|" * (len(questions) + 1),
            "| seconds | "
            + " | ".join(f"{statistics.median(seconds):.1f}" for seconds in [*questions.values(), totals])
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
    """Time complete runs of the baseline network, tests included, in turns in a single process that is warmed up."""
    from mnist_mlp.cli.train import training_function
    from mnist_mlp.config.compose import compose_run, composing

    train = training_function()
    seconds_a_run: dict[str, dict[str, list[float]]] = {name: {} for name in LOGGING}
    with tempfile.TemporaryDirectory() as folder, composing():
        for number in range(rounds + 1):
            for batch, (name, overrides) in product(("100", "10000"), LOGGING.items()):
                job = ["trainer=cpu", f"batch={batch}", f"runs_dir={folder}", "overwrite=true", *overrides]
                config = compose_run(job)
                started = time.perf_counter()
                train(config, show=False)
                seconds = time.perf_counter() - started
                if number:  # the first round warms up
                    seconds_a_run[name].setdefault(batch, []).append(seconds)
                    progress(f"round {number}, batch {batch}, {name}: {seconds:.3f} s")
    return {"seconds_a_run": seconds_a_run}


def logging_table(part: dict[str, Any]) -> str:
    """Format the cost of logging as a Markdown table."""
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
    """Print a line on standard error."""
    print(line, file=sys.stderr)


def installed(name: str) -> bool:
    """Whether the packages of a contender are installed; if not, print a line."""
    missing = [package for package in CONTENDERS[name].needs if importlib.util.find_spec(package) is None]
    if missing:
        progress(f"skipping {name}: {missing[0]} is not installed; pip install -e .[bench]")
    return not missing


def versions() -> dict[str, str]:
    """Return the versions of the measured packages that are installed."""
    installed_versions = {}
    for package in PACKAGES:
        try:
            installed_versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed_versions


def main() -> None:
    """Parse the command line, measure, print the tables and write the record."""
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
    parts: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
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
        parts[part] = {**measured_on, **measured}
        print(f"\n{LAYOUTS[part](parts[part])}", flush=True)
    record.write_text(json.dumps(parts, indent=1) + "\n", encoding="utf-8")
    tables = [LAYOUTS[part](parts[part]) for part in PARTS if part in parts]
    record.with_suffix(".md").write_text("\n\n".join(tables) + "\n", encoding="utf-8")


if __name__ == "__main__":
    with clean_exit():
        main()
