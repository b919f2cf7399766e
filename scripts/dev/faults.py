"""Break sweeps in several ways, launch them again, and compare the results with those of an undisturbed sweep.

    python scripts/dev/faults.py
    python scripts/dev/faults.py --kills 300 --faults kill,disk

The promises: no finished run is lost or changed, the next launch completes the sweep, and on the CPU its results are
bit-identical. `disk` mounts a small file system, which requires root; without it, it is skipped with a message.
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mnist_mlp.cli.arguments import Parser, clean_exit, some_of, whole_number

ROOT = Path(__file__).parents[2]
SWEEP = ["-m", "seed=0,1", "batch=20", "epochs=3", "data.steps_per_epoch=300", "trainer=cpu", "trainer.threads=1"]


class Broken(Exception):
    """A broken promise."""


def launch(runs_dir: Path, *more: str, memory: int | None = None) -> "subprocess.Popen[str]":
    """Start the sweep in a process group of its own, with at most `memory` bytes of address space."""

    def limit() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    line = [sys.executable, str(ROOT / "train.py"), *SWEEP, *more, f"runs_dir={runs_dir}"]
    return subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=limit,
    )


def completed(runs_dir: Path, *more: str) -> str:
    """Launch the sweep and wait until it ends; return its output.

    Raises:
        Broken: it did not complete.
    """
    process = launch(runs_dir, *more)
    output, _ = process.communicate()
    if process.returncode:
        raise Broken(f"a launch in {runs_dir} ended with status {process.returncode}:\n{output}")
    return output


def finished(runs_dir: Path) -> dict[str, Any]:
    """Return the results of the finished runs, by folder: the record without times and the like, and the weights."""
    import torch

    results = {}
    for path in sorted(runs_dir.glob("*/seed*/result.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["status"] == "completed":
            weights = torch.load(path.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
            epochs = [{name: value for name, value in each.items() if name != "seconds"} for each in record["epochs"]]
            numbers = {name: tensor.numpy().tobytes() for name, tensor in weights.items()}
            results[str(path.parent.relative_to(runs_dir))] = (epochs, record["test"], numbers)
    return results


def check(runs_dir: Path, expected: dict[str, Any], complete: bool) -> None:
    """Compare the finished runs with the expected ones.

    Args:
        runs_dir: their folder.
        expected: by `finished`.
        complete: whether all runs have to be finished.

    Raises:
        Broken: a run differs, or is missing.
    """
    actual = finished(runs_dir)
    for name, numbers in actual.items():
        if numbers != expected[name]:
            raise Broken(f"{runs_dir / name} differs from the undisturbed run")
    if complete and actual.keys() != expected.keys():
        raise Broken(f"{runs_dir} has {sorted(actual)} instead of {sorted(expected)}")


def kill(folder: Path, expected: dict[str, Any], kills: int, chance: random.Random) -> str:
    """Kill a sweep with -9 at random moments, launching it again until it completes; then another, and so on."""
    launches = 0
    longest, number = 8.0, 0
    done = 0
    while done < kills:
        runs_dir = folder / f"killed{number}"
        process = launch(runs_dir)
        launches += 1
        try:
            process.communicate(timeout=chance.uniform(1.0, longest))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            done += 1
            check(runs_dir, expected, complete=False)
        else:
            check(runs_dir, expected, complete=True)
            number += 1
    completed(runs_dir)
    check(runs_dir, expected, complete=True)
    return f"{done} kills in {launches} launches of {number + 1} sweeps"


def processes(folder: Path, expected: dict[str, Any], kills: int, chance: random.Random) -> str:
    """Launch two, and eight, processes in one folder at once."""
    for number in (2, 8):
        runs_dir = folder / f"shared{number}"
        together = [launch(runs_dir) for _ in range(number)]
        for process in together:
            output, _ = process.communicate()
            if process.returncode:
                raise Broken(f"one of {number} processes ended with status {process.returncode}:\n{output}")
        check(runs_dir, expected, complete=True)
    return "2 and 8 processes on one folder"


def disk(folder: Path, expected: dict[str, Any], kills: int, chance: random.Random) -> str:
    """Fill a file system of several sizes, then enlarge it."""
    runs_dir = folder / "small"
    runs_dir.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(runs_dir)], capture_output=True)
    if mounted.returncode:
        return "skipped: no file system can be mounted here"
    try:
        for size in ("64k", "1m", "3m", "6m", "9m"):
            subprocess.run(["mount", "-o", f"remount,size={size}", str(runs_dir)], check=True)
            process = launch(runs_dir)
            output, _ = process.communicate()
            if process.returncode == 0 or "Traceback" in output:
                raise Broken(f"on a disk of {size} a launch ended with status {process.returncode}:\n{output}")
            check(runs_dir, expected, complete=False)
        subprocess.run(["mount", "-o", "remount,size=200m", str(runs_dir)], check=True)
        completed(runs_dir)
        check(runs_dir, expected, complete=True)
    finally:
        subprocess.run(["umount", str(runs_dir)], check=True)
    return "disks of 64 kB to 9 MB"


def clock(folder: Path, expected: dict[str, Any], kills: int, chance: random.Random) -> str:
    """Date all files of an interrupted sweep in the future, as after setting back the clock, and launch it again."""
    runs_dir = folder / "clock"
    process = launch(runs_dir)
    assert process.stdout
    any(" 2/3 " in line for line in process.stdout)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    later = time.time() + 365 * 24 * 3600
    for path in runs_dir.rglob("*"):
        os.utime(path, (later, later))
    completed(runs_dir)
    check(runs_dir, expected, complete=True)
    return "files from the future"


def memory(folder: Path, expected: dict[str, Any], kills: int, chance: random.Random) -> str:
    """Limit the sweep's memory to several amounts that are too small, then remove the limit."""
    runs_dir = folder / "memory"
    for megabytes in (2_000, 2_500, 3_000, 4_000):  # with less, imports hang
        process = launch(runs_dir, memory=megabytes * 2**20)
        process.communicate()
        check(runs_dir, expected, complete=False)
    completed(runs_dir)
    check(runs_dir, expected, complete=True)
    return "2 to 4 GB of address space"


def damage(folder: Path, expected: dict[str, Any], kills: int, chance: random.Random) -> str:
    """Delete the records of runs and damage other files at random places, so that the runs have to resume from them."""
    runs_dir = folder / "damaged"
    completed(runs_dir)
    for _ in range(max(1, kills // 3)):
        run = chance.choice(sorted(runs_dir.glob("*/seed*")))
        (run / "result.json").unlink()
        path = chance.choice([path for path in sorted(run.rglob("*")) if path.is_file() and path.stat().st_size])
        content = bytearray(path.read_bytes())
        place = chance.randrange(len(content))
        if chance.random() < 0.5:
            del content[place:]
        else:
            content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        completed(runs_dir)
        check(runs_dir, expected, complete=True)
    return f"{max(1, kills // 3)} damaged files"


FAULTS: dict[str, Callable[[Path, dict[str, Any], int, random.Random], str]] = {
    function.__name__: function for function in (kill, processes, disk, clock, memory, damage)
}


def main() -> None:
    """Parse the command line and run the faults; exit with status 1 at the first broken promise."""
    parser = Parser.of(__doc__)
    parser.add_argument("--kills", type=whole_number, default=30, help="how many times sweeps are killed (30)")
    parser.add_argument("--faults", type=some_of(tuple(FAULTS)), default=list(FAULTS), help=f"of {','.join(FAULTS)}")
    parser.add_argument("--seed", type=whole_number, default=1, help="of the random moments and places (1)")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mnist_mlp-faults-"))
    try:
        completed(folder / "undisturbed")
        expected = finished(folder / "undisturbed")
        for name in arguments.faults:
            started = time.perf_counter()
            summary = FAULTS[name](folder, expected, arguments.kills, random.Random(arguments.seed))
            print(f"{name}: {summary}; all as promised ({time.perf_counter() - started:.0f} s)", flush=True)
    except Broken as broken:
        print(broken, file=sys.stderr)
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    with clean_exit():
        main()
