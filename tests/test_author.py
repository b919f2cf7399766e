"""The author of a run: in its record, and nowhere in its identity."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SHORT

from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.config.identity import identity
from mnist_mlp.runs.record import RECORD, read

Command = Callable[..., int]

OLD = Path(__file__).parent / "data" / "version_0.1.0"


def record(tmp_path: Path) -> Path:
    (path,) = tmp_path.glob(f"runs/*/seed0/{RECORD}")
    return path


def test_an_author_changes_neither_the_identity_nor_the_label() -> None:
    with composing():
        plain, signed = compose_run([]), compose_run(["author='Ana García'"])
    assert signed.author == "Ana García"
    assert (identity(signed), signed.name) == (identity(plain), plain.name)


@pytest.mark.parametrize("name", ["Ana", "Ana García", "Dr. O'Neil", "Łukasz (grupo 2)", "007"])
def test_a_name_is_recorded_as_typed_in_quotes_or_given_in_the_environment(
    name: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoted = name.replace("'", r"\'")
    assert command(*SHORT, f"author='{quoted}'") == 0
    result = read(record(tmp_path))
    assert result is not None
    assert result.author == name
    monkeypatch.setenv("MNIST_MLP_AUTHOR", name)
    with composing():
        assert compose_run([]).author == name


def test_without_a_name_there_is_no_author(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT, "author=") == 0
    result = read(record(tmp_path))
    assert result is not None
    assert result.author is None


@pytest.mark.parametrize("path", sorted(OLD.rglob(RECORD)), ids=lambda path: path.parents[1].name[-8:])
def test_older_records_have_no_author(path: Path) -> None:
    result = read(path)
    assert result is not None
    assert result.author is None


@pytest.mark.parametrize(
    ("typed", "quoted"),
    [("Ana García", "Ana García"), ("José", "José"), ("Dr. O'Neil", r"Dr. O\'Neil"), ("a=b", "a=b")],
)
def test_a_name_without_quotes_is_refused_with_what_to_type(
    typed: str, quoted: str, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, f"author={typed}") == 2
    assert capsys.readouterr().err == (
        f"author={typed}: a name with spaces, accents or signs is quoted twice: \"author='{quoted}'\"\n"
    )
    assert command(*SHORT, f"author='{quoted}'") == 0
    assert json.loads(record(tmp_path).read_text(encoding="utf-8"))["config"]["author"] == typed


def test_a_run_that_another_author_asks_for_keeps_its_record_and_says_whose_it_is(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*SHORT, "author=Ana") == 0
    before = record(tmp_path).read_bytes()
    capsys.readouterr()
    assert command(*SHORT, "author=Luis") == 0
    assert "already completed by Ana; overwrite=true trains it again" in capsys.readouterr().out
    assert record(tmp_path).read_bytes() == before
    assert command(*SHORT, "author=Ana") == 0
    assert "already completed; overwrite=true" in capsys.readouterr().out
