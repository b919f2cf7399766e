import gzip
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from torchvision.datasets import MNIST

from mnist_mlp import mnist
from mnist_mlp.errors import Problem


@pytest.fixture(scope="module")
def content() -> dict[str, bytes]:
    folder = Path(mnist.__file__).parent / "mnist_files"
    return {name: gzip.decompress((folder / f"{name}.gz").read_bytes()) for name in mnist.FILES}


@pytest.fixture
def own_copy(tmp_path: Path, content: dict[str, bytes]) -> Path:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in content.items():
        (raw / name).write_bytes(data)
    return raw


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def flip_a_pixel(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100_000] ^= 1
    path.write_bytes(data)


def test_the_files_are_unpacked_to_torchvisions_layout(tmp_path: Path, content: dict[str, bytes]) -> None:
    mnist.prepare(tmp_path)
    for name, data in content.items():
        assert (tmp_path / "MNIST" / "raw" / name).read_bytes() == data


def test_the_records_are_mnists() -> None:
    training = mnist.load(mnist.default_directory(), train=True)
    test = mnist.load(mnist.default_directory(), train=False)
    assert training.images.shape == (60_000, 784)
    assert test.images.shape == (10_000, 784)
    # The counts of the digits 0 to 9, published with the data set.
    assert training.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_the_records_are_those_that_torchvision_reads_and_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "default_directory", lambda: tmp_path)
    first = mnist.load(tmp_path, train=False)
    read = MNIST(str(tmp_path), train=False)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    for records in (first, mnist.load(tmp_path, train=False)):
        assert records.images.equal(read.data.flatten(1))
        assert records.labels.equal(read.targets)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-7]), flip_a_byte, flip_a_pixel])
def test_a_corrupt_copy_of_the_records_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(mnist, "default_directory", lambda: tmp_path)
    records = mnist.load(tmp_path, train=False)
    (kept,) = tmp_path.glob("*.npz")
    before = kept.read_bytes()
    damage(kept)
    assert mnist.load(tmp_path, train=False).images.equal(records.images)
    assert len(kept.read_bytes()) == len(before)
    assert mnist.load(tmp_path, train=False).images.equal(records.images)


@pytest.mark.slow
def test_parallel_first_runs_unpack_once(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from mnist_mlp import mnist; mnist.prepare(Path({str(tmp_path)!r}))"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert sorted(path.name for path in (tmp_path / "MNIST" / "raw").iterdir()) == sorted([*mnist.FILES, mnist.STAMP])
    assert not list((tmp_path / "MNIST").glob(".unpacking-*"))


def test_a_verified_copy_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mnist.prepare(tmp_path)
    monkeypatch.delattr(mnist, "hashlib")
    mnist.prepare(tmp_path)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-7]), flip_a_byte, Path.unlink])
def test_a_damaged_unpacked_copy_is_replaced_with_one_warning(
    tmp_path: Path, content: dict[str, bytes], caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    mnist.prepare(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    damage(path)
    with caplog.at_level(logging.WARNING):
        mnist.prepare(tmp_path)
    assert path.read_bytes() == content[path.name]
    (warning,) = caplog.messages
    assert str(path) in warning
    assert "\n" not in warning


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "MNIST" / ".unpacking-killed"
    leftover.mkdir(parents=True)
    mnist.prepare(tmp_path)
    assert not leftover.exists()


def test_a_copy_whose_times_changed_is_verified_in_full_and_kept(tmp_path: Path) -> None:
    mnist.prepare(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    inode = path.stat().st_ino
    path.touch()
    mnist.prepare(tmp_path)
    assert path.stat().st_ino == inode


def test_a_users_own_copy_is_used_and_nothing_is_written_beside_it(own_copy: Path) -> None:
    records = mnist.load(own_copy.parents[1], train=True)
    assert len(records.images) == 60_000
    assert sorted(path.name for path in own_copy.iterdir()) == sorted(mnist.FILES)


@pytest.mark.parametrize("name", mnist.FILES)
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "bytes, not"),
        (lambda path: path.write_bytes(b"\1" + path.read_bytes()[1:]), "magic number"),
        (flip_a_byte, "SHA-256"),
        (Path.unlink, "missing"),
    ],
)
def test_a_users_damaged_copy_is_an_error_that_names_the_file(
    own_copy: Path, name: str, damage: object, said: str
) -> None:
    damage(own_copy / name)
    before = {path.name: path.read_bytes() for path in own_copy.iterdir()}
    with pytest.raises(Problem, match=said) as problem:
        mnist.prepare(own_copy.parents[1])
    assert str(own_copy / name) in str(problem.value)
    assert {path.name: path.read_bytes() for path in own_copy.iterdir()} == before


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"data\.dir: .*file/MNIST/raw"):
        mnist.prepare(tmp_path / "file")
