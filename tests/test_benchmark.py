"""The benchmark measures, skips what is not installed, and its table is the README's."""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT, Done

SCRIPT = ROOT / "scripts" / "dev" / "benchmark.py"
DOCS = ROOT / "docs"


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
    found = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))["steps"]
    assert found["rounds"] == 1
    for name in ("here", "torch"):
        (seconds,) = found["seconds_a_step"][name]["10000"]
        assert 0 < seconds < 60
    assert (tmp_path / "benchmark.md").read_text(encoding="utf-8") in done.stdout
    assert "plain PyTorch" in done.stdout


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
        ("--contenders=jacks", "--contenders: jacks is none of here, lightning, torch, keras, jax; did you mean jax?"),
        ("--batches=2", "--batches: 2 is none of 1, 25, 100, 10000; did you mean 25?"),
        ("--parts=", "--parts:  is none of start, steps, lab, logging"),
        ("--rounds=0", "--rounds: 0 is not a whole number of at least 1"),
    ],
)
def test_what_it_does_not_know_is_said_with_status_2(benchmark: Callable[..., Done], argument: str, line: str) -> None:
    done = benchmark(argument)
    assert done.returncode == 2
    assert done.stderr == f"{line}\n"


def test_the_row_of_keras_is_labelled_and_what_was_noted_stands_below_the_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import benchmark

    part = {
        "seconds_a_step": {"here": {"100": [0.001]}, "keras": {"100": [0.005]}, "jax": {"100": [0.002]}},
        "seconds_an_epoch_here": {"100": [0.6]},
        "hardware": "A processor, 2 cores",
        "versions": {"torch": "2.9.0"},
        "rounds": 1,
        "notes": ["Noted afterwards."],
    }
    lines = benchmark.table(part).splitlines()
    label = "Keras on TensorFlow (the notebook's pipeline, one step per execution)"
    assert lines[3] == f"| {label} | 5,000 (5.0 x) |"
    assert lines[4] == "| JAX lax.scan | 2,000 (2.0 x) |"
    assert lines[-3:] == ["A processor, 2 cores; torch 2.9.0; medians of 1 rounds.", "", "Noted afterwards."]


def test_the_readme_shows_the_published_table() -> None:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        from benchmark import LAYOUTS
    finally:
        sys.path.remove(str(SCRIPT.parent))
    published = json.loads((DOCS / "benchmark.json").read_text(encoding="utf-8"))
    tables = [LAYOUTS[part](published[part]) for part in ("start", "steps", "lab", "logging")]
    assert (DOCS / "benchmark.md").read_text(encoding="utf-8") == "\n\n".join(tables) + "\n"
    assert LAYOUTS["steps"](published["steps"]) in (ROOT / "README.md").read_text(encoding="utf-8")
