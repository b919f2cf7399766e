"""The benchmark measures, skips what is not installed, and its table is the README's."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Done

SCRIPT = ROOT / "scripts" / "dev" / "benchmark.py"
DOCS = ROOT / "docs"
NAMES = "here, lightning, lightning-tuned, torch, torch-compiled, keras, keras-tuned, jax"


@pytest.fixture
def benchmark(script: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run the script in this process."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return partial(script, "dev/benchmark.py")


@pytest.mark.slow
def test_it_measures_this_project_and_the_peers_that_are_installed(
    benchmark: Callable[..., Done], tmp_path: Path
) -> None:
    done = benchmark("--parts=steps", "--batches=10000", "--rounds=1", "--contenders=here,torch", f"--out={tmp_path}")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    ((instructions, parts),) = record.items()
    found = parts["steps"]
    assert found["hardware"].endswith(f" threads, {instructions}")
    assert found["protocol"] == "the fastest of 3 passes of 5 steps, in 1 rounds"
    for name in ("here", "torch"):
        (seconds,) = found["seconds_a_step"][name]["10000"]
        assert 0 < seconds < 60
    page = (tmp_path / "benchmark.md").read_text(encoding="utf-8")
    assert page.startswith("# Benchmark\n")
    assert page.endswith(f"## {instructions}\n\n### Optimizer steps\n{done.stdout}")


def test_a_peer_that_is_not_installed_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import benchmark
    import contenders

    monkeypatch.setattr(contenders.Jax, "needs", ("no_such_package",))
    said: list[str] = []
    monkeypatch.setattr(benchmark, "progress", said.append)
    assert not benchmark.installed("jax")
    assert said == ["skipping jax: no_such_package is not installed; pip install -e .[bench]"]
    assert benchmark.installed("torch")


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("--contenders=jacks", f"--contenders: jacks is none of {NAMES}; did you mean jax?"),
        ("--batches=2", "--batches: 2 is none of 1, 25, 100, 10000; did you mean 25?"),
        ("--parts=", "--parts:  is none of start, steps, lab, logging"),
        ("--rounds=0", "--rounds: 0 is not a whole number of at least 1"),
    ],
)
def test_what_it_does_not_know_is_said_with_status_2(benchmark: Callable[..., Done], argument: str, line: str) -> None:
    done = benchmark(argument)
    assert done.returncode == 2
    assert done.stderr == f"{line}\n"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import benchmark

    return benchmark


@pytest.fixture
def published() -> Any:
    """The record of docs/benchmark.json: parts by instruction set."""
    return json.loads((DOCS / "benchmark.json").read_text(encoding="utf-8"))


@pytest.fixture
def measured(module: Any) -> dict[str, Any]:
    """What stands below each table."""
    versions, kernel = {"torch": "2.9.0"}, module.kernel()
    return {"hardware": "A CPU", "versions": versions, "commit": "0123abc", "kernel": kernel, "protocol": "medians"}


def test_a_ratio_is_that_of_the_figures_in_the_table(module: Any, measured: dict[str, Any]) -> None:
    seconds = {"here": [86e-6, 43.4e-6, 1.0], "keras": [1405e-6, 1406e-6, 2.0], "keras-tuned": [527e-6] * 3}
    table = module.steps_table({**measured, "seconds_a_step": {name: {"1": runs} for name, runs in seconds.items()}})
    assert table.splitlines()[2:] == [
        "| this project | 43 |",
        f"| Keras, as in the notebook | 1,405 ({1405 / 43:.1f} x) |",
        f"| Keras, tuned | 527 ({527 / 43:.1f} x) |",
        "",
        "A CPU; torch 2.9.0; commit 0123abc; medians.",
    ]


def test_the_start_is_compared_with_import_torch_of_the_same_round(module: Any, measured: dict[str, Any]) -> None:
    runs = {"import torch": (1, 2, 4), "the baseline": (3, 8, 8)}
    commands = {name: [{"seconds": each, "megabytes": 9} for each in times] for name, times in runs.items()}
    assert module.start_table({**measured, "commands": commands}).splitlines()[:4] == [
        "| from the start of the process to the end of | seconds | multiple of import torch | peak memory, MB |",
        "|---|---:|---:|---:|",
        "| import torch | 2.00 | 1.00 | 9 |",
        "| the baseline | 8.00 | 3.00 | 9 |",
    ]


def test_the_lab_takes_the_fastest_round_of_each_question(module: Any, measured: dict[str, Any]) -> None:
    table = module.lab_table({**measured, "seconds": {"q01": [2.0, 1.0], "q02": [3.0, 6.0]}})
    assert table.splitlines()[2] == "| seconds | 1.0 | 3.0 | 4.0 |"


def test_logging_costs_what_the_pairs_differ_by(module: Any, measured: dict[str, Any]) -> None:
    pairs = {"light": {"100": [[1.0, 1.1], [2.0, 2.2], [3.0, 3.3]]}}
    assert module.logging_table({**measured, "pairs": pairs}).splitlines()[2:4] == [
        "| no logger | 2.00 |",
        "| callbacks=light | +0.20 (+0.15 to +0.25) |",
    ]


def test_instruction_sets_have_sections_of_their_own(module: Any, published: Any) -> None:
    page = module.page({"AVX512": published["AVX512"], "AVX2": {"steps": published["AVX512"]["steps"]}})
    headings = [line for line in page.splitlines() if line.startswith("#")]
    parts = ["### Start", "### Optimizer steps", "### The lab", "### Logging"]
    assert headings == ["# Benchmark", "## AVX2", "### Optimizer steps", "## AVX512", *parts]
    for contender in module.CONTENDERS.values():
        assert f"\n- **{contender.title}**: " in page


def test_figures_of_an_earlier_kernel_are_marked(
    module: Any, measured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.described(measured) == "A CPU; torch 2.9.0; commit 0123abc; medians."
    monkeypatch.setattr(module, "kernel", lambda: "another")
    assert module.described(measured).endswith("; medians; **with an earlier kernel**.")


def test_the_published_page_shows_the_record(module: Any, published: Any) -> None:
    assert (DOCS / "benchmark.md").read_text(encoding="utf-8") == module.page(published)
    for part in (part for parts in published.values() for part in parts.values()):
        assert not part["commit"].endswith("+"), "measured with changes that are in no commit"


def test_the_readme_shows_every_contender_beside_this_kernel(module: Any, published: Any) -> None:
    steps = [parts["steps"] for parts in published.values() if "steps" in parts]
    of_this_kernel = [
        module.steps_table(part)
        for part in steps
        if part["kernel"] == module.kernel() and list(part["seconds_a_step"]) == list(module.CONTENDERS)
    ]
    assert of_this_kernel, "python scripts/dev/benchmark.py --parts steps measures it"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert any(table in readme for table in of_this_kernel), "copy the table of docs/benchmark.md to the README"


def test_the_spanish_readme_has_the_figures_of_the_english() -> None:
    english, spanish = (
        (ROOT / page).read_text(encoding="utf-8").split(heading)[1].split("\n\n")[1:3]
        for page, heading in (("README.md", "## Speed"), ("README.es.md", "## Velocidad"))
    )
    figures = re.findall(r"\d[\d.]*", re.sub(r"(?<=\d),(?=\d)", "", "".join(english)))
    theirs = re.sub(r"(?<=\d)\N{NO-BREAK SPACE}(?=\d)", "", "".join(spanish))
    assert len(figures) > 60
    assert re.findall(r"\d[\d.]*", re.sub(r"(?<=\d),(?=\d)", ".", theirs)) == figures
