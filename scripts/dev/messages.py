"""Bring the catalogue of translations up to date: extract the messages, merge them, and compile the result.

    python scripts/dev/messages.py

Then translate what it lists in mnist_mlp/locale/es/LC_MESSAGES/mnist_mlp.po, and run it again.
"""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from mnist_mlp.language import DOMAIN, LOCALE

PACKAGE = LOCALE.parent
PO = LOCALE / "es" / "LC_MESSAGES" / f"{DOMAIN}.po"
MO = PO.with_suffix(".mo")
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2), "key": None}
"""The functions whose arguments are messages; `key` declares those of the configuration."""


def questions(file: Any, *_: Any, **options: Any) -> Iterator[tuple[int, str, str, list[str]]]:
    """Extract the texts of the questions from lab.json."""
    for question in json.load(file)["questions"].values():
        for text in (question["title"], question["asks"], question["answer"]):
            yield 1, "_", text, []


METHODS: Any = [("lab.json", questions), ("**.py", "python"), ("**.jinja", "jinja2")]


def extracted() -> Catalog:
    """Collect the messages of the package."""
    catalog = Catalog()
    found = extract_from_dir(PACKAGE, METHODS, keywords=KEYWORDS)  # type: ignore[arg-type] # its stubs lack functions
    for name, _, message, _, _ in sorted(found, key=lambda each: (each[0], each[1])):
        catalog.add(message, locations=[(Path(name).as_posix(), 0)])
    return catalog


def read() -> Catalog:
    """Read the translations."""
    with PO.open("rb") as file:
        return read_po(file, locale="es", domain=DOMAIN)


def written(catalog: Catalog) -> bytes:
    """Write the catalogue as a .po file."""
    file = BytesIO()
    write_po(file, catalog, width=110, include_lineno=False, ignore_obsolete=True)
    return file.getvalue()


def compiled(catalog: Catalog) -> bytes:
    """Write the catalogue as a .mo file."""
    file = BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


def untranslated(catalog: Catalog) -> list[str]:
    """List the messages without a translation."""
    texts = [(each, each.string) for each in catalog if each.id]
    return [str(each.id) for each, text in texts if each.fuzzy or not text or (isinstance(text, tuple) and "" in text)]


def main() -> None:
    """Update both files, and list what is to be translated."""
    catalog = read()
    catalog.update(extracted(), no_fuzzy_matching=True, update_creation_date=False)
    PO.write_bytes(written(catalog))
    MO.write_bytes(compiled(catalog))
    print("\n".join(untranslated(catalog)) or "every message is translated")


if __name__ == "__main__":
    main()
