"""What a record says of the machine: enough to tell apart those that give different numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import SHORT

from mnist_mlp.fast import kernel
from mnist_mlp.language import LANGUAGES, speaking
from mnist_mlp.report.text import Words
from mnist_mlp.runs import machine

Command = Callable[..., int]


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 8), ("400000 100000", 4), ("50000 100000", 1), ("1600000 100000", 8)]
)
def test_the_cores_are_those_of_the_container(
    quota: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(8), raising=False)
    (tmp_path / "cpu.max").write_text(f"{quota}\n", encoding="utf-8")
    assert machine.cores(tmp_path / "cpu.max") == cores
    assert machine.cores(tmp_path / "none") == 8


def test_the_processor_has_a_name() -> None:
    assert machine.processor()
    assert machine.instructions()


def x86(name: str, family: int, model: int, stepping: int, flags: str) -> str:
    return (
        f"processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: {family}\nmodel\t\t: {model}\n"
        f"model name\t: {name}\nstepping\t: {stepping}\nflags\t\t: {flags}\n\nprocessor\t: 1\nmodel\t\t: 99\n"
    )


ARM = "processor\t: 0\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\nCPU revision\t: 1\n"


@pytest.mark.parametrize(
    ("cpuinfo", "processor", "instructions"),
    [
        (
            x86("AMD EPYC", 25, 1, 1, "fma avx2"),
            "AMD EPYC (vendor_id AuthenticAMD, cpu family 25, model 1, stepping 1)",
            "fma avx2",
        ),
        (
            x86("AMD EPYC", 25, 17, 0, "fma avx2 avx512f"),
            "AMD EPYC (vendor_id AuthenticAMD, cpu family 25, model 17, stepping 0)",
            "fma avx2 avx512f",
        ),
        (ARM, "aarch64 (CPU implementer 0x41, CPU part 0xd40, CPU revision 1)", "fp asimd sve"),
        ("", "aarch64", "Somewhere-1.0 aarch64"),
    ],
    ids=["AVX2", "AVX-512", "ARM", "nothing"],
)
def test_processors_that_share_a_name_are_told_apart_by_their_model(
    cpuinfo: str, processor: str, instructions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo, encoding="utf-8")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.processor", lambda: "aarch64")
    monkeypatch.setattr("platform.platform", lambda: "Somewhere-1.0")
    monkeypatch.setenv("PATH", str(tmp_path))  # without a sysctl
    assert (machine.processor(), machine.instructions()) == (processor, instructions)


def test_on_macos_the_processor_is_the_one_that_sysctl_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sysctl = tmp_path / "sysctl"
    sysctl.write_text('#!/bin/sh\n[ "$*" = "-n machdep.cpu.brand_string" ] && echo "Apple M1"\n', encoding="utf-8")
    sysctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    assert machine.processor() == "Apple M1"


@pytest.mark.parametrize("taken_by", ["compiled kernel", "PyTorch", "Lightning"])
def test_a_record_has_the_processor_in_full_and_the_instruction_set_that_took_the_steps(
    taken_by: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.compiled.cache_clear()
    if taken_by == "PyTorch":
        monkeypatch.setenv("CXX", "no-such-compiler")
    assert command(*SHORT, *(["trainer.steps_per_execution=1"] if taken_by == "Lightning" else [])) == 0
    (record,) = (tmp_path / "runs").glob("*/*/result.json")
    hardware = json.loads(record.read_text(encoding="utf-8"))["hardware"]
    assert hardware["steps_by"] == taken_by
    assert hardware["cpu"] == machine.processor()
    by_torch = torch.backends.cpu.get_cpu_capability()
    by_kernel = kernel.compiled("Adam").instructions().decode() if taken_by == "compiled kernel" else by_torch
    assert hardware["instructions"] == by_kernel
    kernel.compiled.cache_clear()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_shows_the_instruction_set_where_the_record_has_it(language: str) -> None:
    before: dict[str, Any] = {"cpu": "A processor", "cores": 4, "threads": 2}
    old: Any = SimpleNamespace(hardware=before)
    new: Any = SimpleNamespace(hardware=before | {"instructions": "AVX2"})
    with speaking(language):
        words = Words()
    assert words.hardware(old).startswith("A processor (")
    assert words.hardware(new) == words.hardware(old).replace("A processor", "A processor, AVX2")
