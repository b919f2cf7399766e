"""What a run's record says of the machine and the software. Free of torch."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path


def processor() -> str:
    """Name the processor."""
    return _of_processor("model name") or platform.processor() or platform.machine()


def instructions() -> str:
    """List the instruction sets that the processor has, as far as the system tells."""
    return _of_processor("flags") or _of_processor("Features") or f"{platform.platform()} {platform.processor()}"


def _of_processor(field: str) -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    return next((line.split(":")[1].strip() for line in lines if line.startswith(field)), None)


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores that this process may use.

    Args:
        quota: of a container: microseconds, or "max", in each period of microseconds (Linux, cgroup v2).
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        microseconds, period = quota.read_text().split()
    except OSError:
        return allowed
    return allowed if microseconds == "max" else max(1, min(allowed, int(microseconds) // int(period)))


def versions() -> dict[str, str]:
    """Give the versions of Python and of the packages that a run's numbers depend on."""
    packages = ("mnist-mlp", "torch", "lightning", "torchvision", "hydra-core", "numpy")
    return {"python": platform.python_version(), **{package: metadata.version(package) for package in packages}}


def commit() -> str | None:
    """Give the commit of the checkout that this file lies in, with "+" if it was changed; None outside one."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    describe = ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    try:
        return subprocess.run(describe, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git here, or no commit yet
        return None
