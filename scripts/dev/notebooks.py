"""Make the notebooks in docs/notebooks/ from their sources, with the outputs of a complete execution.

    python scripts/dev/notebooks.py
    python scripts/dev/notebooks.py laboratorio
    python scripts/dev/notebooks.py --texts
    python scripts/dev/notebooks.py --short

A source is in jupytext's percent format. Each notebook is executed in an empty folder, so that everything is trained.
With --texts, only cells of text are written anew, and those of code keep their outputs; with --short, everything is
executed with few optimizer steps, and nothing is written.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

try:
    import jupytext
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from nbformat import NotebookNode

    from mnist_mlp.cli.arguments import Parser, clean_exit, one_of
    from mnist_mlp.errors import Problem
except ModuleNotFoundError as error:
    print(f"{error.name} is not installed: pip install -e .[dev]", file=sys.stderr)
    sys.exit(2)

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
NAMES = ("lab", "laboratorio")

SHORT = """
import mnist_mlp


def short(train, **few):
    return lambda *overrides, **keys: train(*overrides, **{**keys, **few})


few = {"epochs": 1, "data.steps_per_epoch": 2, "trainer": "cpu", "logger": "none"}
mnist_mlp.train = short(mnist_mlp.train, **few)
mnist_mlp.question = short(mnist_mlp.question, **few, seed=0)
mnist_mlp.sweep = short(mnist_mlp.sweep, **few, seed=0)
"""
"""A first cell, with which every run of the others takes a moment."""


def read(source: Path) -> NotebookNode:
    """Make a notebook of a source, without outputs; the same source always gives the same file."""
    notebook = jupytext.read(source)
    del notebook.metadata["jupytext"]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    return notebook


def execute(notebook: NotebookNode, short: bool = False) -> None:
    """Execute a notebook in an empty folder, with the package of this checkout, and keep what its cells put out.

    Args:
        notebook: that gets the outputs.
        short: whether a run takes two optimizer steps.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    cells = notebook.cells
    if short:
        notebook.cells = [nbformat.v4.new_code_cell(SHORT), *cells]
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": folder}})
        client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": folder})
    notebook.cells = cells
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    for cell in cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = without_bars(cell.outputs)


def without_bars(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Leave out what is displayed but figures, as bars end with their session, and join the lines that they divided."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "display_data" and "image/png" not in output.data:
            continue
        if kept and output.output_type == "stream" and kept[-1].get("name") == output.name:
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def keep_outputs(notebook: NotebookNode, stored: NotebookNode) -> None:
    """Give the cells of code the outputs that are stored.

    Raises:
        Problem: the code is another than that which was executed.
    """
    old = [cell for cell in stored.cells if cell.cell_type == "code"]
    new = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.source for cell in old] != [cell.source for cell in new]:
        raise Problem("--texts: the code has changed; execute it, without --texts")
    for cell, executed in zip(new, old, strict=True):
        cell.outputs, cell.execution_count = executed.outputs, executed.execution_count
    notebook.metadata = stored.metadata


def main() -> None:
    """Parse the command line, and make the notebooks that it names."""
    parser = Parser.of(__doc__)
    parser.add_argument("names", nargs="*", type=one_of(NAMES), default=NAMES, help="of the notebooks (both)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--short", action="store_true", help="take two optimizer steps a run, and write nothing")
    how.add_argument("--texts", action="store_true", help="execute nothing: the cells of code keep their outputs")
    arguments = parser.parse_args()
    for name in arguments.names:
        notebook, target = read(FOLDER / f"{name}.py"), FOLDER / f"{name}.ipynb"
        start = time.perf_counter()
        try:
            if arguments.texts:
                keep_outputs(notebook, nbformat.read(target, as_version=4))
            else:
                execute(notebook, arguments.short)
        except CellExecutionError as error:
            raise Problem(f"{name}: {error}") from error
        if not arguments.short:
            nbformat.write(notebook, target)
        print(f"{name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    with clean_exit():
        main()
