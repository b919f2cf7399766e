"""The report says of known runs what is known of them, in both languages, on paper, desk and phone."""

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from test_study import BASELINE, DIFFERENCES, SEEDS, finder, record, record_all  # noqa: F401 (finder is a fixture)

from mnist_mlp.lab import claims
from mnist_mlp.language import SPACE, speaking
from mnist_mlp.report.study import QUESTIONS, Study
from mnist_mlp.report.text import MINUS
from mnist_mlp.report.write import write
from mnist_mlp.runs.record import packed

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
BOTH = ["disjoint", "notebook"]


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., str]:
    """Write a study's report; give its Markdown."""

    def report(study: Study, language: str = "en") -> str:
        with speaking(language):
            write(study, tmp_path / "report", "python scripts/report.py --seeds 5")
        return (tmp_path / "report" / "report.md").read_text(encoding="utf-8")

    return report


def section(markdown: str, question: int) -> str:
    return re.split(r"^## ", markdown.split(f"\n## {question}. ")[1], flags=re.MULTILINE)[0]


def test_the_summary_has_every_variant_with_its_verdict_and_the_notebooks_figures(
    find: Callable[..., Study], written: Callable[..., str]
) -> None:
    record_all(find())
    summary = written(find()).split("## Summary")[1].split("## 2.")[0]
    # Of the baseline: deviation sqrt(0.5) thousandths, times 2.776 / sqrt(5), is 0.09 points.
    assert "|  | baseline | 5 | 97.20 ± 0.09 | 97.70 ± 0.09 |  | 98.62 | 97.97 |" in summary
    assert "| 2 | hidden layers 200-200-200 (q02) | 5 | 97.20 ± 0.12 | 97.70 ± 0.12 | the same |" in summary
    assert "| 5 | activation relu-tanh (q05) | 5 | 98.20 ± 0.12 | 98.70 ± 0.12 | better | 98.67 | 97.83 |" in summary
    assert "| 6 | batch 10000 (q06) | 5 | 90.20 ± 0.15 | 90.70 ± 0.15 | worse | 90.37 | 91.00 |" in summary
    assert "in this summary for all comparisons of the report (3)" in summary


def test_a_question_is_answered_from_its_numbers(find: Callable[..., Study], written: Callable[..., str]) -> None:
    study = find()
    record_all(study)
    for seed in SEEDS:
        record(study.of("q06", "disjoint")[1], seed, BASELINE[seed] + DIFFERENCES["q06"][seed], seconds=1.6)
    markdown = written(find())
    assert "> Add one hidden layer. How does validation accuracy change? What about the running time?" in markdown
    text = section(markdown, 6)
    assert "**With batch 10,000, test accuracy is 7.00 points lower than the baseline's.**" in text
    assert "- the baseline: 97.70 ± 0.09% of the test images, 97.20 ± 0.09% of the validation images" in text
    difference = f"{MINUS}7.00 ± 0.09"
    assert f"- batch 10000: worse than the baseline ({difference} points, 5 replicates); on validation worse" in text
    row = "| batch 10000 (q06) | 5 | 90.20 ± 0.15 | 90.37 | 90.70 ± 0.15 | 91.00 |"
    assert f"{row} {difference} | — | <0.001 | worse | 0.12 | {difference} | worse |" in text
    assert "**With one more hidden layer, test accuracy is the same as the baseline's within 0.2 points.**" in markdown
    assert (
        "- 5. ReLU then tanh: **With ReLU, then tanh, test accuracy is 1.00 points higher than the baseline's.**"
        in markdown
    )


def test_the_interval_over_other_digits_is_there_where_the_records_have_the_images(
    find: Callable[..., Study], written: Callable[..., str]
) -> None:
    for variant in find(["q06"]).variants:
        for seed in SEEDS:
            right = np.random.default_rng([seed, bool(variant.changes)]).random(1000) < 0.97
            right[:70] &= not variant.changes  # the same images are wrong in every replicate
            record(variant, seed, float(right.mean()), correct=packed(right))
    (row,) = (line for line in section(written(find(["q06"])), 6).splitlines() if line.startswith("| batch 10000"))
    replicates, images = re.findall(r"± ([\d.]+)", row)[2:4]
    assert float(images) > float(replicates)


def test_an_answer_is_explained_by_further_variants(find: Callable[..., Study], written: Callable[..., str]) -> None:
    study = find(["q06"], why=True)
    assert [each.name for each in study.of("q06", "disjoint", explains=True)]
    for variant in study.variants:
        for seed in SEEDS:
            record(variant, seed, (0.907 if variant.name == "q06" else 0.976) + 0.0001 * seed)
    text = section(written(find(["q06"])), 6)
    assert "batch 10,000 after 60 epochs (360 steps), 97.62 ± 0.02% (0.00 ± 0.00; the same)" in text
    assert "(q06_60_epochs) | 5 | 97.12 ± 0.02 | 97.62 ± 0.02 |" in text


def test_runs_that_fail_are_told_by_their_median(find: Callable[..., Study], written: Callable[..., str]) -> None:
    for variant in find(["q09"]).variants:
        for seed in SEEDS:
            record(variant, seed, 0.1 + 0.3 * (seed == 3) if variant.name == "q09_as_run" else 0.97 + 0.0001 * seed)
    text = section(written(find(["q09"])), 9)
    assert "| median 10.00 (10.00 to 40.00), 5 of 5 failed |" in text
    assert "learning rate 0.2 (as run): undecided (" in text  # a sign test of five replicates decides nothing


def test_the_notebooks_answers_are_judged(find: Callable[..., Study], written: Callable[..., str]) -> None:
    study = find(["q02", "q06", "q08", "q09"])
    for variant in study.variants:
        tests = {"q06": 0.907, "q08": 0.957, "q09": 0.95, "q09_as_run": 0.1}
        for seed in SEEDS:
            record(variant, seed, tests.get(variant.name, 0.977) + 0.0001 * (seed if variant.changes else -seed))
    for seed in SEEDS:
        record(study.of("q02", "disjoint")[1], seed, 0.977 + 0.0001 * ((-1) ** seed - seed))
    markdown = written(find(["q02", "q06", "q08", "q09"]))
    assert (
        "Taken to mean that test accuracy is less than 0.5 points from the baseline's, this holds here. "
        f"The notebook compares one run with one run, {MINUS}0.12 points apart; "
        "between replicates the baseline varies by 0.02 points (standard deviation)."
    ) in section(markdown, 2)
    assert "that test accuracy is more than 6 points below the baseline's, this holds here." in section(markdown, 6)
    assert "this does not hold here: learning rate 0.0001 (" in section(markdown, 8)
    assert "longer times in the notebook are due to its machine" in section(markdown, 8)
    assert "the learning rate was 0.2, so the question about 0.02 stayed unanswered" in section(markdown, 9)


def test_the_target_of_question_10_is_judged_by_its_interval(
    find: Callable[..., Study], written: Callable[..., str]
) -> None:
    baseline, variant = find(["q10"]).variants
    for reached, validation in {"is not reached": 0.975, "is reached": 0.99, "is undecided": 0.985}.items():
        for seed in SEEDS:
            record(baseline, seed, 0.977)
            record(variant, seed, validation + 0.005 + 0.001 * (seed - 2))
        text = section(written(find(["q10"])), 10)
        assert re.search(rf"the target of 98.5% {reached}|whether the target of 98.5% is reached {reached}", text)
    assert "The highest of any seed and epoch is 98.70%." in text


def test_the_leak_is_what_the_protocols_differ_by(find: Callable[..., Study], written: Callable[..., str]) -> None:
    record_all(find(protocols=BOTH), shift=0.01)
    markdown = written(find(protocols=BOTH))
    row = "| baseline | 97.20 ± 0.09 | 98.20 ± 0.09 | +1.00 ± 0.10 | 98.62 | 97.70 ± 0.09 | 98.70 ± 0.09 |"
    assert row in markdown.split("## What the notebook's validation hid")[1].split("## 2.")[0]
    assert "here it is 98.20 ± 0.12% with its split and 97.20 ± 0.12% with a disjoint one" in section(markdown, 2)
    assert "| hidden layers 200-200-200 (q02) | notebook | 5 | 98.20 ± 0.12 | 98.58 |" in section(markdown, 2)
    assert "Of the 8 validation and test accuracies that the notebook printed at the end, " in markdown


def test_the_leak_where_runs_failed_is_told_by_medians(find: Callable[..., Study], written: Callable[..., str]) -> None:
    study = find(["q06"], BOTH)
    record_all(study, shift=0.01)
    for protocol, escaped in zip(BOTH, (0.11, 0.3), strict=True):
        for seed, test in zip(SEEDS, (0.1, 0.101, escaped, 0.102, 0.103), strict=True):
            record(study.of("q06", protocol)[1], seed, test)
    markdown = written(find(["q06"], BOTH))
    medians = "median 9.70 (9.50 to 10.50), 5 of 5 failed | median 9.70 (9.50 to 29.50), 5 of 5 failed"
    leaks = markdown.split("## What the notebook's validation hid")[1].split("## 6.")[0]
    assert f"| batch 10000 (q06) | {medians} | 0.00 | 90.37 | " in leaks


def test_without_the_notebooks_protocol_the_leak_is_told_by_itself(
    find: Callable[..., Study], written: Callable[..., str]
) -> None:
    record_all(find())
    markdown = written(find())
    assert "What the notebook's validation hid" not in markdown
    assert (
        "98.58% was measured on images that it also trained on; with a disjoint split it is 97.20 ± 0.12% here"
        in markdown
    )


def test_runs_that_diverged_and_that_are_missing_are_named_and_not_averaged(
    find: Callable[..., Study], written: Callable[..., str]
) -> None:
    record_all(find(["q02", "q06"]))
    variant = find(["q06"]).variants[1]
    record(variant, 1, 0.1, "diverged")
    record(variant, 2, 0.1, "interrupted")
    markdown = written(find(["q06"], seeds=[*SEEDS, 5]))
    text = section(markdown, 6)
    assert "Diverged, not in the means: batch 10000, seed 1." in text
    assert "Missing: baseline, seed 5; batch 10000, seeds 2, 5." in text
    assert "| batch 10000 (q06) | 3 |" in text
    assert "- runs: 8 completed, 1 diverged, 3 missing" in markdown


def test_a_variant_without_a_completed_run_has_no_verdict(
    find: Callable[..., Study], written: Callable[..., str]
) -> None:
    baseline, variant = find(["q06"]).variants
    for seed in SEEDS:
        record(baseline, seed, 0.977)
        record(variant, seed, 0.1, "diverged")
    text = section(written(find(["q06"])), 6)
    assert "| batch 10000 (q06) | 0 | — | 90.37 | — | 91.00 | — | — | — | — | — | — | — |" in text
    assert "**There are no completed runs.**" in text
    assert "With fewer than three replicates this cannot be judged." in text


def test_two_replicates_decide_nothing_and_the_report_says_so(
    find: Callable[..., Study], written: Callable[..., str]
) -> None:
    for variant in find(["q06"]).variants:
        for seed in (0, 1):
            record(variant, seed, (0.907 if variant.changes else 0.977) + 0.0001 * seed)
    markdown = written(find(["q06"], seeds=None))
    text = section(markdown, 6)
    assert "**With batch 10,000, nothing is decided yet: that takes three replicates.**" in text
    assert f"2 replicates decide nothing ({MINUS}7.00 ± 0.00 points); train at least three" in text
    assert "| too few replicates | — |" in text
    assert "With fewer than three replicates this cannot be judged." in text
    assert "in this summary for all comparisons of the report (0)" in markdown


def test_runs_of_another_training_do_not_judge_the_notebook(
    find: Callable[..., Study], written: Callable[..., str]
) -> None:
    for variant in find(["q06"], overrides=["epochs=2"]).variants:
        for seed in SEEDS:
            record(variant, seed, 0.907 if variant.changes else 0.977)
    markdown = written(find(["q06"], overrides=["epochs=2"]))
    assert "No run here has the notebook's own network and training" in section(markdown, 6)
    assert "batch 100, 2 epochs" in markdown


def test_the_header_tells_of_the_runs_own_records(find: Callable[..., Study], written: Callable[..., str]) -> None:
    record_all(find())
    made = written(find()).split("## How this was made")[1]
    assert made.strip().splitlines() == [
        "- command: python scripts/report.py --seeds 5",
        "- commit (+: with changes): 0123456789ab",
        "- versions: python 3.11.0, torch 2.9.0",
        "- hardware: A processor (cores: 4, threads: 2)",
        "- started: 2026-01-02",
        "- runs: 20 completed, 0 diverged, 0 missing",
    ]


def test_the_results_and_figures_lie_beside_the_report(
    find: Callable[..., Study], written: Callable[..., str], tmp_path: Path
) -> None:
    record_all(find(protocols=BOTH))
    markdown = written(find(protocols=BOTH))
    table = pd.read_csv(tmp_path / "report" / "results.csv")
    assert len(table) == 3 * 2 * 2 * len(SEEDS)
    assert table[table.question == "q06"].test_accuracy.max() == pytest.approx(0.978)
    names = re.findall(r"\]\((figures/.*?)\)", markdown)
    assert len(names) == 2 + 3 * 2
    epochs = pd.read_csv(tmp_path / "report" / "epochs.csv")
    assert len(epochs) == 4 * 2 * len(SEEDS) * 5
    assert list(epochs)[:3] == ["folder", "seed", "epoch"]
    for name in names:
        path = tmp_path / "report" / name
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        assert imread(path).shape[1] >= 600
        assert path.stat().st_size < 100_000


def test_it_can_be_told_in_spanish(find: Callable[..., Study], written: Callable[..., str], tmp_path: Path) -> None:
    record_all(find())
    markdown = written(find(), "es")
    reference = f"97,70 ± 0,09{SPACE}%"
    assert f"- la referencia: {reference} de las imágenes de test y 97,20 ± 0,09{SPACE}% de las" in markdown, markdown[
        :2500
    ]
    assert "**Con ReLU y después tanh, la exactitud en test supera en 1,00 puntos la de la referencia.**" in markdown
    assert "| 5 | activación ReLU-tanh (q05) | 5 | 98,20 ± 0,12 | 98,70 ± 0,12 | mejor | 98,67 | 97,83 |" in markdown
    assert f"tamaño de lote 10{SPACE}000" in markdown
    assert not re.search(r"\d%|\d +%|, p \d", markdown)
    assert "val_accuracy" in (tmp_path / "report" / "results.csv").read_text(encoding="utf-8")
    assert "> Añade una capa oculta. ¿Cómo cambia la exactitud en validación?" in markdown
    assert '<html lang="es">' in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    for english in ("baseline", "Answer", "seed", "notebook's", "better", "worse", "shown"):
        assert not re.search(rf"\b{english}\b", markdown)


def test_every_question_has_a_claim() -> None:
    assert sorted(claims()) == list(QUESTIONS)


class Links(HTMLParser):
    """Collects what a page loads and links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


def test_the_page_holds_everything_itself(
    find: Callable[..., Study], written: Callable[..., str], tmp_path: Path
) -> None:
    record_all(find())
    written(find())
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    links = Links(page).found
    assert sum(link.startswith("data:image/png;base64,") for link in links) == 5
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?://|@import|url\(|<script", page)
    assert str(tmp_path) not in page


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
def test_a_browser_shows_the_page(
    find: Callable[..., Study], written: Callable[..., str], tmp_path: Path, width: int, height: int
) -> None:
    from playwright.sync_api import sync_playwright

    record_all(find(protocols=BOTH), shift=0.01)
    written(find(protocols=BOTH))
    requested: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        page.on("request", lambda request: requested.append(request.url))
        page.goto((tmp_path / "report" / "report.html").as_uri())
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        pictures = page.evaluate("Array.from(document.images, image => [image.naturalWidth, image.alt])")
        outside = page.evaluate(
            "Array.from(document.querySelectorAll('p, h1, h2, img, blockquote, dd, figcaption, .scroll'))"
            ".filter(element => element.getBoundingClientRect().right > innerWidth).map(element => element.outerHTML)"
        )
        browser.close()
    assert widths[0] <= widths[1]
    assert outside == []
    assert len(pictures) == 8
    assert all(natural > 0 and alt for natural, alt in pictures)
    assert [url for url in requested if not url.startswith(("file:", "data:"))] == []
