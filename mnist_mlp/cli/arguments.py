"""What the command lines share: the parser, the types of its options, and how a command ends. Free of torch."""

import argparse
import gettext
import io
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, Self

from typing_extensions import override

from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem
from mnist_mlp.files import unwritable
from mnist_mlp.language import DOMAIN, LANGUAGES, LOCALE, N_, _, language, speaking

ARGPARSE = (
    N_("usage: "),
    N_("positional arguments"),
    N_("options"),
    N_("show this help message and exit"),
    N_("%(heading)s:"),
    N_("argument %(argument_name)s: %(message)s"),
    N_("the following arguments are required: %s"),
    N_("one of the arguments %s is required"),
    N_("unrecognized arguments: %s"),
    N_("expected one argument"),
    N_("expected at most one argument"),
    N_("expected at least one argument"),
    N_("not allowed with argument %s"),
    N_("ignored explicit argument %r"),
    N_("unexpected option string: %s"),
    N_("invalid %(type)s value: %(value)r"),
    N_("invalid choice: %(value)r (choose from %(choices)s)"),
    N_("ambiguous option: %(option)s could match %(matches)s"),
)
"""What argparse says, which looks it up in gettext's domain."""

RUN = N_("a run's folder, LABEL, LABEL/seedN, a checkpoint's file, or best")
"""What names a trained network."""


def language_of(arguments: list[str]) -> str | None:
    """Return the language that a command line chooses, before anything of it can be wrong."""
    found = re.findall(r"^(?:\+{0,2}language=|--language[=\n])(en|es)$", "\n".join(arguments), re.MULTILINE)
    return found[-1] if found else None


@contextmanager
def in_its_language() -> Iterator[None]:
    """Let a command, argparse included, use the language of its command line or else of the environment."""
    before = gettext.textdomain()
    gettext.bindtextdomain(DOMAIN, str(LOCALE))
    gettext.textdomain(DOMAIN)
    try:
        with speaking(language_of(sys.argv[1:]) or language()):
            yield
    finally:
        gettext.textdomain(before)


class Parser(argparse.ArgumentParser):
    """Raises a `Problem` for a wrong command line, with the nearest valid name."""

    @classmethod
    def of(cls, description: str) -> Self:
        """Make the parser of a verb, with the options that all verbs have."""
        made = cls(description=description, allow_abbrev=False)
        made.add_argument(
            "--language", type=one_of(LANGUAGES), default=language(), help=_("en or es (that of the environment)")
        )
        return made

    @override
    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix(_("unrecognized arguments: %s").partition("%")[0]).split()[0]
        name = unknown.partition("=")[0]
        short = [flag for flag in sys.argv[1:] if f"-{flag.partition('=')[0]}" in self._option_string_actions]
        if short:
            message = _("{flag}: an option has two dashes; write {option}").format(flag=short[0], option=f"-{short[0]}")
        elif unknown != message.split()[0] and name.startswith("-"):
            hint = nearest(name, list(self._option_string_actions))
            message = _("{option}: there is no such option{hint}").format(option=name, hint=hint)
        elif unknown != message.split()[0]:
            takes = " ".join(
                f"[{action.metavar}]" if action.nargs == "?" else str(action.metavar)
                for action in self._actions
                if not action.option_strings
            )
            message = _("{argument}: one argument too many; write {usage}").format(
                argument=unknown, usage=f"{self.prog} {takes}"
            )
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
        said = _("{text} cannot be encoded as {encoding}; set PYTHONUTF8=1 to use UTF-8")
        status, message = 2, said.format(text=text, encoding=error.encoding)
    if message:
        print(message, file=sys.stderr)
    sys.exit(status)


def one_of(names: tuple[str, ...]) -> Any:
    """Make the type of an option whose value is one of some names."""

    def name(text: str) -> str:
        if text not in names:
            said = _("{text} is none of {names}{hint}")
            raise argparse.ArgumentTypeError(said.format(text=text, names=", ".join(names), hint=nearest(text, names)))
        return text

    return name


def some_of(names: tuple[str, ...]) -> Any:
    """Make the type of an option whose value is one or more of some names, separated by commas."""
    one = one_of(names)
    return lambda text: list(dict.fromkeys(one(word.strip()) for word in text.split(",")))


def path(text: str) -> Path:
    """Parse a path, in which ~ is the home directory."""
    return Path(os.path.expanduser(text))


def check_writable(option: str, folder: str | Path) -> None:
    """Check that an option's folder is writable, or can be made.

    Raises:
        Problem: it is not.
    """
    if there := unwritable(Path(folder)):
        said = _("{option} {value}: {folder} is not a writable folder")
        raise Problem(said.format(option=option, value=folder, folder=there))


def positive(text: str) -> float:
    """Parse a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(_("{text} is not a number above 0").format(text=text))
    return number


def whole_number(text: str) -> int:
    """Parse a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(_("{text} is not a whole number of at least 1").format(text=text))
    return int(text)
