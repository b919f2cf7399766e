"""The exception for errors that the user can correct."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mnist_mlp.language import N_, _

OF_THE_SYSTEM = (
    N_("Address already in use"),
    N_("Connection refused"),
    N_("Disk quota exceeded"),
    N_("File name too long"),
    N_("Is a directory"),
    N_("Name or service not known"),
    N_("Network is unreachable"),
    N_("No space left on device"),
    N_("No such file or directory"),
    N_("Not a directory"),
    N_("Permission denied"),
    N_("Read-only file system"),
    N_("Temporary failure in name resolution"),
    N_("timed out"),
)
"""The reasons that a system gives most often."""


class Problem(Exception):
    """An error that the user can correct: its message says what is wrong, where and why, and what would be right."""


def reason_of(error: Exception) -> str:
    """Say why the operating system refused something, without the path."""
    return _(getattr(error, "strerror", None) or str(error))


CHECKOUT = Path(__file__).resolve().parents[1]
"""The repository, if the package is not installed as a wheel."""


def installing(extra: str) -> str:
    """Return the command that installs an extra of this package, in a checkout with -e, as its README does."""
    if not (CHECKOUT / "pyproject.toml").exists():
        return f'pip install "mnist-mlp[{extra}]"'
    return f'pip install -e "{"." if Path.cwd() == CHECKOUT else CHECKOUT}[{extra}]"'


def not_installed(what: str, extra: str) -> str:
    """Say which extra of this package something needs."""
    return _("{what} is not installed: {command}").format(what=what, command=installing(extra))


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Name the extra of this package that installs what cannot be imported.

    Raises:
        Problem: instead of a `ModuleNotFoundError`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise Problem(not_installed(package, extra)) from error
