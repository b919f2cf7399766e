"""The command lines of the scripts: what is wrong with one is said in one line, with status 2. Free of torch."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from mnist_mlp.config import nearest


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong, with the nearest name that is right."""

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
    """End with status 141 where who reads the output goes away, as `head` does; what is left of it goes nowhere."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


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


def whole_number(text: str) -> int:
    """Read a number of things."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)
