"""The language of what people read: English, or Spanish from the catalogue in `locale/`. Free of torch."""

import gettext
import locale
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

DOMAIN = "mnist_mlp"
LOCALE = Path(__file__).parent / "locale"
LANGUAGES = ("en", "es")
NAMES = {"en": "en", "english": "en", "c": "en", "posix": "en", "es": "es", "spanish": "es"}
"""The languages by the first part of a locale's name, as in es_MX.UTF-8, C.UTF-8, or on Windows Spanish_Spain."""
SPACE = "\N{NO-BREAK SPACE}"


def language() -> str:
    """Return the language that the environment names, in gettext's order, or on Windows the system; else English."""
    variables = (os.environ.get(name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"))
    of_system = locale.setlocale(locale.LC_CTYPE) if os.name == "nt" else ""  # Windows sets no variables
    wanted = next(filter(None, variables), of_system)
    names = (re.split(r"\W|_", name.lower())[0] for name in wanted.split(":"))
    return next((NAMES[name] for name in names if name in NAMES), "en")


@contextmanager
def speaking(name: str | None) -> Iterator[None]:
    """Use a language in this process and in those that it starts; None leaves it to the environment."""
    before = os.environ.get("LANGUAGE")
    if name:
        os.environ["LANGUAGE"] = name
    try:
        yield
    finally:
        if name and before is None:
            os.environ.pop("LANGUAGE", None)
        elif name:
            os.environ["LANGUAGE"] = before or ""


@cache
def catalogue(name: str) -> gettext.NullTranslations:
    """Read the translations into a language; English has none."""
    return gettext.translation(DOMAIN, LOCALE, [name], fallback=True)


def _(message: str) -> str:
    """Translate a message, whose values have named places: `_("no file {path}").format(path=path)`."""
    return catalogue(language()).gettext(message) if message else ""


def ngettext(one: str, several: str, number: int) -> str:
    """Translate a message that counts something."""
    return catalogue(language()).ngettext(one, several, number)


def N_(message: str) -> str:  # noqa: N802 # gettext's name
    """Mark a message for the catalogue that `_` translates later, when it is shown."""
    return message


def figure(value: float, form: str = "") -> str:
    """Format a number: 12,345.6 and 98.5% are 12 345,6 and 98,5 % in Spanish, with no-break spaces."""
    return localized(format(value, form))


def localized(text: str) -> str:
    """Write a formatted number as the language does; the Spanish Academy groups the digits of five or more."""
    if language() == "en":
        return text
    whole, point, rest = text.partition(".")
    grouped = whole.replace(",", SPACE if sum(map(str.isdigit, whole)) > 4 else "")
    return (grouped + point.replace(".", ",") + rest).replace("%", f"{SPACE}%")
