"""The addresses of SQLite databases."""

from pathlib import Path

from sqlalchemy.engine import URL


def sqlite(file: Path) -> str:
    """Give the URL of a database's file, whose path may have any characters: ?, #, %, braces, spaces."""
    # SQLite's own form of a file's address; SQLAlchemy 2.0 does not quote a path. With its driver named, MLflow, which
    # takes what follows sqlite:/// for a path and makes its folder, does not.
    return URL.create("sqlite+pysqlite", database=file.absolute().as_uri(), query={"uri": "true"}).render_as_string()
