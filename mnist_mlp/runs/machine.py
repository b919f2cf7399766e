"""The machine and the software, as a run's record names them. Free of torch."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
NUMBERS = (
    *("vendor_id", "cpu family", "model", "stepping"),
    *("CPU implementer", "CPU variant", "CPU part", "CPU revision"),  # ARM's
)
"""Fields of /proc/cpuinfo that distinguish processor models of the same name, as in virtual machines."""


def processor() -> str:
    """Name the processor and its model."""
    fields = _processor()
    name = fields.get("model name") or _said(["sysctl", "-n", "machdep.cpu.brand_string"])  # the latter on macOS
    numbers = ", ".join(f"{field} {fields[field]}" for field in NUMBERS if field in fields)
    return (name or platform.processor() or platform.machine()) + (f" ({numbers})" if numbers else "")


def instructions() -> str:
    """List the processor's instruction sets, as far as the system names them."""
    fields = _processor()
    return fields.get("flags") or fields.get("Features") or f"{platform.platform()} {platform.processor()}"


def _processor() -> dict[str, str]:
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        return {}
    pairs = [line.partition(":") for line in text.partition("\n\n")[0].splitlines()]  # the first one stands for all
    return {field.strip(): value.strip() for field, _, value in pairs}


def _said(command: list[str], folder: Path | None = None) -> str | None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """The cores that this process may use.

    Args:
        quota: of a container: microseconds, or "max", in each period of microseconds (Linux, cgroup v2).
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        microseconds, period = quota.read_text(encoding="utf-8").split()
    except OSError:
        return allowed
    return allowed if microseconds == "max" else max(1, min(allowed, int(microseconds) // int(period)))


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a run's numbers depend on."""
    packages = ("mnist-mlp", "torch", "lightning", "torchvision", "hydra-core", "numpy")
    return {"python": platform.python_version(), **{package: metadata.version(package) for package in packages}}


def commit() -> str | None:
    """Return the commit of the checkout that contains this file, with "+" if it was changed; None outside one."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    # None where there is no git, or no commit yet.
    return _said(["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"], root)
