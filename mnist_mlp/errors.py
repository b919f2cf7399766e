"""The exception for errors that the user can correct."""

from collections.abc import Iterator
from contextlib import contextmanager

from mnist_mlp.language import _


class Problem(Exception):
    """An error that the user can correct: its message says what is wrong, where and why, and what would be right."""


def not_installed(what: str, extra: str) -> str:
    """Say which extra of this package something needs."""
    return _("{what} is not installed: pip install 'mnist-mlp[{extra}]'").format(what=what, extra=extra)


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
