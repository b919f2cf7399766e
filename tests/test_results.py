"""The published results: the numbers of the README, docs/results.md and the report come from results.csv."""

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import published
import pytest
from conftest import ROOT
from scipy import stats

from mnist_mlp.curves.curve import CURVES
from mnist_mlp.curves.page import tabulated
from mnist_mlp.curves.sample import samples
from mnist_mlp.curves.text import sentences
from mnist_mlp.report.write import write
from mnist_mlp.search.summary import STATES

RESULTS = ROOT / "docs" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
REPORT = (RESULTS / "report.md").read_text(encoding="utf-8")
BOTH = ("disjoint", "notebook")


def table_after(heading: str, text: str) -> list[list[str]]:
    """Read the first Markdown table after a heading, its title row first."""
    lines = text.split(heading, 1)[1].strip().splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("|"))
    table = [line for line in lines[first:] if line.startswith("|") or not line]
    table = table[: table.index("")] if "" in table else table
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table if not line.startswith("|--")]


@pytest.fixture(name="runs", scope="module")
def published_runs() -> pd.DataFrame:
    """The runs that are asked for, those that several questions share once."""
    runs = published.runs()
    return runs[~runs.explains]


def of(runs: pd.DataFrame, protocol: str, variant: str) -> pd.DataFrame:
    return runs[(runs.protocol == protocol) & (runs.variant == variant)]


MEASURES = ("test_accuracy", "val_accuracy")


def percent(values: "pd.Series[float]") -> str:
    half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
    return f"{100 * values.mean():.2f} ± {100 * half:.2f}"


def steps_of_holm(p_values: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """Adjust p-values by Holm's method."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    steps = np.maximum.accumulate([(len(ordered) - rank) * p_values[name] for rank, name in enumerate(ordered)])
    return dict(zip(ordered, steps, strict=True))


def verdicts(runs: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Give the verdict on each variant's test accuracy, by scipy's tests."""
    different, same, sign = {}, {}, {}
    for protocol in BOTH:
        tests = runs[runs.protocol == protocol].pivot(index="variant", columns="seed", values="test_accuracy")
        for variant in tests.index.drop("baseline"):
            differences = tests.loc[variant] - tests.loc["baseline"]
            name, sign[protocol, variant] = (protocol, variant), np.sign(differences.median())
            if (tests.loc[variant] < 0.5).any():  # failed runs: by the signs
                different[name] = stats.binomtest(int((differences > 0).sum()), len(differences)).pvalue
                same[name] = 1.0
            else:
                different[name] = stats.ttest_1samp(differences, 0).pvalue
                ends = [(0.002, "less"), (-0.002, "greater")]
                same[name] = max(stats.ttest_1samp(differences, end, alternative=side).pvalue for end, side in ends)
    different, same = steps_of_holm(different), steps_of_holm(same)
    changed = {name: "better" if sign[name] > 0 else "worse" for name in different}
    return {
        name: changed[name] if different[name] < 0.05 else "the same" if same[name] < 0.05 else "undecided"
        for name in different
    }


def test_every_run_is_there_and_completed(runs: pd.DataFrame) -> None:
    assert set(runs.status) == {"completed"}
    assert set(runs.protocol) == set(BOTH)
    assert runs.groupby(["protocol", "variant"]).size().nunique() == 1
    assert f"runs: {len(published.runs())} completed, 0 diverged, 0 missing" in REPORT


def test_the_report_is_that_of_the_published_files(tmp_path: Path) -> None:
    """Every table, interval, verdict and sentence is recomputed from results.csv, epochs.csv and correct.npz."""
    write(published.study(), tmp_path, "")
    made, shown = (
        text.split("## How this was made")[0] for text in ((tmp_path / "report.md").read_text(encoding="utf-8"), REPORT)
    )
    assert made.splitlines() == shown.splitlines()


def test_the_summary_is_that_of_scipy(runs: pd.DataFrame) -> None:
    header, *rows = table_after("## Summary", REPORT)
    judged = verdicts(runs)
    variants = list(runs[runs.protocol == "disjoint"].variant.unique())
    variants.sort(key=lambda variant: variant != "baseline")  # the rest in the order of the questions
    assert len(rows) == len(variants)
    for row, variant in zip(rows, variants, strict=True):
        cells, its_runs = dict(zip(header, row, strict=True)), of(runs, "disjoint", variant)
        assert cells["n"] == str(len(its_runs))
        if "median" not in cells["test %"]:
            assert cells["validation %"] == percent(its_runs.val_accuracy)
            assert cells["test %"] == percent(its_runs.test_accuracy)
        if variant != "baseline":
            assert cells["verdict"].startswith(judged["disjoint", variant]), variant


def test_the_page_of_results_shows_the_reports_summary() -> None:
    assert table_after("## The answers", PAGE) == table_after("## Summary", REPORT)


def test_the_readme_shows_one_variant_a_question_of_the_reports_summary() -> None:
    header, *rows = table_after("## The answers", README)
    titles, *summary = table_after("## Summary", REPORT)
    assert [row[0] for row in rows] == ["", *map(str, range(1, 11))]
    assert all(row in [[each[titles.index(title)] for title in header] for each in summary] for row in rows)


def test_the_page_of_results_tells_of_the_leak_by_the_runs(runs: pd.DataFrame) -> None:
    baselines = [of(runs, protocol, "baseline").val_accuracy for protocol in BOTH]
    disjoint, leaking = (f"{percent(values)}%" for values in baselines)
    assert f"{leaking} with the notebook's split and {disjoint} with a disjoint one" in re.sub(r"\s+", " ", PAGE)


@pytest.mark.parametrize("name", CURVES)
def test_a_published_curve_says_and_tabulates_its_runs(name: str) -> None:
    curve, runs = CURVES[name], pd.read_csv(RESULTS / "curves" / f"{name}.csv")
    assert runs.groupby(["overrides"]).seed.nunique().eq(5).all()
    assert set(runs.status) <= {"completed", "diverged"}
    page, points = (RESULTS / "curves" / f"{name}.md").read_text(encoding="utf-8"), samples(curve, runs)
    assert set(points) == set(curve.points)
    assert page.split("\n\n")[1] == sentences(curve, points)
    assert f"\n\n{tabulated(curve, points)}\n\n" in page
    assert f"- [{curve.title}](results/curves/{name}.md): {sentences(curve, points)}\n" in PAGE


def test_the_noise_scale_on_the_page_of_results_is_that_of_the_published_runs() -> None:
    scales = pd.read_csv(RESULTS / "noise_scale.csv")
    _, *rows = table_after("## Is it what theory says?", PAGE)
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    for (_, values), row in zip(scales.groupby("epoch").noise_scale, rows, strict=True):
        half = stats.t.ppf(0.975, len(values) - 1) * values.std() / np.sqrt(len(values))
        assert row[1:] == [str(len(values)), f"{values.mean():,.0f} ± {half:,.0f}"]
        assert np.allclose(values, scales.loc[values.index].eval("variance / squared_norm"), rtol=1e-4)


def test_the_times_on_the_page_of_results_are_those_that_were_measured() -> None:
    timed = pd.read_csv(RESULTS / "times.csv")
    _, *rows = table_after("## Times", PAGE)
    assert len(rows) == timed.id.nunique() > 20
    assert {(each.threads, each.instructions) for each in timed.itertuples()} == {(2, "AVX512")}
    for name, rounds, seconds, ratio, between, _notebook in rows:
        own = timed[timed.variant == name.strip("`")]
        ratios = own.seconds / own.baseline_seconds
        assert (rounds, seconds, ratio) == (str(len(own)), f"{own.seconds.median():.2f}", f"{ratios.median():.2f}")
        assert between == f"{ratios.min():.2f} to {ratios.max():.2f}"
    assert {name.strip("`"): cell for name, *_, cell in rows if cell}["q07"] == "98"


def test_the_table_of_pictures_is_that_of_the_published_answers() -> None:
    bench = runpy.run_path(str(ROOT / "scripts" / "dev" / "pictures.py"))
    answers, page = pd.read_csv(RESULTS / "pictures.csv"), (RESULTS / "pictures.md").read_text(encoding="utf-8")
    assert list(answers.kind.unique()) == ["unaltered", *bench["KINDS"]]
    assert set(answers.groupby("kind").size()) == {100}
    assert bench["tabulated"](answers) in page
    assert bench["calibrated"](answers) in page
    read = answers[(answers.label >= 0) & (answers.kind != "unaltered") & (answers.guess == answers.label)]
    assert f"{(read.probability <= 0.9).mean():.0%} of the right answers have a\n  probability of 90% or less" in page


def test_the_figures_of_the_readme_and_the_report_are_there() -> None:
    shown = re.findall(r"!\[.+?\]\((docs/results/.+?)\)", README)
    assert shown == ["docs/results/figures/differences.png"]
    assert "](results/figures/differences.png)" in PAGE
    assert (ROOT / shown[0]).is_file()
    named = re.findall(r"!\[.+?\]\((.+?)\)", REPORT)
    assert sorted(named) == sorted(str(path.relative_to(RESULTS)) for path in RESULTS.glob("figures/*.png"))


def test_how_far_it_goes_is_by_ten_seeds_each() -> None:
    """The table of docs/results/beyond.md is that of the runs in beyond.csv, and docs/results.md shows it."""
    page = (RESULTS / "beyond.md").read_text(encoding="utf-8")
    header, ruler, *rows = table_after("## Three experiments", page)
    found = pd.read_csv(RESULTS / "beyond.csv")
    assert [row[0] for row in rows] == [f"`{command}`" for command in found.command.unique()]
    for row, (_, its_runs) in zip(rows, found.groupby("command", sort=False), strict=True):
        cells = dict(zip(header, row, strict=True))
        assert sorted(its_runs.seed) == list(range(10))
        assert cells["n"] == "10"
        assert cells["validation %"] == percent(its_runs.val_accuracy)
        assert cells["test %"] == percent(its_runs.test_accuracy)
        assert cells["minutes (rough)"] == f"{its_runs.seconds.mean() / 60:.1f}"
    assert table_after("## How far", PAGE) == [header, ruler, *rows]
    assert f"goes: {rows[-1][header.index('test %')]}% on the test images" in README


def test_the_activations_of_the_best_network_are_compared_by_their_runs() -> None:
    text = (RESULTS / "beyond.md").read_text(encoding="utf-8")
    page = " ".join(text.split())
    runs = pd.read_csv(RESULTS / "q10_activations.csv")
    _, *rows = table_after("## How far the lab's own techniques go", text)
    for row, (command, own) in zip(rows, runs.groupby("command", sort=False), strict=True):
        assert row == [f"`{command}`", "20", spread(own.val_accuracy), spread(own.test_accuracy)]
        assert sorted(own.seed) == list(range(20))
    pairs = {measure: runs.pivot(index="seed", columns="command", values=measure) for measure in MEASURES}
    own, relu, tanh, gaussian = (row[0].strip("`") for row in rows)
    better = [percent(pairs[measure][own] - pairs[measure][relu]) for measure in MEASURES]
    assert f"than ReLU by {better[0]} points on the test images, and by {better[1]} on the validation images" in page
    reached = (pairs["val_accuracy"] >= 0.985).sum()
    for name, of in (("asks for", own), ("ReLU", relu)):
        assert f"{name} in {reached[of]} of 20" in page
    worse = pairs["test_accuracy"][own] - pairs["test_accuracy"][tanh]
    assert f"tanh is worse than the inverted Gaussian by {percent(worse)} points on the test images" in page
    below = pairs["test_accuracy"][own] > pairs["test_accuracy"][gaussian]
    failed = runs[runs.command == gaussian].test_accuracy < 0.5
    assert (
        f"The Gaussian is worse in {sum(below)} of 20 replicates, and learns next to nothing in {sum(failed)}" in page
    )
    assert set(runs.instructions) == {"AVX2", "AVX512"}
    others = runs[runs.instructions == "AVX2"]
    assert set(others.command) == {tanh, gaussian}
    assert f"from seed {others.seed.min()} on, tanh and the Gaussian ran on a processor with AVX2" in page


def spread(values: "pd.Series[float]") -> str:
    """A mean with its interval, or the median and the range where a run has failed."""
    if (values >= 0.5).all():
        return percent(values)
    median, low, high = (f"{100 * each:.2f}" for each in (values.median(), values.min(), values.max()))
    return f"median {median} ({low} to {high}), {(values < 0.5).sum()} of {len(values)} failed"


SEARCHES = sorted((RESULTS / "searches").iterdir())


@pytest.mark.parametrize("folder", SEARCHES, ids=lambda folder: folder.name)
def test_the_page_of_a_published_search_is_that_of_its_trials(folder: Path) -> None:
    page, trials = (folder / "README.md").read_text(encoding="utf-8"), pd.read_csv(folder / "trials.csv")
    states = ", ".join(f"{sum(trials.state == state)} {state}" for state in STATES)
    assert f"[{len(trials)} trials](trials.csv) ({states})" in page
    assert f"Best: trial {trials.trial[trials.val_accuracy.idxmax()]}," in page
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(pictures) == 2
    for picture in pictures:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("folder", SEARCHES, ids=lambda folder: folder.name)
def test_the_gain_and_the_luck_of_a_published_search_follow_from_its_table(folder: Path) -> None:
    page = (folder / "README.md").read_text(encoding="utf-8")
    _, *rows = table_after("## The winner with fresh seeds", page)
    cells = [[list(map(float, re.findall(r"[\d.]+", cell))) for cell in row[1:]] for row in rows]
    gains, variances, counts = [], [], []
    for winner, reference in zip(*cells, strict=True):
        several = [figures for figures in (winner, reference) if len(figures) == 3]
        deviations = [half / stats.t.ppf(0.975, n - 1) * np.sqrt(n) for _, half, n in several]
        gains.append(winner[0] - reference[0])
        variances.append(sum(np.square(deviations)))
        counts.append(int(winner[-1]))
    for place, words in ((1, "of validation accuracy"), (2, "points of test accuracy")):
        assert re.search(rf"\{gains[place]:+.2f} ± \d\.\d\d {words}", page.splitlines()[2])
    freedom = counts[0] + counts[1] - 2
    pooled = sum((n - 1) * variance for n, variance in zip(counts[:2], variances[:2], strict=True)) / freedom
    half = stats.t.ppf(0.975, freedom) * np.sqrt(pooled * (1 / counts[0] + 1 / counts[1]))
    luck = f"{gains[0] - gains[1]:+.2f}".replace("-", "\N{MINUS SIGN}")
    assert f"selected: {luck} ± {half:.2f} points, which is not shown to be any." in page


@pytest.mark.parametrize("folder", SEARCHES, ids=lambda folder: folder.name)
def test_the_winner_of_a_published_search_can_be_run(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--config-dir", str(folder), f"experiment={folder.name}_winner", "--cfg", "job") == 0
    assert f"name: {folder.name}_winner" in capsys.readouterr().out
