"""The addresses of SQLite databases."""

from pathlib import Path

from sqlalchemy.engine import URL


def sqlite(file: Path) -> str:
    """Return the URL of a database file, whose path may have any characters: ?, #, %, braces, spaces."""
    # As an SQLite file URI, because SQLAlchemy 2.0 does not quote paths. With the driver's name, because MLflow takes
    # what follows sqlite:/// for a path and creates its folder.
    return URL.create("sqlite+pysqlite", database=file.absolute().as_uri(), query={"uri": "true"}).render_as_string()
