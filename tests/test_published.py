"""Published data sets, fetched from a server on this machine that has small files in the same form."""

import gzip
import hashlib
import io
import json
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from conftest import SHORT

from mnist_mlp import mnist, published
from mnist_mlp.config.valid import DATASETS
from mnist_mlp.errors import Problem
from mnist_mlp.published import DATA_SETS, load, prepare, read_idx

NAMES = tuple(DATA_SETS)


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape) + values.tobytes()


def drawings(records: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make images whose first column is as bright as their label says, and the labels, ten of each in turn."""
    labels = (np.arange(records) // 10 % 10).astype(np.uint8)
    images = np.random.default_rng(seed).integers(0, 100, (records, 28, 28)).astype(np.uint8)
    images[:, :, 0] = 100 + labels[:, None]
    return images, labels


class Server:
    """Serves files on 127.0.0.1.

    Attributes:
        files: by name.
        asked: the names of those that were asked for.
        cut: whether answers end in the middle.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut = False
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                ours.asked.append(name)
                if name not in ours.files:
                    self.send_error(404)
                    return
                content = ours.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if ours.cut else content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/data/"

    def close(self) -> None:
        if self.thread.is_alive():
            self.http.shutdown()
            self.thread.join()
            self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Serve all data sets, with fewer images, to a cache of this test's own."""
    server = Server()
    monkeypatch.setattr(mnist, "default_directory", lambda: tmp_path / "cache")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        for name, data_set in DATA_SETS.items():
            sizes = (800, 400)
            monkeypatch.setitem(DATA_SETS, name, data_set._replace(records=sizes))
            resources = []
            for part, size in zip(data_set.parts, sizes, strict=True):
                images, labels = drawings(size, seed=len(name) + size)
                if data_set.transposed:
                    images = images.swapaxes(1, 2)
                for file, values in (("images-idx3-ubyte.gz", images), ("labels-idx1-ubyte.gz", labels)):
                    packed = gzip.compress(idx(np.ascontiguousarray(values)))
                    if data_set.transposed:
                        members.writestr(f"gzip/{part}-{file}", packed)
                    server.files[f"{part}-{file}"] = packed
                    resources.append((f"{part}-{file}", hashlib.md5(packed).hexdigest()))
            published_class = getattr(torchvision.datasets, data_set.torchvision)
            folder = f"{server.address}{name}/"
            monkeypatch.setattr(published_class, "mirrors", [folder])
            monkeypatch.setattr(published_class, "resources", resources)
            server.files |= {f"{name} {file}": server.files[file] for file, _ in resources}
    server.files["gzip.zip"] = archive.getvalue()
    monkeypatch.setattr(torchvision.datasets.EMNIST, "url", f"{server.address}gzip.zip")
    monkeypatch.setattr(torchvision.datasets.EMNIST, "md5", hashlib.md5(archive.getvalue()).hexdigest())
    yield server
    server.close()


def offer(server: Server, name: str) -> None:
    """Let the server have the files of one data set, as two have files of the same names."""
    prefix = f"{name} "
    server.files |= {key.removeprefix(prefix): value for key, value in server.files.items() if key.startswith(prefix)}


def test_the_names_are_those_of_the_key() -> None:
    assert ("mnist", *NAMES, "folder") == DATASETS


@pytest.mark.parametrize("name", NAMES)
def test_the_classes_are_called_as_torchvision_calls_them(name: str) -> None:
    published_class = getattr(torchvision.datasets, DATA_SETS[name].torchvision)
    theirs = published_class.classes_split_dict["digits"] if name == "emnist_digits" else published_class.classes
    assert list(DATA_SETS[name].classes) == theirs


@pytest.mark.parametrize("name", NAMES)
def test_a_data_set_is_fetched_once_and_the_images_are_upright(server: Server, name: str, tmp_path: Path) -> None:
    offer(server, name)
    for train, size in ((True, 800), (False, 400)):
        records = load(name, tmp_path / "data", train)
        images, labels = drawings(size, seed=len(name) + size)
        rows = np.arange(size)
        if name == "emnist_digits":
            rows = np.sort(np.concatenate([np.flatnonzero(labels == digit)[::4] for digit in range(10)]))
            assert torch.bincount(records.labels).tolist() == [size // 40] * 10
        assert np.array_equal(records.images.numpy(), images[rows].reshape(len(rows), 784))
        assert np.array_equal(records.labels.numpy(), labels[rows])
    assert len(server.asked) == len(set(server.asked)) == (1 if name == "emnist_digits" else 4)


def test_a_quarter_of_emnists_digits_is_as_many_as_mnist_has() -> None:
    data_set = DATA_SETS["emnist_digits"]
    assert [records // data_set.every for records in data_set.records] == [60_000, 10_000]


@pytest.mark.parametrize("name", NAMES)
def test_a_second_use_needs_neither_the_network_nor_torchvision(
    server: Server, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(server, name)
    prepare(name, tmp_path / "data")
    server.close()
    monkeypatch.setitem(sys.modules, "torchvision", None)
    prepare(name, tmp_path / "elsewhere")
    assert len(load(name, tmp_path / "elsewhere", train=False).labels) == (100 if name == "emnist_digits" else 400)


@pytest.mark.parametrize("name", NAMES)
def test_without_the_network_one_line_says_which_files_belong_where(server: Server, name: str, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(Problem, match="Connection refused") as problem:
        load(name, tmp_path / "data", train=True)
    message = str(problem.value)
    assert message.startswith(f"data={name}: {server.address}")
    assert "\n" not in message
    raw = tmp_path / "data" / DATA_SETS[name].torchvision / "raw"
    files = (
        ["gzip.zip"] if name == "emnist_digits" else [file for file, _ in torchvision.datasets.FashionMNIST.resources]
    )
    assert message.endswith(f"into {raw}")
    assert all(file in message for file in files)
    assert [path.name for path in raw.iterdir()] == [".lock"]


@pytest.mark.parametrize("name", NAMES)
def test_files_that_were_put_there_by_hand_are_used(server: Server, name: str, tmp_path: Path) -> None:
    offer(server, name)
    server.close()
    raw = tmp_path / "data" / DATA_SETS[name].torchvision / "raw"
    raw.mkdir(parents=True)
    for file in ["gzip.zip"] if name == "emnist_digits" else [file for file in server.files if file.endswith(".gz")]:
        (raw / file).write_bytes(server.files[file])
    before = sorted(raw.iterdir())
    assert load(name, tmp_path / "data", train=True).images.shape[1] == 784
    assert sorted(raw.iterdir()) == before


def test_an_interrupted_download_leaves_nothing_and_the_next_try_fetches_it(server: Server, tmp_path: Path) -> None:
    offer(server, "kmnist")
    server.cut = True
    with pytest.raises(Problem, match=r"it ended after [\d,]+ of [\d,]+ bytes") as problem:
        load("kmnist", tmp_path, train=True)
    assert "\n" not in str(problem.value)
    assert [path.name for path in (tmp_path / "KMNIST" / "raw").iterdir()] == [".lock"]
    server.cut = False
    assert len(load("kmnist", tmp_path, train=True).labels) == 800


def test_a_file_with_another_checksum_is_not_kept(server: Server, tmp_path: Path) -> None:
    offer(server, "fashion")
    server.files["train-labels-idx1-ubyte.gz"] += b"\0"
    with pytest.raises(Problem, match="its MD5 sum is not the published one"):
        load("fashion", tmp_path, train=True)
    raw = tmp_path / "FashionMNIST" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == [".lock", "train-images-idx3-ubyte.gz"]


def test_a_corrupt_file_of_the_users_is_named_and_left(server: Server, tmp_path: Path) -> None:
    offer(server, "fashion")
    prepare("fashion", tmp_path)
    for kept in (tmp_path / "cache").glob("*.npz"):
        kept.unlink()
    path = tmp_path / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Problem, match="MD5") as problem:
        prepare("fashion", tmp_path)
    assert str(path) in str(problem.value)
    assert path.exists()


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-7], lambda content: content[:500_000] + b"?" + content[500_001:]]
)
def test_a_corrupt_copy_of_the_records_is_made_again(
    server: Server, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    offer(server, "fashion")
    records = load("fashion", tmp_path, train=True)
    kept = tmp_path / "cache" / "fashion-train.npz"
    kept.write_bytes(damage(kept.read_bytes()))
    assert load("fashion", tmp_path, train=True).images.equal(records.images)
    assert len(server.asked) == 4


def test_a_file_of_another_shape_is_refused(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(server, "fashion")
    monkeypatch.setitem(DATA_SETS, "fashion", DATA_SETS["fashion"]._replace(records=(801, 400)))
    with pytest.raises(Problem, match="does not begin as 801 x 28 x 28 bytes") as problem:
        load("fashion", tmp_path, train=True)
    assert "train-images-idx3-ubyte.gz" in str(problem.value)


def test_an_unpacked_file_that_is_too_short_is_noticed() -> None:
    content = idx(np.zeros((3, 28, 28), np.uint8))
    assert read_idx(content, (3, 28, 28)).shape == (3, 28, 28)
    for wrong in (content[:-1], content + b"\0"):
        with pytest.raises(ValueError, match="bytes, not"):
            read_idx(wrong, (3, 28, 28))


def test_a_directory_that_cannot_be_written_to_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"data\.dir: .*file/KMNIST/raw cannot hold"):
        load("kmnist", tmp_path / "file", train=True)


def test_a_terminal_shows_a_bar_while_a_file_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(server, "fashion")
    prepare("fashion", tmp_path / "a")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(mnist, "default_directory", lambda: tmp_path / "other cache")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    prepare("fashion", tmp_path / "b")
    assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err


def test_a_run_trains_on_what_it_fetches_and_offline_ends_in_one_line(
    server: Server,
    command: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(server, "fashion")
    files, server.files = server.files, {}
    assert command("data=fashion", *SHORT) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "HTTP Error 404: Not Found" in line
    assert not list((tmp_path / "runs").glob("*/seed0"))
    server.files = files
    assert command("data=fashion", *SHORT) == 0
    assert "fashion, disjoint protocol, seed 0" in capsys.readouterr().out
    (record,) = (tmp_path / "runs").glob("*/seed0/result.json")
    assert record.parts[-3].startswith("data=fashion,")
    result = json.loads(record.read_text(encoding="utf-8"))
    assert result["classes"][0] == "T-shirt/top"
    assert result["config"]["data"]["dataset"] == "fashion"
    assert published.DATA_SETS["fashion"].records == (800, 400)
    assert command("data=fashion", "data.protocol=notebook", *SHORT) == 0
