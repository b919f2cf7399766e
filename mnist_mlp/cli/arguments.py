"""The command lines of the scripts: what is wrong with one is said in one line, with status 2. Free of torch."""

import argparse
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

from mnist_mlp.config.valid import nearest


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, with the nearest name that is right."""

    @classmethod
    def of(cls, documentation: str | None) -> Self:
        """Make the parser of a script from its documentation, which is None under `python -OO`."""
        return cls(description=(documentation or "").partition("\n")[0], allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """End with status 2."""
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        if unknown != message.split()[0]:
            name = unknown.partition("=")[0]
            message = f"{name}: there is no such option{nearest(name, list(self._option_string_actions))}"
        print(message.removeprefix("argument "), file=sys.stderr)
        sys.exit(2)


@contextmanager
def read_or_not() -> Iterator[None]:
    """Let output that nobody can read end no command with a traceback.

    What the encoding of standard output lacks is written as escapes. The status is 141 where who reads the output goes
    away, as `head` does; what is left of it goes nowhere. It is 2, with a line, where a name cannot be written in the
    encoding of the file system or in UTF-8.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except UnicodeEncodeError as error:
        text = ascii(error.object[error.start : error.end])
        right = "with PYTHONUTF8=1 before the command, names are UTF-8 whatever the locale"
        print(f"{text} cannot be written as {error.encoding}; {right}", file=sys.stderr)
        sys.exit(2)


def one_of(names: tuple[str, ...]) -> Any:
    """Make the type of an option that takes one of some names."""

    def name(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(names)}{nearest(text, names)}")
        return text

    return name


def some_of(names: tuple[str, ...]) -> Any:
    """Make the type of an option that takes some of some names, with commas."""
    one = one_of(names)
    return lambda text: list(dict.fromkeys(one(word.strip()) for word in text.split(",")))


def path(text: str) -> Path:
    """Read the path of a file or folder, in which ~ is the home directory."""
    return Path(os.path.expanduser(text))


def whole_number(text: str) -> int:
    """Read a number of things."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)
