"""The notebooks are what their sources and scripts/dev/notebooks.py make, in two languages alike."""

import ast
import os
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT, Done
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

from mnist_mlp import lab

sys.path.insert(0, str(ROOT / "scripts" / "dev"))
try:
    import notebooks
finally:
    sys.path.remove(str(ROOT / "scripts" / "dev"))


@pytest.fixture(scope="module", params=notebooks.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stored(name: str) -> NotebookNode:
    return nbformat.read(notebooks.FOLDER / f"{name}.ipynb", as_version=4)


@pytest.fixture(scope="module")
def source(name: str) -> NotebookNode:
    return notebooks.read(notebooks.FOLDER / f"{name}.py")


def texts(notebook: NotebookNode) -> str:
    """Give the cells of text, without the signs and the line breaks of quotations."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    return "\n\n".join(cells).replace("\n> ", " ").replace("> ", "")


def test_a_notebook_has_the_cells_of_its_source(stored: NotebookNode, source: NotebookNode) -> None:
    assert [(cell.id, cell.cell_type, cell.source) for cell in stored.cells] == [
        (cell.id, cell.cell_type, cell.source) for cell in source.cells
    ]


def test_a_notebook_was_executed_from_its_first_cell_to_its_last(stored: NotebookNode) -> None:
    nbformat.validate(stored)
    counts = [cell.execution_count for cell in stored.cells if cell.cell_type == "code" and cell.source]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in stored.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} == {"stream", "display_data", "execute_result"}
    assert {output.name for output in outputs if output.output_type == "stream"} == {"stdout"}
    assert all("image/png" in output.data for output in outputs if output.output_type == "display_data")


def test_a_notebook_is_small_and_knows_nothing_of_the_machine_it_was_made_on(name: str) -> None:
    text = (notebooks.FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    assert len(text) < 1_500_000
    assert not re.search(r"/tmp/|/home/|/root/|/Users/|site-packages|widget-|\"widgets\"", text)
    assert str(ROOT) not in text


def test_the_notebooks_differ_in_their_texts_and_comments_alone() -> None:
    english, spanish = (notebooks.read(notebooks.FOLDER / f"{name}.py").cells for name in notebooks.NAMES)
    assert [cell.cell_type for cell in english] == [cell.cell_type for cell in spanish]
    for one, other in zip(english, spanish, strict=True):
        if one.cell_type == "code":
            assert ast.dump(ast.parse(one.source)) == ast.dump(ast.parse(other.source.replace('"es"', '"en"')))
        else:
            marks = re.compile(r"^#+ |^\||^- |^\d\.|`[a-z]\w*\.\w+\(.*?\)`|`\w+=.*?`|\]\(.*?\)", re.MULTILINE)
            assert marks.findall(one.source) == marks.findall(other.source)


def test_the_exercises_have_the_words_of_the_lab() -> None:
    text = " ".join(texts(notebooks.read(notebooks.FOLDER / "lab.py")).split())
    for question in lab.questions().values():
        assert question["asks"] in text
        assert question["answer"] in text


def test_the_exercises_have_the_figures_of_the_original(name: str, source: NotebookNode) -> None:
    rows = re.findall(r"^\| \d \|.*$", texts(source).replace("%", " %"), re.MULTILINE)
    found = [[float(cell) for cell in re.findall(r"[\d.]+", row.replace(",", "."))] for row in rows]
    assert found == [
        pytest.approx([number, *epoch.values()], abs=1e-9)
        for run in lab.notebook_runs()
        for number, epoch in enumerate(
            ({key: value * 100 if "accuracy" in key else value for key, value in each.items()} for each in run.epochs),
            start=1,
        )
    ]
    for run in lab.notebook_runs():
        loss, accuracy = f"{run.test['loss']:.4f}", f"{run.test['accuracy'] * 100:.2f}"
        if name == "laboratorio":
            loss, accuracy = loss.replace(".", ","), accuracy.replace(".", ",") + " "
        assert re.search(rf"^[^|\n]*: \w+ {loss}, \w+ {accuracy}%\. ", texts(source), re.MULTILINE)


@pytest.mark.slow
def test_every_cell_runs_and_leaves_nothing_of_the_bars(source: NotebookNode) -> None:
    cells = list(source.cells)
    notebooks.execute(source, short=True)
    assert source.cells == cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert len(outputs) > 50
    assert all(output.get("text") or output.data["text/plain"] for output in outputs)


def test_bars_are_left_out_and_the_lines_that_they_divided_joined() -> None:
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Output()"}
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="one\n"),
        nbformat.v4.new_output("display_data", data=widget),
        nbformat.v4.new_output("stream", name="stdout", text="two\n"),
    ]
    (joined,) = notebooks.without_bars(outputs)
    assert joined.text == "one\ntwo\n"


def test_a_notebook_shows_a_bar_of_its_own_while_images_are_read(tmp_path: Path) -> None:
    for number in range(2 * 70):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), number).save(path)
    code = f"""
        from pathlib import Path
        import rich.jupyter
        from mnist_mlp import datasets, mnist
        display, shown = rich.jupyter.display, []
        rich.jupyter.display = lambda segments, text: (shown.append(text), display(segments, text))
        mnist.default_directory = lambda: Path({str(tmp_path / "cache")!r})
        datasets.source("folder", {str(tmp_path / "images")!r}, None).prepare()
        max(text.count("reading") for text in shown)
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(textwrap.dedent(code))])
    NotebookClient(notebook).execute(env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)})
    *bars, how_many = notebook.cells[0].outputs
    assert all("application/vnd.jupyter.widget-view+json" in output.data for output in bars)
    assert how_many.data["text/plain"] == "1"


def test_texts_change_without_executing_what_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text("# %% [markdown]\n# one\n\n# %%\n1 + 1\n", encoding="utf-8")
    executed = notebooks.read(tmp_path / "lab.py")
    executed.cells[1].execution_count = 1
    executed.cells[1].outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)]
    (tmp_path / "lab.py").write_text("# %% [markdown]\n# two\n\n# %%\n1 + 1\n", encoding="utf-8")
    changed = notebooks.read(tmp_path / "lab.py")
    notebooks.keep_outputs(changed, executed)
    assert changed.cells[0].source == "two"
    assert changed.cells[1] == executed.cells[1]
    changed.cells[1].source = "1 + 2"
    with pytest.raises(notebooks.Problem, match="the code has changed; execute it, without --texts"):
        notebooks.keep_outputs(changed, executed)


def test_a_notebook_that_is_not_there_is_refused(script: Callable[..., Done]) -> None:
    assert script("dev/notebooks.py", "labs") == Done(
        2, "", "names: labs is none of lab, laboratorio; did you mean lab?\n"
    )


def test_a_cell_that_fails_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lab.py").write_text("# %%\n1 / 0\n", encoding="utf-8")
    notebook = notebooks.read(tmp_path / "lab.py")
    with pytest.raises(notebooks.CellExecutionError, match="ZeroDivisionError"):
        notebooks.execute(notebook)
