"""What people read is in English or Spanish, by the environment or the command line; what programs read is the same."""

import ast
import json
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, SHORT

from mnist_mlp.cli import verbs
from mnist_mlp.config.checks import describe
from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.config.identity import identity
from mnist_mlp.config.options import OPTIONS
from mnist_mlp.config.schema import keys
from mnist_mlp.images import drawn
from mnist_mlp.language import SPACE, _, figure, language, ngettext, speaking
from mnist_mlp.runs.record import explained

messages: Any = runpy.run_path(str(ROOT / "scripts" / "dev" / "messages.py"))
CATALOGUE = [each for each in messages["read"]() if each.id]
SOURCES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in [*sorted((ROOT / "mnist_mlp").rglob("*.py"))]
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "es_ES.UTF-8"}, "es"),
        ({"LANG": "es"}, "es"),
        ({"LANG": "es_419"}, "es"),
        ({"LANG": "et_EE.UTF-8"}, "en"),
        ({"LANG": "es_ES.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "es_MX"}, "es"),
        ({"LANG": "es_ES.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LC_ALL": "en_US.UTF-8", "LANGUAGE": "es"}, "es"),
        ({"LANGUAGE": "ca:es:en"}, "es"),
        ({"LANGUAGE": "en:es"}, "en"),
        ({"LANGUAGE": "", "LANG": "es_ES@euro"}, "es"),
        ({"LANG": "Spanish_Spain.1252"}, "es"),
    ],
)
def test_the_environment_chooses_the_language_in_gettexts_order(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language() == expected


@pytest.mark.parametrize(
    ("value", "form", "english", "spanish"),
    [
        (0.985, ".1%", "98.5%", f"98,5{SPACE}%"),
        (0.58, ".0%", "58%", f"58{SPACE}%"),
        (6000, ",", "6,000", "6000"),
        (10000, ",", "10,000", f"10{SPACE}000"),
        (1234567.5, ",", "1,234,567.5", f"1{SPACE}234{SPACE}567,5"),
        (-0.25, ".2f", "-0.25", "-0,25"),
        (1e-7, ".1e", "1.0e-07", "1,0e-07"),
        (float("nan"), ".2%", "nan%", f"nan{SPACE}%"),
    ],
)
def test_figures_are_written_as_the_language_does(value: float, form: str, english: str, spanish: str) -> None:
    assert figure(value, form) == english
    with speaking("es"):
        assert figure(value, form) == spanish


def test_what_is_counted_has_a_singular() -> None:
    def epochs(number: int) -> str:
        return ngettext("{number} epoch", "{number} epochs", number).format(number=number)

    assert [epochs(number) for number in (0, 1, 2)] == ["0 epochs", "1 epoch", "2 epochs"]
    with speaking("es"):
        assert [epochs(number) for number in (0, 1, 2)] == ["0 épocas", "1 época", "2 épocas"]


def test_the_catalogue_has_exactly_the_messages_of_the_sources() -> None:
    assert {each.id for each in CATALOGUE} == {each.id for each in messages["extracted"]() if each.id}


def test_every_message_is_translated() -> None:
    assert messages["untranslated"](CATALOGUE) == []


def test_the_compiled_catalogue_is_that_of_the_translations() -> None:
    assert messages["MO"].read_bytes() == messages["compiled"](messages["read"]())


def places(text: Any) -> set[str]:
    return {
        place
        for part in ([text] if isinstance(text, str) else text)
        for place in re.findall(r"{.*?}|%(?:\(\w+\))?[sr]\b", part)
    }


@pytest.mark.parametrize("message", CATALOGUE, ids=lambda each: str(each.id)[:40])
def test_a_translation_has_the_places_of_its_message_and_spanish_typography(message: Any) -> None:
    translations = [message.string] if isinstance(message.string, str) else message.string
    assert all(places(text) == places(message.id) for text in translations)
    for text in translations:
        assert not re.search(r"[\d}] ?%(?![(\w])", text), "a no-break space before %"
        assert not re.search(r"[1-9]\d*,\d{3}\b(?!\d| puntos)", text) or "," in str(message.id)
        assert (text[:1] == " ", text[-1:] == " ") == (str(message.id)[:1] == " ", str(message.id)[-1:] == " ") or (
            isinstance(message.id, tuple)
        )


SAYS = {"Problem", "ArgumentTypeError", "Unavailable", "info", "warning", "say", "print", "Text", "TextColumn"}
"""The functions whose text people read."""
TRANSLATES = {"_", "N_", "ngettext"}
NAMES = re.compile(
    r"mnist-mlp|https?://|@package|_global_|--\w+|\w+\.html|\b\w+=|{task\.\w+}|(?:data|logger|space|trainer)\.\w*"
)
"""What is the same in every language."""


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def said(node: ast.AST) -> Iterator[str]:
    """Find the literal text of an expression, that of calls to other functions aside."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Call):
        if name_of(node) == "format" and isinstance(node.func, ast.Attribute):
            yield from said(node.func.value)
    elif isinstance(node, (ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.IfExp, ast.BoolOp, ast.Tuple)):
        parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else ast.iter_child_nodes(node)
        for part in parts:
            yield from said(part)


def untranslated(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        spoken: list[ast.AST] = []
        if isinstance(node, ast.Call) and name_of(node) in SAYS:
            spoken += node.args[:1]
        if isinstance(node, ast.Call) and name_of(node) == "add_argument":
            spoken += [each.value for each in node.keywords if each.arg == "help"]
        if isinstance(node, ast.FunctionDef) and node.name.startswith("problem"):
            spoken += [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
        for text in (text for each in spoken for text in said(each)):
            if re.search(r"[^\W\d_]{2,}", NAMES.sub("", text)):
                yield f"{getattr(node, 'lineno', 0)}: {text}"


@pytest.mark.parametrize("source", SOURCES)
def test_what_a_module_says_goes_through_the_catalogue(source: str) -> None:
    assert list(untranslated(SOURCES[source])) == [], "write _(...) around it, with named places"


@pytest.mark.parametrize("source", SOURCES)
def test_what_is_translated_is_a_literal_that_can_be_extracted(source: str) -> None:
    wrong = []
    for node in ast.walk(SOURCES[source]):
        if isinstance(node, ast.JoinedStr):  # out of which Babel extracts nothing
            wrong += [each.lineno for each in ast.walk(node) if is_translation(each) and is_literal(each)]
        if is_translation(node):
            wrong += [node.lineno for each in node.args if isinstance(each, (ast.JoinedStr, ast.BinOp))]
        if isinstance(node, ast.FunctionDef):  # `_` as the name of what does not matter would hide the function
            inside = list(ast.walk(node))
            bound = [each for each in inside if getattr(each, "id", "") == "_" and isinstance(each.ctx, ast.Store)]
            wrong += [each.lineno for each in bound if any(map(is_translation, inside))]
    assert wrong == []


def is_translation(node: Any) -> bool:
    return isinstance(node, ast.Call) and name_of(node) in TRANSLATES


def is_literal(call: Any) -> bool:
    return any(isinstance(each, ast.Constant) for each in call.args)


def test_every_key_and_option_has_its_words() -> None:
    words = [word for options in OPTIONS.values() for word in options.values()]
    words += [declared.metadata["help"] for name, declared in keys() if name != "chosen"]
    assert set(words) <= {each.id for each in CATALOGUE}


def test_the_help_is_in_the_language_of_the_command_line(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("--help", "language=es") == 0
    text = capsys.readouterr().out
    assert text.startswith("Entrenar un perceptrón multicapa con MNIST.\n")
    assert "    epochs=5             pasadas por las imágenes de entrenamiento\n" in text
    assert max(map(len, text.splitlines())) <= 80
    assert command("--help") == 0
    assert capsys.readouterr().out.startswith("Train a multilayer perceptron on MNIST.\n")
    monkeypatch.setenv("LANGUAGE", "es")
    assert command("--help", "model", "language=en") == 0
    assert "two hidden layers of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("model=deep55", "model=deep55: los valores de model son combined, deep3, .*; ¿quizá deep5\\?"),
        ("batch_size=3", "batch_size=3: no existe la clave batch_size; se escribe batch=3"),
        ("lr=0,1", "lr=0,1: los decimales llevan punto; se escribe lr=0.1"),
        ("batch=60000", f"batch=60000: batch es un número entero de 1 a 54{SPACE}000"),
        ("language=fr", "language=fr: language es uno de en, es"),
    ],
)
def test_an_error_is_in_the_language_of_the_environment(
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    override: str,
    line: str,
) -> None:
    monkeypatch.setenv("LC_ALL", "es_ES.UTF-8")
    assert command(override) == 2
    assert re.fullmatch(line, capsys.readouterr().err.strip())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "--language", "es"], "faltan argumentos obligatorios: RUN"),
        (["evaluate", "best", "--jsom", "--language=es"], "--jsom: no existe esa opción; ¿quizá --json?"),
        (["export", "best", "--format", "--language", "es"], "--format: hace falta un valor"),
        (["report", "--seeds", "no", "--language", "es"], "--seeds: no no es un número entero mayor o igual que 1"),
        (["report", "--language", "fr"], "--language: fr is none of en, es"),
    ],
)
def test_argparse_says_it_in_spanish_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["mnist-mlp", *arguments])
    with pytest.raises(SystemExit):
        verbs.main()
    assert capsys.readouterr().err.strip() == said


@pytest.mark.parametrize("verb", verbs.VERBS)
def test_the_help_of_every_verb_is_in_spanish(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", ["mnist-mlp", verb, "--help", "--language", "es"])
    with pytest.raises(SystemExit):
        verbs.main()
    text = capsys.readouterr().out
    assert text.startswith("uso: mnist-mlp")
    assert "opciones:" in text
    assert not re.search(r"\b(the|of|folder|usage|options|with)\b", text)
    assert max(map(len, text.splitlines())) <= 80


def figures(folder: Path) -> Any:
    (path,) = folder.glob("*/seed0/result.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    return [record["id"], record["label"], record["test"], [epoch["val_loss"] for epoch in record["epochs"]]]


def test_a_run_in_spanish_has_the_same_record(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command(*SHORT, "language=es") == 0
    shown, spanish = capsys.readouterr().out, figures(tmp_path / "runs")
    assert "784-200-200-10 relu, Adam lr 0,001, tamaño de lote 100, 1 época\nprotocolo disjunto, semilla 0" in shown
    assert re.search(rf"^validación +\d,\d{{4}} +\d+,\d\d{SPACE}%$", shown, re.MULTILINE)
    assert max(len(line) for line in shown.splitlines() if "runs" not in line) <= 80
    assert command(*SHORT, "overwrite=true") == 0
    assert figures(tmp_path / "runs") == spanish
    assert "disjoint protocol, seed 0" in capsys.readouterr().out


def test_a_sweep_in_spanish_counts_in_singular_and_plural(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("-m", *SHORT, "seed=0,1", "lr=0.001,1e30", "language=es") == 0
    shown = capsys.readouterr().out
    assert "la pérdida de entrenamiento llegó a nan en el paso 2 del optimizador" in shown
    assert shown.splitlines()[-1] == "4 ejecuciones: 2 completadas, 2 divergieron"


def test_the_language_counts_in_neither_identity_nor_label() -> None:
    with composing():
        english, spanish = compose_run([]), compose_run(["language=es"])
    assert (identity(english), english.name) == (identity(spanish), spanish.name)


def test_a_reason_is_recorded_in_english_and_shown_in_the_language() -> None:
    with speaking("es"):
        assert explained("stopped within epoch 3") == "detenida a mitad de la época 3"
        assert explained("limit_train_batches=0.5") == "limit_train_batches=0.5"


def test_the_values_of_a_key_are_described_in_the_language() -> None:
    with speaking("es"):
        described = {name: describe(declared) for name, declared in keys()}
    assert described["lr"] == "un número por encima de 0"
    assert described["label_smoothing"] == "un número a partir de 0 y por debajo de 1"
    assert described["overwrite"] == "true o false"


@pytest.mark.parametrize(
    "phrase",
    [
        "con ninguno de los anchos probados",
        "las 6000 imágenes de validación nunca se usan para entrenar",
        "La tabla compara las mismas redes, entrenadas con ",
        "está medida sobre imágenes con las que también se entrenó",
        "sin decidir",
        f"la semiamplitud del intervalo de confianza (t) del 95{SPACE}% de la media de n réplicas",
        "no puede decidirse si se alcanza el objetivo del {1}" + f"{SPACE}%",
        "aquí se confirma",
        "(tal como se ejecutó)",
        "comando",
        "equipo",
        "fecha de inicio",
        "completadas: {completed}; divergieron: {diverged}; faltan: {missing}",
        "tamaño de lote {4}",
        "ReLU",
        "el tiempo, cerca del doble",
    ],
)
def test_the_report_says_it_as_a_native_would(phrase: str) -> None:
    assert any(phrase in str(each.string) for each in CATALOGUE)


@pytest.mark.parametrize(
    "message",
    [
        "{wrong} of {images} test images are misclassified; the most confident:",
        "no test image is misclassified",
        "{digit} as {guess}",
        "classified as",
        "digit",
        "then {digit}: {probability}",
    ],
)
def test_what_is_drawn_in_pictures_has_the_letters_of_pillows_font(message: str) -> None:
    with speaking("es"):
        assert _(message) != message
        assert drawn(_(message) + figure(0.985, ".1%")).isascii()


def test_the_reasons_of_the_system_are_translated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["mnist-mlp", "evaluate", f"{'x' * 300}", "--runs-dir", str(tmp_path)])
    with speaking("es"), pytest.raises(SystemExit):
        verbs.main()
    assert capsys.readouterr().err.endswith(": no se puede leer: el nombre del archivo es demasiado largo\n")


def test_an_empty_text_stays_empty() -> None:
    with speaking("es"):
        assert _("") == ""
