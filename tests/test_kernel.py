"""The compiled kernel: compiled once, verified before it is loaded, and optional."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import SHORT

from mnist_mlp.fast import kernel

Command = Callable[..., int]

SMALL = 'extern "C" long train(void *) { return 0; } extern "C" const char *instructions() { return "none"; }'
"""A source that is compiled in a moment."""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Begin as a new process does, and leave nothing to other tests."""
    kernel.compiled.cache_clear()
    yield
    kernel.compiled.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, a small source, and a compiler that counts its calls in the file `calls`."""
    compiler, source = tmp_path / "compiler", tmp_path / "small.cpp"
    source.write_text(SMALL, encoding="utf-8")
    monkeypatch.setattr(kernel, "SOURCE", source)
    compiler.write_text(f'#!/bin/sh\necho called >> {tmp_path}/calls\nexec g++ "$@"\n', encoding="utf-8")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setattr(kernel, "user_cache_path", lambda name: tmp_path / name)
    return tmp_path / "mnist_mlp"


def again() -> str:
    """Load the kernel as a new process would; give its file."""
    kernel.compiled.cache_clear()
    library = kernel.compiled("SGD")
    assert library.train
    return library._name


def calls(folder: Path) -> int:
    return (folder.parent / "calls").read_text(encoding="utf-8").count("called")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
        lambda content: bytes(len(content)),  # as a file whose blocks had not been written when the machine died
    ],
    ids=["empty", "half", "all but a byte", "a bit", "zeros"],
)
def test_a_corrupt_library_is_compiled_again(folder: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = Path(again())
    content = path.read_bytes()
    path.unlink()  # this process has the old one
    path.write_bytes(spoil(content))
    assert again() == str(path)
    assert (calls(folder), path.read_bytes(), list(folder.iterdir())) == (2, content, [path])
    assert again() == str(path)
    assert calls(folder) == 2


def test_an_intact_library_for_another_machine_is_kept_and_another_compiled(folder: Path) -> None:
    path = Path(again())
    other = path.with_stem(path.stem.replace(path.stem.rpartition("-")[2], kernel._digest(b"of another system")))
    path.unlink()
    other.write_bytes(b"of another system")
    assert again() == again() == str(path)
    assert (calls(folder), sorted(folder.iterdir())) == (2, sorted([path, other]))


def test_a_library_is_on_the_disk_before_it_has_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(list(folder.glob("*.so"))))
    again()
    assert synced == [[]]


@pytest.mark.slow
def test_two_processes_at_once_have_a_kernel_each_and_leave_one_file(folder: Path) -> None:
    code = (
        "from mnist_mlp.fast import start; start.prepare(); from mnist_mlp.fast import kernel; "
        "kernel.SOURCE = kernel.Path({!r}); print(kernel.compiled('SGD').instructions())"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(folder.parent)}
    line = [sys.executable, "-c", code.format(str(kernel.SOURCE))]
    processes = [subprocess.Popen(line, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said == [b"b'none'\n"] * 2
    assert [path.suffix for path in folder.iterdir()] == [".so"]


def test_where_the_cache_cannot_be_written_each_process_compiles_its_own_and_a_line_says_so(
    command: Command, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"no folder")
    monkeypatch.setattr(kernel, "user_cache_path", lambda name: tmp_path / "file" / name)
    assert command(*SHORT) == 0
    compiling, line = [line for line in capsys.readouterr().out.splitlines() if "kernel" in line]
    assert compiling == "compiling the kernel for this machine, once"
    assert line.startswith("the compiled kernel cannot be cached, so that each process compiles its own: [Errno ")
    (record,) = (tmp_path / "runs").glob("*/*/result.json")
    assert '"steps_by": "compiled kernel"' in record.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("compiler", "said"),
    [
        ("g++ 'x", """CXX="g++ 'x": No closing quotation"""),
        ("no-such-compiler", "there is no C++ compiler no-such-compiler"),
        (" ", "there is no C++ compiler"),
        ("false", "false does not compile the kernel: status 1"),
        ("g++ --no-such-option", "g++ does not compile the kernel: g++: error: "),
        ("g++ -c", "the kernel cannot be compiled or loaded: "),
        ("true", "the kernel cannot be compiled or loaded: "),
        ("g++ -fvisibility=hidden", "the kernel cannot be compiled or loaded: "),
    ],
)
@pytest.mark.usefixtures("folder")
def test_whatever_is_wrong_with_the_compiler_the_kernel_is_unavailable_and_a_line_says_why(
    compiler: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(kernel.Unavailable, match=re.escape(said)) as raised:
        kernel.compiled("SGD")
    assert str(raised.value).startswith(said)
    assert len(str(raised.value).splitlines()) == 1


def test_a_compiler_variable_that_is_no_command_line_is_a_line_and_pytorch_takes_the_steps(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "g++ 'x")
    assert command(*SHORT) == 0
    said = capsys.readouterr()
    assert """CXX="g++ 'x": No closing quotation""" in said.out
    assert said.err == ""


def test_a_compiler_that_complains_in_another_encoding_is_a_line_too(folder: Path) -> None:
    (folder.parent / "compiler").write_bytes(b"#!/bin/sh\nprintf 'error: \\344\\377' >&2; exit 1\n")
    with pytest.raises(kernel.Unavailable, match="does not compile the kernel: error: "):
        kernel.compiled("SGD")


@pytest.mark.parametrize(
    ("option", "instructions"), [("-mavx512f", "AVX512"), ("-mno-avx2", "AVX"), ("-mno-avx", "SSE2")]
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the options are those of x86-64")
def test_the_library_says_what_instructions_it_was_compiled_for(
    option: str, instructions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "OPTIONS", [*kernel.OPTIONS, "-O0", option])
    assert kernel.compiled("SGD").instructions() == instructions.encode()
