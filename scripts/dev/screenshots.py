"""Take the screenshots of TensorBoard in docs/tensorboard.md, with the runs of question 5.

    python train.py question=q05 callbacks=full
    python scripts/dev/screenshots.py

It starts TensorBoard on the loopback interface and controls it in a headless Chromium or Chrome, which has to be
installed; Playwright comes with `pip install -e .[dev]`.
"""

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

try:
    from PIL import Image
    from playwright.sync_api import Browser, Error, Locator, Page, expect, sync_playwright

    from mnist_mlp.cli.arguments import Parser, clean_exit, path
    from mnist_mlp.errors import Problem
except ModuleNotFoundError as error:
    print(f"{error.name} is not installed: pip install -e .[dev]", file=sys.stderr)
    sys.exit(2)

COLOR_BY = r"regex:^(mean of .+/)?([^/]+)(?:/seed\d+)?$"
"""One color for the runs of a variant, another for their mean."""


@contextmanager
def tensorboard(runs_dir: Path) -> Iterator[str]:
    """Serve some runs on the loopback interface; yield the address when all of them are loaded.

    Raises:
        Problem: TensorBoard did not start.
    """
    load_first = ["--load_fast=false", "--reload_interval=0", "--reload_task=blocking"]
    folder = runs_dir.absolute()
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={folder.name}", "--port=0", *load_first]
    # in the folder above, as a page of TensorBoard shows the path that it was given
    server = subprocess.Popen(command, cwd=folder.parent, stderr=subprocess.PIPE, encoding="utf-8")
    assert server.stderr
    try:
        last = "it prints nothing"
        for line in server.stderr:
            last = line.strip()
            if address := re.search(r"http://\S+", line):
                yield address[0]
                return
        raise Problem(f"TensorBoard does not start: {last}")
    finally:
        server.terminate()
        server.wait()
        server.stderr.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a headless browser.

    Raises:
        Problem: none is installed.
    """
    expect.set_options(timeout=20_000)  # in milliseconds, for a busy machine
    path = shutil.which("chromium") or shutil.which("google-chrome")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        if not path and not Path(playwright.chromium.executable_path).exists():
            raise Problem("there is no Chromium or Chrome: install one, or run playwright install chromium")
        opened = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield opened
        finally:
            opened.close()


def open_tab(page: Page, address: str, tab: str, **settings: str) -> None:
    """Load a tab by its name in TensorBoard's URLs, with settings of Time series."""
    page.goto("about:blank")  # a URL that differs only in the tab would not be loaded again
    page.goto(f"{address}?{urlencode(settings)}#{tab}")
    expect(page.locator(".mdc-tab--active .plugin-name")).to_have_attribute("data-plugin-id", tab)


def time_series(page: Page, address: str, tags: str = "", runs: str = "") -> Locator:
    """Show curves, neither smoothed nor clipped; return their cards.

    Args:
        page: that has not shown any before: TensorBoard remembers that the pane with its settings is closed.
        address: of TensorBoard.
        tags: a regular expression of the tags to show.
        runs: a regular expression of the runs to show.
    """
    filters = {"tagFilter": tags, "runFilter": runs}
    open_tab(page, address, "timeseries", smoothing="0", runColorGroup=COLOR_BY, **filters)
    page.get_by_label("Ignore outliers in chart scaling").uncheck()
    page.get_by_label("Close side pane").click()
    cards = page.locator("card-view:visible")
    expect(cards.locator("canvas, img").first).to_be_visible()
    return cards


def hparams(page: Page, address: str, columns: Collection[str] | None = None) -> None:
    """Show the table of HParams.

    Args:
        page: of the browser.
        address: of TensorBoard.
        columns: to show beside the metrics; None for all.
    """
    open_tab(page, address, "hparams")
    boxes = page.locator(".hparam-checkbox")
    expect(boxes.first).to_be_visible()
    for box in boxes.all():
        wanted = columns is None or box.inner_text().strip() in columns
        if (box.get_attribute("aria-checked") == "true") != wanted:
            box.click()
    expect(page.locator(".hparam-checkbox[aria-checked=true]")).to_have_count(
        boxes.count() if columns is None else len(columns)
    )


def sort_hparams(page: Page, column: str, direction: str) -> None:
    """Sort the table of HParams, if it has just been loaded, by a column: `Ascending` or `Descending`."""
    for label, choice in (("Sort by", column), ("Direction", direction)):
        menu = page.locator("tf-hparams-query-pane paper-dropdown-menu").filter(has_text=label)
        menu.click()
        with page.expect_response(re.compile("session_groups")) as answer:
            menu.locator("paper-item").get_by_text(choice, exact=True).click()
        answer.value.finished()
        expect(menu.locator("paper-listbox")).to_be_hidden()
    page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")


def rows_of_hparams(page: Page) -> list[dict[str, str]]:
    """Read the visible rows of the table of HParams."""
    header, *rows = page.locator("vaadin-grid").evaluate(
        """grid => Array.from(grid.shadowRoot.querySelectorAll("#header tr, #items tr:not([hidden])"), row =>
            Array.from(row.cells, cell => cell.querySelector("slot")?.assignedNodes()[0]?.textContent.trim() ?? ""))"""
    )
    return [dict(zip(header, row, strict=False)) for row in rows]


def images(page: Page, address: str, tags: str = "", runs: str = "") -> Locator:
    """Show and return pictures.

    Args:
        page: of the browser.
        address: of TensorBoard.
        tags: a regular expression of the tags to show, which TensorBoard puts into a group of their own.
        runs: a regular expression of the runs to show.
    """
    open_tab(page, address, "images")
    page.locator("tf-tag-filterer input").fill(tags)
    page.locator("tf-runs-selector #names-regex input").fill(runs)
    if tags:
        named = page.locator(f'.category-name[title="{tags}"]')
        return page.locator("tf-category-paginated-view").filter(has=named).locator("img")
    return groups_of_tags(page).locator("img")


def groups_of_tags(page: Page) -> Locator:
    """Expand and return all groups of tags in a tab: at first TensorBoard expands only two."""
    groups = page.locator("tf-category-paginated-view").filter(has=page.locator(".category-name"))
    expect(groups.first).to_be_visible()
    closed = groups.locator("button.heading:not([open-button])")
    while closed.count():
        closed.first.click()
    return groups


def graph(page: Page, address: str) -> Locator:
    """Show the network's graph, expanded down to its layers; return the nodes."""
    open_tab(page, address, "graphs")
    nodes = page.locator("tf-graph-scene g.node")
    expect(nodes.filter(has_text="input").first).to_be_visible()
    for box in nodes.filter(has_text="Sequential").all():
        box.dblclick()
    expect(nodes.filter(has_text="Linear").first).to_be_visible()
    return nodes


def save(page: Page, height: int, path: Path) -> None:
    """Take a screenshot without a highlighted button, in 256 colors, which make a file a fifth of the size."""
    page.set_viewport_size({"width": 1280, "height": height})
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)


def photograph(page: Page, address: str, folder: Path) -> None:
    """Take the screenshots of docs/tensorboard.md."""
    card = time_series(page, address, tags="^accuracy/val$", runs="(^|/)(baseline|q05)[-,]").first
    card.get_by_label("Expand Table").click()
    card.get_by_label("Toggle full size mode").click()
    save(page, 740, folder / "time_series.png")

    hparams(page, address, ["activation"])
    sort_hparams(page, "test accuracy", "Descending")
    save(page, 520, folder / "hparams.png")

    pictures = images(page, address, tags="confusion_matrix|mistakes", runs="^q05[-,][^/]*/seed0$")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        expect(picture).to_be_visible()  # false until it is loaded and has a height
    save(page, 680, folder / "images.png")


def main() -> None:
    """Parse the command line, start TensorBoard and a browser, and take the screenshots."""
    parser = Parser.of(__doc__)
    default = Path("docs/screenshots")
    parser.add_argument("--runs-dir", type=path, default=Path("runs"), help="folder of the runs (runs)")
    parser.add_argument("--out", type=path, default=default, help=f"folder of the screenshots ({default})")
    arguments = parser.parse_args()
    for variant in ("baseline", "q05"):
        if not any(arguments.runs_dir.glob(f"{variant}[-,]*/seed*/events*")):
            train = "python train.py question=q05 callbacks=full"
            raise Problem(f"{arguments.runs_dir}: there are no runs of {variant}; {train} makes them")
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"{arguments.out}: cannot write the screenshots there: {error.strerror}") from error
    try:
        with tensorboard(arguments.runs_dir) as address, browser() as opened:
            photograph(opened.new_page(), address, arguments.out)
    except (Error, AssertionError) as error:
        raise Problem(f"TensorBoard does not show what it should: {str(error).splitlines()[0]}") from error


if __name__ == "__main__":
    with clean_exit():
        main()
