"""TensorBoard, driven in a browser over real runs, shows in every tab what it should, with a run that diverged, too."""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from mnist_mlp.tracking.curves import layout
from mnist_mlp.tracking.hparams import METRICS

SCRIPT = ROOT / "scripts" / "dev" / "screenshots.py"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
COLUMNS = {
    *("question", "model", "hidden_sizes", "width", "depth", "activation", "optimizer", "lr", "batch", "epochs"),
    *("protocol", "seed"),
}
FAILURES = re.compile("failed|error|no .* (was|were) found|no dashboards|lacks data", re.IGNORECASE)

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train question 5 with two seeds, and a run that diverges; give their folder."""
    from mnist_mlp.cli.train import main

    folder = tmp_path_factory.mktemp("screenshots") / "runs"
    same = ["data.steps_per_epoch=20", "epochs=2", "trainer=cpu", "callbacks=full", f"runs_dir={folder}"]
    for arguments in (["question=q05", "seed=0,1"], ["optimizer=sgd", "lr=1e12"]):
        with pytest.MonkeyPatch.context() as patch, suppress(SystemExit):
            patch.setattr(sys, "argv", ["train.py", *arguments, *same])
            main()
    return folder


@pytest.fixture(scope="module")
def screenshots() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        import screenshots

        yield screenshots


@pytest.fixture(scope="module")
def address(screenshots: ModuleType, runs: Path) -> Iterator[str]:
    with screenshots.tensorboard(runs) as address:
        yield address


@pytest.fixture(scope="module")
def opened(screenshots: ModuleType, address: str) -> Iterator[Browser]:
    """Open a browser, after the training."""
    with screenshots.browser() as opened:
        yield opened


@pytest.fixture
def page(opened: Browser) -> Iterator[Page]:
    """Open a page without a past; whatever a test does in it, it is to log no error, and to show none."""
    page = opened.new_page(viewport={"width": 1280, "height": 860})
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("response", lambda response: errors.append(response.url) if response.status >= 400 else None)
    yield page
    shown = page.get_by_text(FAILURES).filter(visible=True).all_inner_texts()
    page.close()
    assert errors + shown == []


def names(runs: Path, pattern: str = "*/*") -> list[str]:
    return sorted({str(path.parent.relative_to(runs)) for path in runs.glob(f"{pattern}/events*")})


def colored(chart: Locator) -> int:
    """Count the pixels of a picture of something that are not grey."""
    saturations = Image.open(io.BytesIO(chart.screenshot())).convert("HSV").getchannel("S").histogram()
    return sum(saturations[100:])


@pytest.mark.slow
@needs_chromium
def test_time_series_shows_the_groups_of_tags_over_all_runs_and_the_means(
    screenshots: ModuleType, page: Page, address: str, runs: Path
) -> None:
    cards = screenshots.time_series(page, address)
    for group in ("accuracy", "accuracy_by_step", "loss", "loss_by_step", "optimizer", "test", "time", "weights"):
        expect(page.locator(".group-title").get_by_text(group, exact=True)).to_have_count(1)
    shown = page.locator("runs-data-table tb-data-table-content-row").all_inner_texts()
    assert [name.strip() for name in shown] == names(runs)
    assert sum(name.strip().startswith("mean of 2 seeds/") for name in shown) == 2

    card = cards.filter(has_text="accuracy/val").first
    with_values = [name for name in names(runs) if not name.startswith("optimizer")]
    expect(card.locator("scalar-card-data-table tb-data-table-content-row")).to_have_count(len(with_values))
    assert colored(card.locator("canvas")) > 100


@pytest.mark.slow
@needs_chromium
def test_time_series_can_be_narrowed_to_a_tag_and_to_runs(
    screenshots: ModuleType, page: Page, address: str, runs: Path
) -> None:
    cards = screenshots.time_series(page, address, tags="^loss/val$", runs="^q05.*/seed")
    expect(cards).to_have_count(1)
    rows = cards.locator("scalar-card-data-table tb-data-table-content-row")
    expect(rows).to_have_count(2)
    assert [row.split()[0] for row in rows.all_inner_texts()] == names(runs, "q05*/seed*")


@pytest.mark.slow
@needs_chromium
def test_hparams_has_a_row_a_run_with_all_columns_and_sorts_them_by_test_accuracy(
    screenshots: ModuleType, page: Page, address: str
) -> None:
    for direction in ("Descending", "Ascending"):
        screenshots.hparams(page, address)
        screenshots.sort_hparams(page, "test accuracy", direction)
        *completed, diverged = screenshots.rows_of_hparams(page)
        assert set(diverged) == {"Trial ID", "Show Metrics", *COLUMNS, *METRICS.values()}
        assert len(completed) == 4
        accuracies = [float(row["test accuracy"]) for row in completed]
        assert accuracies == sorted(accuracies, reverse=direction == "Descending")
        assert {(row["question"], float(row["seed"])) for row in completed} == {("q05", 0), ("q05", 1)}
        assert {row["activation"] for row in completed} == {"relu", "relu-tanh"}
        assert diverged["lr"] == "1.0000e+12"
        assert [diverged[metric] for metric in METRICS.values()] == [""] * 5
        for row in completed:
            assert all(float(row[metric]) > 0 for metric in METRICS.values())


@pytest.mark.slow
@needs_chromium
def test_hparams_draws_a_line_and_a_point_of_each_completed_run(
    screenshots: ModuleType, page: Page, address: str
) -> None:
    screenshots.hparams(page, address, ["activation", "seed"])
    page.locator("paper-tab").filter(has_text="Parallel coordinates").click()
    lines = page.locator("tf-hparams-parallel-coords-plot .foreground path")
    expect(lines).to_have_count(4)
    assert not any("NaN" in (line.get_attribute("d") or "NaN") for line in lines.all())
    page.locator("paper-tab").filter(has_text="Scatter plot").click()
    expect(page.locator("tf-hparams-scatter-plot-matrix-plot circle").first).to_be_visible()


@pytest.mark.slow
@needs_chromium
def test_images_shows_mistakes_confusion_matrix_and_first_layer_of_each_run(
    screenshots: ModuleType, page: Page, address: str, runs: Path
) -> None:
    pictures = screenshots.images(page, address)
    expect(pictures).to_have_count(4 * 3)
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("picture => picture.naturalWidth") > 0
    loaders = page.locator("tf-image-loader")
    shown = zip(
        loaders.locator("[itemprop=name]").all_text_contents(),
        loaders.locator("[itemprop=run]").all_text_contents(),
        strict=True,
    )
    tags = ("confusion_matrix/test", "mistakes/test", "weights/first_layer")
    expected = [(tag, run) for tag in tags for run in names(runs, "*/seed*") if not run.startswith("optimizer")]
    assert sorted((tag.strip(), run.strip()) for tag, run in shown) == expected


@pytest.mark.slow
@needs_chromium
def test_text_shows_the_configuration_of_each_run_and_what_its_question_asks(
    screenshots: ModuleType, page: Page, address: str
) -> None:
    screenshots.open_tab(page, address, "text")
    texts = page.locator("tf-markdown-view")
    expect(texts.filter(has_text="hidden_sizes:")).to_have_count(5)
    expect(texts.filter(has_text="Apply ReLU to the first hidden layer and tanh to the second.")).to_have_count(4)
    for optimizer, count in (("Adam", 4), ("SGD", 1)):
        expect(texts.filter(has_text=f"_target_: torch.optim.{optimizer}")).to_have_count(count)


@pytest.mark.slow
@needs_chromium
def test_graphs_draws_the_layers(screenshots: ModuleType, page: Page, address: str) -> None:
    nodes = screenshots.graph(page, address)
    for name in ("input", "Linear[0]", "ReLU[1]", "Linear[2]", "ReLU[3]", "Linear[4]", "output"):
        expect(nodes.filter(has=page.get_by_text(name, exact=True)).first).to_be_visible()


@pytest.mark.slow
@needs_chromium
def test_custom_scalars_shows_its_charts_and_the_bands_of_the_means(
    screenshots: ModuleType, page: Page, address: str
) -> None:
    screenshots.open_tab(page, address, "custom_scalars")
    expect(page.locator(".category-name")).to_have_text(list(layout()))
    expect(page.locator("tf-custom-scalar-multi-line-chart-card .line-plot path.line").first).to_be_visible()
    charts = page.locator("tf-custom-scalar-margin-chart-card")
    expect(charts).to_have_count(4)
    expect(page.get_by_text("Missing Tags").filter(visible=True)).to_have_count(0)
    for chart in charts.all():
        chart.scroll_into_view_if_needed()
        bands = chart.locator(".area-plot path.area")
        expect(bands).to_have_count(2)
        for band in bands.all():
            expect(band).to_have_attribute("d", re.compile(r"^M[\d.]+,[\d.]+L"))
            assert "NaN" not in (band.get_attribute("d") or "NaN")


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize(
    ("tab", "chart"), [("histograms", "vz-histogram-timeseries"), ("distributions", "vz-distribution-chart")]
)
def test_histograms_and_distributions_show_every_layer(
    screenshots: ModuleType, page: Page, address: str, tab: str, chart: str
) -> None:
    screenshots.open_tab(page, address, tab)
    names_of_groups = screenshots.groups_of_tags(page).locator(".category-name")
    expect(names_of_groups).to_have_text(["activations", "gradients", "weights"])
    expect(page.locator(chart)).to_have_count((2 + 3 + 3) * 4)
    for drawing in page.locator(chart).all():
        expect(drawing.locator("path").first).to_be_attached()


@pytest.mark.slow
@needs_chromium
def test_scalars_draws_curves(screenshots: ModuleType, page: Page, address: str) -> None:
    screenshots.open_tab(page, address, "scalars")
    expect(page.locator("tf-scalar-card path.line").first).to_be_visible()


@pytest.mark.slow
@needs_chromium
def test_pr_curves_has_a_chart_of_each_digit(screenshots: ModuleType, page: Page, address: str) -> None:
    screenshots.open_tab(page, address, "pr_curves")
    charts = page.locator("tf-pr-curve-card")
    expect(charts).to_have_count(10)
    expect(charts.first.locator("path.line")).to_have_count(4)


@pytest.mark.slow
@needs_chromium
def test_the_pictures_for_the_page_are_small(screenshots: ModuleType, page: Page, address: str, tmp_path: Path) -> None:
    screenshots.photograph(page, address, tmp_path)
    for name in ("time_series", "hparams", "images"):
        with (
            Image.open(tmp_path / f"{name}.png") as taken,
            Image.open(ROOT / f"docs/screenshots/{name}.png") as published,
        ):
            assert taken.size == published.size
        assert (tmp_path / f"{name}.png").stat().st_size < 100_000
        assert f"](screenshots/{name}.png)" in (ROOT / "docs" / "tensorboard.md").read_text(encoding="utf-8")


def said(*arguments: str, program: str = "", **environment: str) -> str:
    """Run the script, which is to end with status 2; give what it says."""
    command = [sys.executable, "-c", program, *arguments] if program else [sys.executable, str(SCRIPT), *arguments]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env={**os.environ, **environment})
    assert done.returncode == 2
    assert done.stdout == ""
    return done.stderr.strip()


def test_without_runs_it_says_how_to_make_some(tmp_path: Path) -> None:
    line = f"{tmp_path}: there are no runs of baseline; python train.py question=q05 callbacks=full makes them"
    assert said(f"--runs-dir={tmp_path}") == line


def test_a_wrong_option_is_said_with_the_right_one() -> None:
    assert said("--runs_dir=runs") == "--runs_dir: there is no such option; did you mean --runs-dir?"


def test_without_a_browser_or_playwright_it_says_what_to_install(tmp_path: Path) -> None:
    for variant in ("baseline", "q05"):
        (tmp_path / "runs" / f"{variant}-0" / "seed0").mkdir(parents=True)
        (tmp_path / "runs" / f"{variant}-0" / "seed0" / "events.out.tfevents.0").touch()
    options = [f"--runs-dir={tmp_path / 'runs'}", f"--out={tmp_path}"]
    line = said(*options, PATH="", PLAYWRIGHT_BROWSERS_PATH=str(tmp_path))
    assert line == "there is no Chromium or Chrome: install one, or run playwright install chromium"
    without = (
        f"import runpy, sys; sys.modules['playwright'] = None; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    assert re.fullmatch(r"playwright\S* is not installed: pip install -e \.\[dev\]", said(*options, program=without))
