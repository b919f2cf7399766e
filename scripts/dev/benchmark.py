"""Time an optimizer step of the baseline network here and elsewhere, the start of train.py, the lab, and logging.

    python scripts/dev/benchmark.py
    python scripts/dev/benchmark.py --parts steps --batches 1,100 --contenders here,jax --rounds 3

Each contender has a process of its own; the processes take turns, so that other load on the machine affects all of
them. JAX, Keras and TensorFlow come with `pip install -e .[bench]`; contenders that are not installed are skipped with
a message. docs/benchmark.json has the figures by instruction set, and keeps those that are not measured.
"""

import hashlib
import importlib.util
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from inspect import getdoc
from itertools import product
from pathlib import Path
from typing import Any

from contenders import CONTENDERS, PASSES, STEPS

from mnist_mlp.cli.arguments import Parser, clean_exit, path, some_of, whole_number
from mnist_mlp.runs import machine

ROOT = Path(__file__).parents[2]
TRAIN = [sys.executable, str(ROOT / "train.py"), "trainer=cpu"]
PARTS = ("start", "steps", "lab", "logging")
PACKAGES = ("torch", "lightning", "jax", "optax", "keras", "tensorflow-cpu")
PAIRS = 4
"""Pairs of runs, without and with logging, in a round."""
ABOUT = f"""# Benchmark

`python scripts/dev/benchmark.py` measures these figures and writes this page. Below each table stand the processor, its
instruction set, the threads, the versions, the commit and the protocol. A table that was measured with an earlier
version of the compiled kernel is marked. Everything in a table takes turns within a round.
[Performance](performance.md) says how the speed is reached.

The optimizer steps are those of the baseline network. Each row takes the same steps: in every round, {PASSES} passes
after one that warms up. Validation, checkpoints and compilation are not part of a pass. This project, Lightning and
Keras also count the training accuracy; PyTorch and JAX do not. In brackets: the figure divided by this project's, both
as they stand in the table.

The fastest pass of all rounds counts, and the fastest round of each question of the lab. A virtual machine's two
processors may share a core of their host for some minutes; whatever runs then takes up to twice as long. The record,
benchmark.json, has every round.

"""


class Process:
    """A contender's process."""

    def __init__(self, name: str, data: Path) -> None:
        self.name = name
        self.errors = data.with_name(f"{name}.txt")
        with self.errors.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("contenders.py")), name, str(data)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                encoding="utf-8",
            )

    def measure(self, batch: int) -> float:
        """Let the contender measure; return the seconds of an optimizer step."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            print(batch, file=self.process.stdin, flush=True)
            return float(json.loads(self.process.stdout.readline()))
        except (OSError, ValueError):
            self.process.wait()
            errors = self.errors.read_text(encoding="utf-8").strip().splitlines()
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
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "mnist.npz"
        records = mnist.load(mnist.default_directory(), train=True)
        np.savez(data, images=records.images.numpy(), labels=records.labels.numpy())
        processes = [Process(name, data) for name in names]
        for number in range(1, rounds + 1):
            for batch in batches:
                for process in processes:
                    seconds = process.measure(batch)
                    steps[process.name][str(batch)].append(seconds)
                    progress(f"round {number}, batch {batch:,}, {process.name}: {seconds * 1e6:,.1f} microseconds")
        for process in processes:
            process.end()
    sizes = ", ".join(f"{STEPS[batch]:,}" for batch in batches)
    protocol = f"the fastest of {PASSES * rounds} passes of {sizes} steps, in {rounds} rounds"
    return {"protocol": protocol, "seconds_a_step": steps}


def steps_table(part: dict[str, Any]) -> str:
    """Format the times of the steps as a Markdown table."""
    shown = {
        name: {batch: round(1e6 * min(seconds)) for batch, seconds in batches.items()}
        for name, batches in part["seconds_a_step"].items()
    }
    batches = list(next(iter(shown.values())))
    lines = [
        "| microseconds an optimizer step | " + " | ".join(f"batch {int(batch):,}" for batch in batches) + " |",
        "|---|" + "---:|" * len(batches),
    ]
    for name, figures in shown.items():
        cells = [f"{figures[batch]:,}" for batch in batches]
        if name != "here" and "here" in shown:
            ratios = [figures[batch] / shown["here"][batch] for batch in batches]
            cells = [f"{cell} ({ratio:.1f} x)" for cell, ratio in zip(cells, ratios, strict=True)]
        lines.append(f"| {CONTENDERS[name].title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", described(part)])


def rows_explained() -> str:
    """Say what each row of the steps' table is."""
    return "\n".join(
        f"- **{contender.title}**: {' '.join((getdoc(contender) or '').split())}" for contender in CONTENDERS.values()
    )


def described(part: dict[str, Any]) -> str:
    """Return a line on how a part was measured, on what, and with what, and whether the kernel has changed since."""
    versions = ", ".join(f"{package} {version}" for package, version in part["versions"].items())
    earlier = "" if part["kernel"] == kernel() else "; **with an earlier kernel**"
    return f"{part['hardware']}; {versions}; commit {part['commit']}; {part['protocol']}{earlier}."


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


FIRST_EPOCH = "first epoch, less that epoch's own seconds"


def measure_start(rounds: int) -> dict[str, Any]:
    """Time what comes before the first optimizer step, and what memory a run takes."""
    measured: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        run = [*TRAIN, "overwrite=true", f"runs_dir={folder}"]
        commands: dict[str, tuple[list[str], str | None]] = {
            "import torch": ([sys.executable, "-c", "import torch"], None),
            "import hydra": ([sys.executable, "-c", "import hydra"], None),
            "train.py --help": ([*TRAIN, "--help"], None),
            "import torch, lightning": ([sys.executable, "-c", "import torch, lightning"], None),
            "first optimizer step, and its validation": ([*run, "epochs=1", "data.steps_per_epoch=1"], " 1/1 "),
            FIRST_EPOCH: (run, " 1/5 "),
            "the baseline": (run, None),
        }
        for number in range(1, rounds + 1):
            for name, (command, until) in commands.items():
                taken = timed(command, until)
                if name == FIRST_EPOCH:
                    (result,) = Path(folder).glob("baseline-*/seed0/result.json")
                    taken["seconds"] -= json.loads(result.read_text(encoding="utf-8"))["epochs"][0]["seconds"]
                measured.setdefault(name, []).append(taken)
                progress(f"round {number}, {name}: {taken['seconds']:.2f} s")
    return {
        "protocol": f"medians of {rounds} rounds; multiples are medians of those within a round",
        "commands": measured,
    }


def start_table(part: dict[str, Any]) -> str:
    """Format the times of the start as a Markdown table, as multiples of the first command's, too."""
    (first, reference), *_ = part["commands"].items()
    lines = [
        f"| from the start of the process to the end of | seconds | multiple of {first} | peak memory, MB |",
        "|---|---:|---:|---:|",
    ]
    for name, measured in part["commands"].items():
        seconds = statistics.median(each["seconds"] for each in measured)
        pairs = zip(measured, reference, strict=True)
        multiple = statistics.median(each["seconds"] / other["seconds"] for each, other in pairs)
        megabytes = statistics.median(each["megabytes"] for each in measured)
        lines.append(f"| {name} | {seconds:.2f} | {multiple:.2f} | {megabytes:,.0f} |")
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
    return {"protocol": f"the fastest of {rounds} rounds", "seconds": seconds}


def lab_table(part: dict[str, Any]) -> str:
    """Format the times of the lab as a Markdown table."""
    seconds = {question: min(rounds) for question, rounds in part["seconds"].items()}
    return "\n".join(
        [
            "| the lab, one seed | " + " | ".join(seconds) + " | all |",
            "|---|" + "---:|" * (len(seconds) + 1),
            "| seconds | " + " | ".join(f"{each:.1f}" for each in [*seconds.values(), sum(seconds.values())]) + " |",
            "",
            described(part),
        ]
    )


LOGGING = ("light", "default", "full")


def measure_logging(rounds: int) -> dict[str, Any]:
    """Time complete runs of the baseline network, tests included, in pairs in a single process that is warmed up."""
    from mnist_mlp.config.compose import compose_run, composing
    from mnist_mlp.interactive.jobs import training_function

    train = training_function()
    pairs: dict[str, dict[str, list[list[float]]]] = {option: {"100": [], "10000": []} for option in LOGGING}
    with tempfile.TemporaryDirectory() as folder, composing():

        def timed_run(batch: str, *overrides: str) -> float:
            job = ["trainer=cpu", f"batch={batch}", f"runs_dir={folder}", "overwrite=true", *overrides]
            config = compose_run(job)
            started = time.perf_counter()
            train(config, show=False)
            return time.perf_counter() - started

        for number in range(PAIRS * rounds + 1):
            for batch, option in product(("100", "10000"), LOGGING):
                without = timed_run(batch, "logger=none", "callbacks=none")
                logged = timed_run(batch, f"callbacks={option}")
                if number:  # the first pair warms up
                    pairs[option][batch].append([without, logged])
                    progress(f"pair {number}, batch {batch}, {option}: {without:.3f} s, {logged:.3f} s")
    quartiles = "medians of the differences within a pair, and their quartiles"
    return {"protocol": f"{PAIRS * rounds} pairs of runs without and with it; {quartiles}", "pairs": pairs}


def logging_table(part: dict[str, Any]) -> str:
    """Format the cost of logging as a Markdown table."""
    pairs = part["pairs"]
    batches = list(next(iter(pairs.values())))
    lines = [
        "| seconds a run of five epochs | " + " | ".join(f"batch {int(batch):,}" for batch in batches) + " |",
        "|---|" + "---:|" * len(batches),
    ]
    without = [statistics.median(first for runs in pairs.values() for first, _ in runs[batch]) for batch in batches]
    lines.append("| no logger | " + " | ".join(f"{seconds:.2f}" for seconds in without) + " |")
    for option, runs in pairs.items():
        cells = []
        for batch in batches:
            more = [logged - first for first, logged in runs[batch]]
            low, middle, high = statistics.quantiles(more, n=4, method="inclusive")
            cells.append(f"{middle:+.2f} ({low:+.2f} to {high:+.2f})")
        lines.append(f"| callbacks={option} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", described(part)])


LAYOUTS = {"start": start_table, "steps": steps_table, "lab": lab_table, "logging": logging_table}
HEADINGS = {"start": "Start", "steps": "Optimizer steps", "lab": "The lab", "logging": "Logging"}
MEASURES = {"start": measure_start, "lab": measure_lab, "logging": measure_logging}


def page(record: dict[str, Any]) -> str:
    """Format docs/benchmark.md: a section for each instruction set."""
    sections = []
    for instructions, parts in sorted(record.items()):
        sections.append(f"## {instructions}")
        sections += [f"### {HEADINGS[part]}\n\n{LAYOUTS[part](parts[part])}" for part in PARTS if part in parts]
    return f"{ABOUT}{rows_explained()}\n\n" + "\n\n".join(sections) + "\n"


def kernel() -> str:
    """Hash the compiled kernel's source without its comments: the figures are measured again when it changes."""
    code = re.sub(r"//.*", "", (ROOT / "mnist_mlp" / "fast" / "kernel.cpp").read_text(encoding="utf-8"))
    return hashlib.sha256(" ".join(code.split()).encode()).hexdigest()[:12]


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


def instructions_and_threads() -> tuple[str, str]:
    """Ask torch, in another process: imports would count as memory of the processes that are measured."""
    code = "import torch; print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())"
    instructions, threads = subprocess.check_output([sys.executable, "-c", code], encoding="utf-8").split()
    return instructions, threads


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
    measured: dict[str, Any] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    instructions, threads = instructions_and_threads()
    parts = measured.setdefault(instructions, {})
    measured_on = {
        "hardware": f"{machine.processor()}, {os.cpu_count()} cores, {threads} threads, {instructions}",
        "versions": versions(),
        "commit": machine.commit(),
        "kernel": kernel(),
    }
    for part in (part for part in PARTS if part in arguments.parts):  # start first, while this process is small
        if part == "steps":
            contenders = [name for name in arguments.contenders if installed(name)]
            figures = measure_steps(contenders, [int(batch) for batch in arguments.batches], arguments.rounds)
        else:
            figures = MEASURES[part](arguments.rounds)
        parts[part] = {**measured_on, **figures}
        print(f"\n{LAYOUTS[part](parts[part])}", flush=True)
    record.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    record.with_suffix(".md").write_text(page(measured), encoding="utf-8")


if __name__ == "__main__":
    with clean_exit():
        main()
