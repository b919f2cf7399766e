"""What is printed: in color and within the width of a terminal, plain and of any width elsewhere; and bars."""

import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.progress import Progress, ProgressColumn
    from rich.text import Text

from mnist_mlp.language import _, figure


def console(stderr: bool = False) -> "Console":
    """Give standard output or standard error to rich, which is imported now: `--help` has no need of it.

    In a notebook, what moves on standard error is one of its widgets.
    """
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()  # whatever FORCE_COLOR says, a file stays plain
    widgets = stderr and in_notebook()
    if widgets:
        logging.getLogger("Comm").setLevel(logging.ERROR)  # no warning of what the browser answers a bar that has ended
    return Console(
        stderr=stderr,
        force_terminal=terminal,
        force_jupyter=widgets,
        markup=False,
        highlight=False,
    )


def in_notebook() -> bool:
    """Whether a notebook runs this process, and the package of its widgets is installed."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return hasattr(shell, "kernel") and find_spec("ipywidgets") is not None


def moves(out: "Console") -> bool:
    """Whether what moves can be shown: on a terminal or in a notebook, which rich does not take for interactive."""
    return out.is_interactive or out.is_jupyter


def rendered(text: "Text | str") -> str:
    """Lay out a text for standard output: on a terminal it has its colors, and its lines break at words."""
    out = console()
    if not out.is_terminal:
        return str(text)
    with out.capture() as capture:
        out.print(text, end="", crop=False)
    return capture.get()


def say(text: "Text | str") -> None:
    """Print a text at once; go on where nobody reads any more, or the disk is full."""
    with suppress(OSError):
        print(rendered(text), flush=True)


@contextmanager
def showing(look: "Callable[[], RenderableType]") -> Iterator[None]:
    """Show on a terminal what a function gives, anew twice a second, for as long as something lasts."""
    from rich.live import Live

    out = console(stderr=True)
    live = Live(get_renderable=look, console=out, refresh_per_second=2, transient=True, redirect_stdout=False)
    try:
        with suppress(OSError):  # here and below: the terminal was closed, and the work goes on
            if moves(out):
                live.start(refresh=True)
        yield
    finally:
        stop(live)


@contextmanager
def progress(*columns: "ProgressColumn") -> "Iterator[Progress]":
    """Give a bar of such columns, rich's own by default, which is shown for as long as something lasts."""
    from rich.progress import Progress

    out = console(stderr=True)
    bar = Progress(*columns, console=out, transient=True, disable=not moves(out))
    try:
        with suppress(OSError):
            bar.start()
        yield bar
    finally:
        stop(bar)


def stop(moving: "Live | Progress") -> None:
    """Take away what moves, without the empty line that rich leaves of it in a notebook."""
    moving.console.quiet = moving.console.is_jupyter
    with suppress(OSError):
        moving.stop()


def command_line(command: Iterable[str]) -> str:
    """Write a command as it is typed, in double quotes if need be, which the shells of Windows take as well."""
    changed = set('"$`!') | ({"\\"} if os.sep == "/" else set())  # what a shell changes in double quotes
    return " ".join(
        word if word == (quoted := shlex.quote(word)) else quoted if changed & set(word) else f'"{word}"'
        for word in command
    )


def shortened(text: str, width: int) -> str:
    """Leave out the middle of a text that is wider than so many columns."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    start, end = width // 2, (width - 1) // 2
    return f"{set_cell_size(text, start)}…{set_cell_size(text[::-1], end)[::-1]}"


def left(seconds: float) -> str:
    """Say about how long something takes yet; nothing where it is 0, or not known."""
    if not seconds:
        return ""
    amount, unit = (seconds, "s") if seconds < 90 else (seconds / 60, "min")
    time = f"{amount:.0f} {unit}" if amount < 90 else f"{figure(amount / 60, '.1f')} h"
    return _(", about {time} left").format(time=time)
