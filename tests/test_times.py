"""Runs are timed one at a time, in turns with the baseline; the report reads their times, and judges what was said."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SHORT, Done
from test_study import record

from mnist_mlp.cli import time
from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.config.identity import identity
from mnist_mlp.config.schema import Config
from mnist_mlp.errors import Problem
from mnist_mlp.lab import questions, time_claims
from mnist_mlp.report import times
from mnist_mlp.report.study import QUESTIONS, Variant
from mnist_mlp.report.times import Row, Time
from mnist_mlp.runs.folder import Run
from mnist_mlp.runs.record import Status

Script = Callable[..., Done]


def row(number: int, seconds: float, baseline: float, name: str = "q02") -> Row:
    """Make up a timed run."""
    id = f"{name}-id"
    return Row(
        name, name, id, number, seconds, baseline, 2, "A processor, model 1", "AVX2", "2026-01-02T03:04:05+00:00"
    )


def timed(lowest: float, highest: float) -> Time:
    return Time(2, 3.0, 3.0, (lowest + highest) / 2, lowest, highest, 1, "A processor")


@pytest.fixture(autouse=True)
def _in_a_folder_of_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Training:
    """Takes the place of training: writes records of runs that never were, and lists them."""

    def __init__(self) -> None:
        self.configs: list[Config] = []
        self.seconds = {"baseline": 2.0, "q02": 3.0}  # of the first run; each later one takes 0.1 more
        self.status: Status = "completed"
        self.interrupted_at = 0

    def __call__(self, config: Config, show: bool) -> float:
        assert not show
        self.configs.append(config)
        if len(self.configs) == self.interrupted_at:
            raise KeyboardInterrupt
        variant = Variant("", "disjoint", None, config.name, config, {}, (0,), {})
        record(variant, 0, 0.97, self.status, self.seconds.get(config.name, 1.0) + 0.1 * len(self.configs))
        run = Run(config)
        result = run.result()
        assert result is not None
        result.hardware["instructions"] = None
        run.write(result)
        return 0.97

    @property
    def names(self) -> list[str]:
        return [config.name for config in self.configs]


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    made = Training()
    monkeypatch.setattr(time, "training_function", lambda: made)
    return made


def test_after_a_warm_up_each_run_of_a_variant_is_followed_by_one_of_the_baseline(
    script: Script, training: Training
) -> None:
    done = script("time.py", "--questions", "q02", "--rounds", "2")
    assert done.returncode == 0, done.stderr
    a_round = ["baseline", "baseline", "q02", "baseline"]  # the baseline is a variant, too
    assert training.names == ["baseline", *a_round, *a_round]
    rows = [row for row in times.rows("runs") if row.variant == "q02"]
    assert [(row.question, row.round) for row in rows] == [("q02", 1), ("q02", 2)]
    assert [row.seconds for row in rows] == pytest.approx([3.4, 3.8])
    assert [row.baseline_seconds for row in rows] == pytest.approx([2.5, 2.9])


def test_each_run_is_trained_anew_and_only_the_times_are_kept(
    script: Script, training: Training, tmp_path: Path
) -> None:
    assert script("time.py", "--questions", "q02", "--rounds", "2").returncode == 0
    folders = [Path(config.runs_dir) for config in training.configs]
    assert len(set(folders)) == len(folders)
    assert not any(folder.exists() for folder in folders)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")] == ["runs/times.csv"]


def test_what_is_shared_by_questions_is_timed_once(script: Script, training: Training) -> None:
    assert script("time.py", "--questions", "q02,q05", "--rounds", "1").returncode == 0
    assert training.names == ["baseline", "baseline", "baseline", "q02", "baseline", "q05", "baseline"]
    assert [row.question for row in times.rows("runs")] == ["baseline", "q02", "q05"]


def test_variants_that_explain_an_answer_are_timed_if_asked_for(script: Script, training: Training) -> None:
    assert script("time.py", "--questions", "q02", "--rounds", "1", "--why").returncode == 0
    assert [row.variant for row in times.rows("runs")] == ["baseline", "q02", "q02_equal_parameters", "q02_equal_time"]


@pytest.mark.parametrize("language", ["en", "es"])
def test_a_table_of_80_columns_has_medians_the_fastest_run_and_the_notebooks_ratio(
    script: Script, training: Training, language: str
) -> None:
    done = script("time.py", "--questions", "q02", "--rounds", "3", "--language", language)
    header, baseline, q02, *note = done.stdout.splitlines()[-6 if language == "en" else -7 : -1]
    ratios = sorted([3.4 / 2.5, 3.8 / 2.9, 4.2 / 3.3])
    expected = ["q02", "3.80", f"{ratios[1]:.2f}", "3.40", "1.6"]
    titles = ["variant", "seconds", "ratio", "fastest", "notebook"]
    if language == "es":
        expected = [text.replace(".", ",") for text in expected]
        titles = ["variante", "segundos", "razón", "mínimo", "cuaderno"]
    assert q02.split() == expected
    assert header.split() == titles
    assert baseline.split()[0] == "baseline"
    assert max(map(len, [header, baseline, q02, *note])) <= 80
    assert "±" not in done.stdout


def test_what_is_timed_again_replaces_its_rows_and_no_others(script: Script, training: Training) -> None:
    times.write("runs", [row(1, 5.0, 4.0, "q07"), row(2, 5.0, 4.0, "q07")])
    for rounds in ("3", "1"):
        assert script("time.py", "--questions", "q02", "--rounds", rounds).returncode == 0
    kept = [(row.variant, row.round) for row in times.rows("runs")]
    assert kept == [("baseline", 1), ("q02", 1), ("q07", 1), ("q07", 2)]


def test_other_overrides_are_another_configuration_and_replace_nothing(script: Script, training: Training) -> None:
    asked = ["--questions", "q02", "--rounds", "1"]
    assert script("time.py", *asked).returncode == 0
    assert script("time.py", *asked, "--", "epochs=1").returncode == 0
    assert [row.variant for row in times.rows("runs")] == ["baseline", "epochs=1", "q02", "q02,epochs=1"]


def test_an_interruption_leaves_the_old_file_whole(script: Script, training: Training, tmp_path: Path) -> None:
    times.write("runs", [row(1, 5.0, 4.0)])
    before = Path("runs/times.csv").read_bytes()
    training.interrupted_at = 4
    assert script("time.py", "--questions", "q02").returncode == 130
    assert Path("runs/times.csv").read_bytes() == before
    assert [path.name for path in Path("runs").iterdir()] == ["times.csv"]
    assert not any(Path(config.runs_dir).exists() for config in training.configs)


def test_a_file_that_cannot_be_written_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    times.write("runs", [row(1, 5.0, 4.0)])
    before = Path("runs/times.csv").read_bytes()
    monkeypatch.setattr(times, "asdict", lambda row: {"other": 1})
    with pytest.raises(ValueError, match="other"):
        times.write("runs", [row(1, 6.0, 4.0)])
    assert Path("runs/times.csv").read_bytes() == before
    assert len(list(Path("runs").iterdir())) == 1


@pytest.mark.parametrize("status", ["diverged", "limited", "failed"])
def test_a_run_that_is_not_completed_has_no_time(script: Script, training: Training, status: Status) -> None:
    training.status = status
    done = script("time.py", "--questions", "q02")
    assert done.returncode == 2
    assert done.stderr == f"baseline: {status}, but only a completed run is timed; nothing was written\n"
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--questions", "q1"], "--questions: q1 is none of q01, q02, q03, q04, q05, q06, q07, q08, q09, q10; did you"),
        (["--rounds", "0"], "--rounds: 0 is not a whole number of at least 1"),
        (["--protocol", "both"], "--protocol: both is none of disjoint, notebook"),
        (["--round", "3"], "--round: there is no such option; did you mean --rounds?"),
        (["--", "epoks=3"], "epoks=3: there is no key epoks; did you mean epochs?"),
        (["--", "epochs=1,2"], "epochs=1,2: give a single value, which all runs share"),
        (["--runs-dir", "file/runs"], "--runs-dir file/runs: "),
    ],
    ids=" ".join,
)
def test_what_is_wrong_is_said_in_one_line_before_anything_is_trained(
    script: Script, training: Training, arguments: list[str], line: str
) -> None:
    Path("file").write_text("", encoding="utf-8")
    done = script("time.py", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1
    assert training.configs == []


HEADER = "question,variant,id,round,seconds,baseline_seconds,threads,cpu,instructions,started\n"
GOOD = "q02,q02,0123abcd,1,3.0,2.0,2,A processor,AVX2,2026-01-02T03:04:05+00:00\n"
DAMAGED = {
    "no columns": "",
    "not text": b"\xff\xfe\x00",
    "another column": HEADER.replace("round", "seed") + GOOD,
    "a row of fewer columns": HEADER + GOOD + "q02,q02\n",
    "a row without its last column": HEADER + GOOD.rpartition(",")[0] + "\n",
    "a row of more columns": HEADER + GOOD.replace("AVX2", "AVX2,2"),
    "not a number": HEADER + GOOD.replace("3.0", "three"),
    "no time": HEADER + GOOD.replace("3.0", "nan"),
    "a time of 0": HEADER + GOOD.replace("2.0", "0"),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_corrupt_file_is_reported_and_neither_used_nor_replaced(
    script: Script, training: Training, content: str | bytes
) -> None:
    path = Path("runs/times.csv")
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = "runs/times.csv: corrupt, or of another version; delete it, and mnist-mlp time measures the times again"
    with pytest.raises(Problem, match=re.escape(said)):
        times.rows("runs")
    done = script("time.py", "--questions", "q02")
    assert (done.returncode, done.stderr) == (2, f"{said}\n")
    assert training.configs == []


def test_without_a_file_there_are_no_times() -> None:
    assert times.rows("runs") == []


def test_the_ratio_is_the_median_of_those_to_the_baseline_beside_the_run() -> None:
    measured = [row(1, 3.0, 2.0), row(2, 30.0, 15.0), row(3, 4.0, 4.0)]  # the second while other work slowed both
    times.write("runs", [*measured, row(1, 1.0, 2.0, "q06")])
    found = times.by_identity(times.rows("runs"))
    assert found.keys() == {"q02-id", "q06-id"}
    assert found["q02-id"] == Time(3, 4.0, 3.0, 1.5, 1.0, 2.0, 2, "A processor, model 1")
    assert times.rows("runs")[:3] == measured


@pytest.fixture(scope="module")
def configs() -> dict[str, Config]:
    names = ["baseline", "q02", "q03", "q03_as_run", "q04", "q04_as_run", "q06", "q07", "q08"]
    with composing():
        return {name: compose_run([f"experiment={name}"]) for name in names}


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("baseline", 11),
        ("q02", 18),
        ("q03", 30),  # the last five of ten epochs, beside five of the baseline
        ("q03_as_run", None),
        ("q04", None),  # which it did not run
        ("q04_as_run", 16),
        ("q06", 9),
        ("q07", 1075),
        ("q08", 29),
    ],
)
def test_the_notebooks_ratio_is_of_the_seconds_that_it_printed_of_as_many_epochs(
    configs: dict[str, Config], name: str, seconds: float | None
) -> None:
    assert times.notebook_ratio(configs[name]) == (seconds and seconds / 11)


@pytest.mark.parametrize(
    ("question", "ratios", "outcome"),
    [
        ("q02", (1.45, 1.5), "holds"),
        ("q02", (1.35, 1.45), "open"),
        ("q02", (1.0, 1.2), "refuted"),
        ("q02", (1.7, 1.8), "refuted"),
        ("q03", (1.8, 2.2), "holds"),
        ("q03", (1.4, 2.6), "open"),
        ("q06", (0.8, 0.95), "holds"),
        ("q06", (0.5, 0.6), "refuted"),
        ("q06", (0.9, 1.1), "open"),
        ("q07", (81.0, 500.0), "holds"),
        ("q07", (10.0, 11.0), "refuted"),
        ("q07", (79.0, 81.0), "open"),
        ("q08", (1.0, 1.1), "refuted"),
        ("q01", (1.0, 1.0), None),
    ],
)
def test_what_the_notebook_says_of_time_holds_if_all_ratios_lie_in_its_bounds_and_not_if_all_lie_outside(
    question: str, ratios: tuple[float, float], outcome: str | None
) -> None:
    assert times.judge(question, timed(*ratios)) == outcome


def test_every_claim_about_time_is_of_a_question_whose_answer_says_it() -> None:
    assert time_claims().keys() == {"q02", "q03", "q06", "q07", "q08"} <= set(QUESTIONS)
    for question, claim in time_claims().items():
        words = {word.strip(",") for word in claim["words"].split()}
        assert words <= {word.strip(";:,.") for word in questions()[question]["answer"].split()}
        assert claim["high"] is None or claim["low"] < claim["high"]


def test_the_verb_times_real_runs(script: Script) -> None:
    with composing():
        id = identity(compose_run(["experiment=q06", *SHORT]))
    done = script("time.py", "--questions", "q06", "--rounds", "1", "--", *SHORT, "trainer.threads=1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "runs/times.csv"
    found = times.by_identity(times.rows("runs"))[id]
    assert (found.rounds, found.threads) == (1, 1)
    assert 0 < found.fastest == found.seconds
    assert "" not in {row.instructions for row in times.rows("runs")}
