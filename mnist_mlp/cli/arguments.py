"""What the command lines share: the parser, the types of its options, and how a command ends. Free of torch."""

import argparse
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

from typing_extensions import override

from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem


class Parser(argparse.ArgumentParser):
    """Raises a `Problem` for a wrong command line, with the nearest valid name."""

    @classmethod
    def of(cls, documentation: str | None) -> Self:
        """Make a parser from a module's documentation, which is None under `python -OO`."""
        return cls(description=(documentation or "").partition("\n")[0], allow_abbrev=False)

    @override
    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        if unknown != message.split()[0]:
            name = unknown.partition("=")[0]
            message = f"{name}: there is no such option{nearest(name, list(self._option_string_actions))}"
        raise Problem(message.removeprefix("argument "))


@contextmanager
def clean_exit() -> Iterator[None]:
    """End a command with an exit status and a line on standard error, never with a traceback, for foreseeable errors.

    The status is 2 for a `Problem`, or a name that cannot be encoded; 1 for an error of the operating system, as when
    a disk is full; 130 for Ctrl-C; and 141 if the reader of the output ends first, as `head` does. Characters that the
    encoding of standard output lacks are escaped.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    message = ""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
        return
    except Problem as problem:
        status, message = 2, str(problem)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 141
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
    except OSError as error:
        status, message = 1, f"{type(error).__name__}: {error}"
    except UnicodeEncodeError as error:
        text = ascii(error.object[error.start : error.end])
        status, message = 2, f"{text} cannot be encoded as {error.encoding}; set PYTHONUTF8=1 to use UTF-8"
    if message:
        print(message, file=sys.stderr)
    sys.exit(status)


def one_of(names: tuple[str, ...]) -> Any:
    """Make the type of an option whose value is one of some names."""

    def name(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(names)}{nearest(text, names)}")
        return text

    return name


def some_of(names: tuple[str, ...]) -> Any:
    """Make the type of an option whose value is one or more of some names, separated by commas."""
    one = one_of(names)
    return lambda text: list(dict.fromkeys(one(word.strip()) for word in text.split(",")))


def path(text: str) -> Path:
    """Parse a path, in which ~ is the home directory."""
    return Path(os.path.expanduser(text))


def whole_number(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)
