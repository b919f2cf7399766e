"""Photographs, drawings and arrays of digits are brought to MNIST's form and told by a trained network."""

import contextlib
import io
import json
import os
import runpy
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pillow_heif
import pytest
import torch
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageDraw, ImageFont

from mnist_mlp import mnist
from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.cli import verbs
from mnist_mlp.errors import Problem
from mnist_mlp.inference import load as trained
from mnist_mlp.inference import preprocess as digit
from mnist_mlp.inference import reader
from mnist_mlp.inference.ink import find

IMAGES = 150
BICUBIC, NEAREST = Image.Resampling.BICUBIC, Image.Resampling.NEAREST
UInt8 = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the baseline."""
    folder = tmp_path_factory.mktemp("lab") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", "epochs=2", "trainer=cpu", "callbacks=none", "logger=none"])
        sys.argv.append(f"runs_dir={folder}")
        from mnist_mlp.cli.train import main

        main()
    return folder


@pytest.fixture(scope="module")
def model(runs: Path) -> MNISTClassifier:
    return trained.load("best", str(runs)).model


@pytest.fixture(scope="module")
def records() -> UInt8:
    images = mnist.load(mnist.default_directory(), train=False).images[:IMAGES]
    return images.reshape(-1, 28, 28).numpy()


@pytest.fixture
def predict(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, list[str]]]:
    """Run scripts/predict.py in this process: its exit status, what it printed, and its lines on stderr."""

    def run(*arguments: str | Path, run: str = "best") -> tuple[int, str, list[str]]:
        words = ["predict.py", run, *map(str, arguments), "--runs-dir", str(runs)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            verbs.run("predict")
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err.splitlines()

    return run


def guesses(model: MNISTClassifier, images: list[Any]) -> list[int]:
    with torch.inference_mode():
        found: list[int] = model(torch.from_numpy(np.stack(images))).argmax(1).tolist()
    return found


def as_gray(image: Any) -> reader.Gray:
    return np.clip(np.asarray(image, dtype=np.float32) / np.float32(255), 0, 1)


def normal(image: reader.Gray) -> Any:
    return digit.normalize(image).digit


def larger(image: UInt8, factor: float, how: Image.Resampling = BICUBIC) -> UInt8:
    side = round(28 * factor)
    return np.asarray(Image.fromarray(image).resize((side, side), how))


def shifted(image: UInt8) -> UInt8:
    moved = np.zeros((60, 50), np.uint8)
    row, column = image.sum() % 32, image.sum() % 22
    moved[row : row + 28, column : column + 28] = image
    return moved


def framed(image: UInt8) -> UInt8:
    """In a black frame on white."""
    return np.pad(np.pad(np.pad(255 - larger(image, 6), 30, constant_values=255), 4), 10, constant_values=255)


def dirty(image: UInt8) -> UInt8:
    page = 255 - np.pad(larger(image, 8), 40)
    for row, column in np.random.default_rng(int(image.sum())).integers(5, 295, (10, 2)):
        page[row : row + 4, column : column + 4] = 0
    return page


def photographed(image: UInt8) -> Any:
    """Gray ink on paper with a noise, and light from one side."""
    light = 110 + np.linspace(0, 90, 224)[:, None] + np.linspace(0, 40, 224)
    return np.clip(light - 0.35 * larger(image, 8) + np.random.default_rng(0).normal(0, 5, (224, 224)), 0, 255)


def as_jpeg(image: UInt8) -> Any:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=75)
    return Image.open(file)


def drawn(image: UInt8, factor: float, top: int, left: int) -> UInt8:
    """Black on the white canvas of the page to draw on."""
    page, ink = np.zeros((400, 400), np.uint8), larger(image, factor)
    page[60 + top : 60 + top + len(ink), 60 + left : 60 + left + len(ink)] = ink
    return 255 - page[60:340, 60:340]


def gaps(side: int) -> UInt8:
    """White lines, four pixels wide, that cut a drawing to pieces."""
    lines = np.arange(side) % 60 < 4
    return np.where(lines[:, None] | lines, np.uint8(255), np.uint8(0))


CHANGES: dict[str, Callable[[UInt8], Any]] = {
    "inverted": lambda image: 255 - image,
    "reduced to 3/4": lambda image: larger(image, 0.75),
    "x1.5": lambda image: larger(image, 1.5),
    "x2": lambda image: larger(image, 2),
    "x5": lambda image: larger(image, 5),
    "x10": lambda image: larger(image, 10),
    "x4 in squares, inverted": lambda image: 255 - larger(image, 4, NEAREST),
    "shifted": shifted,
    "shifted, inverted": lambda image: 255 - shifted(image),
    "a wide black border": lambda image: np.pad(image, ((50, 10), (200, 30))),
    "a white border": lambda image: np.pad(image, 6, constant_values=255),
    "x4, a white border": lambda image: np.pad(larger(image, 4), 10, constant_values=255),
    "x6, inverted, a white border": lambda image: np.pad(255 - larger(image, 6), 40, constant_values=255),
    "a frame": framed,
    "little contrast": lambda image: 120 + 0.3 * larger(image, 4),
    "specks": dirty,
    "a photograph": photographed,
    "JPEG": as_jpeg,
    "drawn very small, in a corner": lambda image: drawn(image, 1.2, 4, 240),
    "drawn very large": lambda image: drawn(image, 13, -42, -42),
    "drawn in pieces": lambda image: np.maximum(drawn(image, 8, 30, 30), gaps(280)),
}


@pytest.fixture(scope="module")
def unaltered(model: MNISTClassifier, records: UInt8) -> list[int]:
    return guesses(model, [as_gray(record) for record in records])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_digit_of_mnist_is_told_the_same_however_it_is_drawn(
    model: MNISTClassifier, records: UInt8, unaltered: list[int], change: Callable[[UInt8], Any]
) -> None:
    altered = guesses(model, [normal(as_gray(change(record))) for record in records])
    same = np.mean(np.array(unaltered) == altered)
    assert same >= 0.95


def test_what_has_mnists_form_is_left_as_it_is(records: UInt8) -> None:
    for record in records:
        np.testing.assert_array_equal(normal(as_gray(record)), as_gray(record))
        np.testing.assert_allclose(normal(1 - as_gray(record)), as_gray(record), atol=1e-7)


def test_what_has_another_form_gets_mnists(records: UInt8) -> None:
    for record in records[:50]:
        image = normal(as_gray(larger(record, 3)))
        rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        middle = [(image.sum(axis) * np.arange(28)).sum() / image.sum() for axis in (1, 0)]
        assert middle == pytest.approx([14, 14], abs=0.51)
        assert image.dtype == np.float32
        assert image.max() == 1


FONTS = sorted(
    path for path in Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf") if "Display" not in path.name
)


def test_most_printed_digits_are_told(model: MNISTClassifier) -> None:
    """The network has learned from handwriting, of which some fonts' 1 and 9 have little."""
    fonts: list[Any] = [ImageFont.truetype(str(path), 120) for path in FONTS] + [ImageFont.load_default(120)]
    assert len(fonts) == 13
    images = []
    for font in fonts:
        for number in range(10):
            page = Image.new("L", (200, 220), 255)
            ImageDraw.Draw(page).text((60, 20), str(number), font=font, fill=0)
            images.append(normal(as_gray(page)))
    right = np.mean(np.array(guesses(model, images)) == list(range(10)) * len(fonts))
    assert right >= 0.8


def seven(records: UInt8, factor: float = 8) -> Image.Image:
    """The first test record, black on white."""
    return Image.fromarray(255 - larger(records[0], factor))


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def told(path: Path, model: MNISTClassifier) -> list[int]:
    return guesses(model, [normal(image) for image in reader.read(path)])


def test_every_kind_of_image_is_read(model: MNISTClassifier, records: UInt8, tmp_path: Path) -> None:
    page = seven(records)
    wide = np.asarray(page).astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter to the right
    on_glass = Image.new("RGBA", page.size, (0, 0, 0, 0))
    on_glass.putalpha(Image.fromarray(255 - np.asarray(page)))
    with_key = page.convert("P")
    paths = [
        save(page, tmp_path / "gray.png"),
        save(page.convert("RGB"), tmp_path / "colors.jpg"),
        save(page.convert("RGB").rotate(90, expand=True), tmp_path / "turned.jpg", exif=exif),
        save(Image.fromarray(wide), tmp_path / "16 bits.png"),
        save(Image.fromarray(wide), tmp_path / "16 bits.tif"),
        save(Image.fromarray(as_gray(page)), tmp_path / "floats.tif"),
        save(Image.fromarray(as_gray(page) * 1e30 - 1e29), tmp_path / "wide floats.tif"),
        save(on_glass, tmp_path / "transparent.png"),
        save(on_glass.convert("LA"), tmp_path / "gray transparent.png"),
        save(with_key, tmp_path / "palette.png", transparency=255),
        save(page.convert("CMYK"), tmp_path / "cmyk.jpg"),
        save(page.convert("1"), tmp_path / "two shades.png"),
        save(page, tmp_path / "animated.gif", save_all=True, append_images=[Image.new("L", page.size, 255)]),
        save(page, tmp_path / "page.bmp"),
        save(page.convert("RGB"), tmp_path / "page.webp"),
        save(page, tmp_path / "page.pgm"),
    ]
    assert {path.name: told(path, model) for path in paths} == {path.name: [7] for path in paths}


def test_a_picture_of_an_iphone_is_read_or_says_what_it_takes(
    model: MNISTClassifier, records: UInt8, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "IMG_0001.HEIC"
    pillow_heif.from_pillow(seven(records).convert("RGB")).save(path)
    assert told(path, model) == [7]
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Problem, match=r"IMG_0001.HEIC: a HEIC picture; save it as JPEG, or: pip install .*heic"):
        reader.read(path)


def test_pictures_as_a_browser_saves_them_are_read(model: MNISTClassifier, records: UInt8, tmp_path: Path) -> None:
    for name, kind in (("seven.jfif", "JPEG"), ("seven.webp", "WEBP")):
        seven(records).save(tmp_path / name, kind)
        assert told(tmp_path / name, model) == [7]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_16_bit_file_has_as_many_bits_as_its_values(records: UInt8, tmp_path: Path, bits: int) -> None:
    shades = as_gray(seven(records))
    Image.fromarray((shades * (2**bits - 1)).round().astype(np.uint16)).save(tmp_path / "scan.png")
    np.testing.assert_allclose(reader.read(tmp_path / "scan.png")[0], shades, atol=1 / 255)


PICTURES = runpy.run_path(str(ROOT / "scripts" / "dev" / "pictures.py"))


@pytest.mark.parametrize("name", PICTURES["KINDS"])
def test_digits_in_pictures_as_people_take_them_are_told_or_refused(
    model: MNISTClassifier, records: UInt8, unaltered: list[int], name: str
) -> None:
    """The published table has a hundred of each kind; here are ten that the network tells unaltered."""
    kind, inks = PICTURES["KINDS"][name], [PICTURES["cropped"](record / 255) for record in records[:10]]
    answers = []
    for place, ink in enumerate(inks):
        others = [] if kind.readable else [[each for other, each in enumerate(inks) if other != place]]
        picture = kind.draw(ink, np.random.default_rng([place, *name.encode()]), *others)
        with contextlib.suppress(Problem):
            image = normal(reader.read_image(io.BytesIO(picture), name))
            with torch.inference_mode():
                answers.append((place, *model(torch.from_numpy(image[None])).softmax(1).max(1)))
    if kind.readable:
        assert sum(unaltered[place] == guess for place, _, guess in answers) >= 9
    elif name != "scribble":  # which looks like a digit now and then
        assert sum(sure > 0.9 for _, sure, _ in answers) == 0


def test_several_digits_are_said_to_be_several(records: UInt8) -> None:
    beside = 255 - np.hstack([larger(record, 5) for record in records[:2]])
    above = 255 - np.vstack([larger(record, 5) for record in records[:2]])
    for page in (beside, above):
        with pytest.raises(Problem, match="there are several digits in the image; crop it to one of them"):
            normal(as_gray(page))


def test_a_digit_in_pieces_is_one(model: MNISTClassifier, records: UInt8) -> None:
    page = np.pad(255 - larger(records[0], 8), 30, constant_values=255)
    page[:, 140:144] = 255
    page[150:154] = 255
    assert guesses(model, [normal(as_gray(page))]) == [7]


def test_a_picture_that_was_cut_to_its_digit_is_known_by_its_sides(records: UInt8) -> None:
    for record in records[:10]:
        shades = 1 - PICTURES["cropped"](record / 255)[1:-1, 1:-1].repeat(6, 0).repeat(6, 1).astype(np.float32)
        assert find(shades).cut
        assert not find(np.pad(shades, 20, constant_values=1)).cut


def test_all_of_a_digit_to_which_a_picture_was_cut_belongs_to_it(records: UInt8) -> None:
    shades = np.ones((120, 120), np.float32)
    shades[:15, 15:] = shades[:, 60:75] = 0  # a 7
    shades[70:82, 24:36] = 0  # an island
    assert find(shades).box == (0, 15, 120, 120)


@pytest.mark.parametrize("width", [30, 60, 90])
def test_a_stroke_that_was_stretched_to_a_square_is_seen_as_a_1(width: int) -> None:
    shades = np.ones((120, 120), np.float32)
    for row in range(120):
        shades[row, (120 - width) * (119 - row) // 119 :][:width] = 0
    assert find(shades).cut
    seen = digit.normalize(shades).views[0]
    assert extent(seen)[1] < extent(seen)[0] * 0.6


def bar(height: int, width: int, margin: int = 60) -> Any:
    """A page with a black bar."""
    return 1 - np.pad(np.ones((height, width), np.float32), margin)


def extent(seen: Any) -> tuple[int, int]:
    rows, columns = (np.ptp(np.flatnonzero((seen > 0.2).any(axis))) + 1 for axis in (1, 0))
    return int(rows), int(columns)


def test_a_digit_is_seen_as_it_is_turned_to_either_side_narrower_and_wider() -> None:
    plain, left, right, narrow, wide = digit.normalize(bar(200, 80)).views
    assert [extent(each) for each in (plain, narrow, wide)] == [(20, 8), (20, 6), (20, 11)]
    rows, columns = np.indices((28, 28))
    slants = []
    for seen in (plain, left, right):
        away = rows - np.average(rows, weights=seen), columns - np.average(columns, weights=seen)
        slants.append((seen * away[0] * away[1]).sum() / (seen * away[0] ** 2).sum())
    # of a bar that is 2.5 times as high as wide, moments of the second order give 0.84 of the tangent of 8 degrees
    assert slants == pytest.approx([0, 0.118, -0.118], abs=0.02)


def test_what_fills_a_square_is_also_tried_narrower_and_as_it_is() -> None:
    circle = np.hypot(*(np.indices((120, 120)) - 59.5))
    ring = np.where((circle < 60) & (circle > 45), np.float32(0), np.float32(1))
    assert [extent(seen)[1] for seen in digit.normalize(ring).views] == [15, 15, 15, 11, 20]
    assert [extent(seen)[1] for seen in digit.normalize(np.pad(ring, 30, constant_values=1)).views[:1]] == [20]
    assert digit.normalize(ring).digit.sum() == pytest.approx(digit.normalize(ring).views[4].sum(), rel=0.02)


def test_a_hairline_that_fills_a_square_has_views() -> None:
    page = Image.new("L", (640, 640), 255)
    ImageDraw.Draw(page).line((0, 639, 639, 0), fill=0, width=1)
    assert [seen.max() for seen in digit.normalize(as_gray(page)).views] == [1] * 5


def test_the_probabilities_are_the_means_over_the_views(runs: Path, records: UInt8) -> None:
    network = trained.load("best", str(runs))
    images = [digit.normalize(as_gray(255 - np.pad(larger(record, 4), 20))) for record in records[:3]]
    images.append(digit.normalize(as_gray(records[3])))
    assert [len(each.views) for each in images] == [5, 5, 5, 1]
    with torch.inference_mode():
        means = [network.model(torch.from_numpy(each.views)).double().softmax(1).mean(0) for each in images]
    assert torch.allclose(network.logits([each.views for each in images]).exp(), torch.stack(means))


@pytest.mark.parametrize("number", [25, 48, 68, 73, 79, 86, 93, 95, 130])
def test_in_a_scan_that_is_cut_to_its_digit_the_strokes_are_ink_and_not_the_holes(records: UInt8, number: int) -> None:
    rows, columns = (np.flatnonzero((records[number] > 12).any(axis)) for axis in (1, 0))
    alone = Image.fromarray(records[number][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    light = np.asarray(alone.resize((200, 200), BICUBIC))
    for image, dark in ((255 - light, True), (light, False)):
        ink = digit.normalize(as_gray(image)).ink
        assert ink is not None
        assert ink.dark is dark


def test_ink_that_encloses_more_areas_than_an_8_is_no_digit(records: UInt8) -> None:
    page = Image.new("L", (300, 400), 255)
    for number, top in enumerate((40, 140, 240), start=1):
        ImageDraw.Draw(page).ellipse((90, top, 210, top + 110), outline=0, width=14)
        if number < 3:
            assert digit.normalize(as_gray(page)).ink is not None
    with pytest.raises(Problem, match="the ink encloses 3 areas, that of a digit at most two"):
        digit.normalize(as_gray(page))


def test_the_tools_of_a_drawing_program_are_left_out(records: UInt8) -> None:
    page = np.full((480, 640), 255, np.uint8)
    page[200:424, 200:424] -= larger(records[2], 8)  # a 1, which has little ink
    alone = normal(as_gray(page))
    for tool in range(9):
        page[24:40, 12 + 34 * tool : 34 + 34 * tool] = 10 * tool
    assert np.abs(normal(as_gray(page)) - alone).max() < 0.02


def test_where_the_ink_was_found_is_said(records: UInt8) -> None:
    page = np.full((300, 400), 230, np.uint8)
    page[100:212, 50:162] -= larger(records[0], 4) // 2
    rows, columns = (np.flatnonzero((page < 200).any(axis)) for axis in (1, 0))
    for image, dark in ((page, True), (255 - page, False)):
        ink = digit.normalize(as_gray(image)).ink
        assert ink is not None
        assert ink.dark is dark
        assert ink.box == pytest.approx((rows[0], columns[0], rows[-1] + 1, columns[-1] + 1), abs=4)
    assert digit.normalize(as_gray(records[0])).ink is None


def test_every_form_of_array_is_read(model: MNISTClassifier, records: UInt8, tmp_path: Path) -> None:
    unaltered = guesses(model, [as_gray(record) for record in records])
    forms = {
        "records": (records, unaltered),
        "flat": (records.reshape(-1, 784), unaltered),
        "floats": (as_gray(records), unaltered),
        "doubles": (records / 255.0, unaltered),
        "by columns": (np.asfortranarray(records), unaltered),
        "one": (records[0], unaltered[:1]),
        "larger": (np.asarray(seven(records)), [7]),
    }
    for name, (array, expected) in forms.items():
        np.save(tmp_path / f"{name}.npy", array)
        images = [normal(image) for image in reader.read(tmp_path / f"{name}.npy")]
        assert guesses(model, images) == expected


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and has none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def npy_of(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def image_of(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


NOT_AN_IMAGE = "not an image in one of the supported formats (PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM, AVIF)"
FORM = "it has to be height x width, n x 28 x 28 or n x 784"
BAD = {
    "empty.png": (b"", NOT_AN_IMAGE),
    "text.png": (b"seven", NOT_AN_IMAGE),
    "cut.png": (image_of(Image.effect_noise((90, 90), 90))[:2000], "the image is corrupt or incomplete"),
    "large.png": (png_of(9000, 9000), "has more than 64 million pixels; reduce it first"),
    "huge.png": (png_of(100_000, 100_000), "has more than 64 million pixels; reduce it first"),
    "no pixels.png": (png_of(0, 10), NOT_AN_IMAGE),
    "missing pixels.png": (png_of(10, 10), "the image is corrupt or incomplete"),
    "white.png": (image_of(Image.new("L", (50, 50), 255)), "there is no digit in the image: all of it has one shade"),
    "one pixel.png": (image_of(Image.new("L", (1, 1), 90)), "there is no digit in the image: all of it has one shade"),
    "nothing.png": (
        image_of(Image.new("RGBA", (9, 9), (0, 0, 0, 0))),
        "there is no digit in the image: all of it has one shade",
    ),
    "text.npy": (b"seven", "not a NumPy array, or corrupt"),
    "cut.npy": (npy_of(np.zeros((28, 28)))[:-1], "the array is corrupt or incomplete"),
    "objects.npy": (npy_of(np.array([{}])), "an array of object; it has to be of uint8, or of floats from 0 to 1"),
    "integers.npy": (
        npy_of(np.ones((28, 28), int)),
        "an array of int64; it has to be of uint8, or of floats from 0 to 1",
    ),
    "nan.npy": (npy_of(np.full((28, 28), np.nan)), "an array of floats that are not all from 0 to 1"),
    "to 255.npy": (npy_of(np.full((28, 28), 255.0)), "an array of floats that are not all from 0 to 1"),
    "row.npy": (npy_of(np.zeros(9)), f"an array of 9; {FORM}"),
    "value.npy": (npy_of(np.float32(0.5)), f"an array of a single value; {FORM}"),
    "colors.npy": (npy_of(np.zeros((28, 28, 3))), f"an array of 28 x 28 x 3; {FORM}"),
    "none.npy": (npy_of(np.zeros((0, 28, 28))), f"an array of 0 x 28 x 28; {FORM}"),
    "black.npy": (npy_of(np.zeros((28, 28))), "there is no digit in the image: all of it has one shade"),
}


def huge_npy() -> bytes:
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 784)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


BAD["huge.npy"] = (huge_npy(), "has more than 64 million pixels; reduce it first")


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_told_in_one_line(
    predict: Callable[..., tuple[int, str, list[str]]], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(BAD[name][0])
    assert predict(tmp_path / name) == (2, "", [f"{tmp_path / name}: {BAD[name][1]}"])


def test_the_good_files_among_bad_ones_are_predicted(
    predict: Callable[..., tuple[int, str, list[str]]], records: UInt8, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("b.png", "a.JPG", "c.png"):
        seven(records).save(folder / name)
    (folder / "c.png").write_bytes(b"seven")
    (folder / "notes.txt").write_text("seven", encoding="utf-8")
    (folder / "older").mkdir()
    for name in (".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"the system's")
    np.save(tmp_path / "some.npy", records[:2])
    (tmp_path / "empty").mkdir()
    status, printed, lines = predict(folder, tmp_path / "some.npy", tmp_path / "empty", tmp_path / "gone.png")
    assert status == 1
    assert [line.split()[:2] for line in printed.splitlines()] == [
        ["file", "guess"],
        [str(folder / "a.JPG"), "7"],
        [str(folder / "b.png"), "7"],
        [f"{tmp_path}/some.npy[0]", "7"],
        [f"{tmp_path}/some.npy[1]", "2"],
    ]
    assert lines == [
        f"{folder / 'c.png'}: {NOT_AN_IMAGE}",
        f"{folder / 'notes.txt'}: {NOT_AN_IMAGE}",
        f"{folder / 'older'}: is a directory",
        f"{tmp_path / 'empty'}: there are no images in this folder",
        f"{tmp_path / 'gone.png'}: no such file or directory",
    ]


def test_json_has_all_probabilities_and_the_picture_what_was_seen(
    predict: Callable[..., tuple[int, str, list[str]]], runs: Path, records: UInt8, tmp_path: Path
) -> None:
    np.save(tmp_path / "some.npy", records[:5])
    status, printed, lines = predict(tmp_path / "some.npy", "--json", "--show", tmp_path / "seen.png")
    assert (status, lines) == (0, [])
    found = json.loads(printed)
    assert found["run"].endswith("/seed0")
    assert [image["guess"] for image in found["images"][:4]] == [7, 2, 1, 0]
    assert [(image["ink"], image["views"]) for image in found["images"]] == [(None, 1)] * 5
    assert found["temperature"] == trained.load("best", str(runs)).temperature != 1
    for image in found["images"]:
        assert sum(image["probabilities"]) == pytest.approx(1)
        assert np.argmax(image["probabilities"]) == image["guess"]
    with Image.open(tmp_path / "seen.png") as picture:
        seen = np.asarray(picture)[8 : 8 + 112 : 4, 8 : 8 + 112 : 4]
    np.testing.assert_array_equal(seen, records[0])


def test_a_name_that_breaks_lines_does_not(
    predict: Callable[..., tuple[int, str, list[str]]], records: UInt8, tmp_path: Path
) -> None:
    names = [b"a\nb.png", b"\xff.png"] if sys.platform == "linux" else [b"a\nb.png"]
    for name in names:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.write_bytes(b"seven")
        status, _, lines = predict(path)
        assert (status, len(lines)) == (2, 1)
        seven(records).save(path, "PNG")
        status, printed, _ = predict(path)
        assert (status, len(printed.splitlines())) == (0, 2)


def test_what_is_wrong_with_the_command_is_told_in_one_line(
    predict: Callable[..., tuple[int, str, list[str]]], tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    status, printed, lines = predict(path, run="q99")
    assert (status, printed, len(lines)) == (2, "", 1)
    assert lines[0].startswith("q99: ")
    assert predict(path, "--show", "seen.jpg")[2] == ["--show: seen.jpg: the name of the picture has to end with .png"]
    assert "--show: " in predict(path, "--show", tmp_path / "gone" / "seen.png")[2][0]
    assert predict(path, "--jsn")[2] == ["--jsn: there is no such option; did you mean --json?"]


def test_a_wrong_command_is_told_without_the_heavy_imports() -> None:
    code = "import sys; sys.argv[1:] = ['best']\nfrom mnist_mlp.cli.verbs import run\n"
    code += (
        "try: run('predict')\nexcept SystemExit as stop: print(stop.code, 'torch' in sys.modules, 'PIL' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "2 False False\n"
    assert done.stderr == "the following arguments are required: IMAGE\n"


def told_or_refused(path: Path, model: MNISTClassifier) -> None:
    """Either there is a prediction, or one line says why not; warnings are errors."""
    try:
        images = [normal(image) for image in reader.read(path)]
    except Problem as problem:
        assert len(str(problem).splitlines()) == 1  # noqa: PT017
        return
    for image in images:
        assert image.shape == (28, 28)
        assert image.min() >= 0
        assert image.max() <= 1
    assert all(0 <= guess <= 9 for guess in guesses(model, images))


SHARED = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KINDS = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "GIF": b"GIF89a", "BMP": b"BM", "TIFF": b"II*\0"}
STARTS = [b"", *KINDS.values(), b"MM\0*", b"RIFF\0\0\0\0WEBP", b"P5 3 3 255\n", b"\x93NUMPY\x01\x00v\x00{'descr': "]


@SHARED
@given(start=some.sampled_from(STARTS), rest=some.binary(max_size=300), suffix=some.sampled_from([".png", ".npy"]))
def test_any_bytes_are_told_or_refused(
    model: MNISTClassifier, tmp_path: Path, start: bytes, rest: bytes, suffix: str
) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(start + rest)
    told_or_refused(path, model)


@SHARED
@given(kind=some.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"]), data=some.data())
def test_damaged_images_are_told_or_refused(
    model: MNISTClassifier, records: UInt8, tmp_path: Path, kind: str, data: some.DataObject
) -> None:
    content = bytearray(image_of(seven(records, 2), kind))
    for _ in range(data.draw(some.integers(0, 4))):
        content[data.draw(some.integers(0, len(content) - 1))] = data.draw(some.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(content[: data.draw(some.integers(0, len(content)))])
    told_or_refused(path, model)


@SHARED
@given(
    mode=some.sampled_from(["1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"]),
    width=some.integers(1, 60),
    height=some.integers(1, 60),
    content=some.binary(min_size=1, max_size=200),
)
def test_any_size_and_mode_is_told_or_refused(
    model: MNISTClassifier, tmp_path: Path, mode: str, width: int, height: int, content: bytes
) -> None:
    size = len(Image.new(mode, (width, height)).tobytes())
    image = Image.frombytes(mode, (width, height), (content * (size // len(content) + 1))[:size])
    for suffix in (".tif", ".png"):
        path = tmp_path / f"image{suffix}"
        try:
            image.save(path)
        except (OSError, ValueError, KeyError):  # not every format has every mode
            continue
        told_or_refused(path, model)


@SHARED
@given(
    array=arrays.arrays(
        some.one_of(some.sampled_from([np.uint8, np.float16, np.float32, np.float64]), arrays.scalar_dtypes()),
        some.one_of(
            some.sampled_from([(28, 28), (1, 28, 28), (2, 784), (1, 1), (1, 50), (50, 1)]),
            arrays.array_shapes(max_dims=4, max_side=12),
        ),
    )
)
def test_any_array_is_told_or_refused(model: MNISTClassifier, tmp_path: Path, array: Any) -> None:
    path = tmp_path / "array.npy"
    np.save(path, array)
    told_or_refused(path, model)


@SHARED
@given(
    array=arrays.arrays(
        np.float32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=some.floats(0, 1, width=32)
    )
)
def test_any_gray_array_is_told_or_refused(model: MNISTClassifier, tmp_path: Path, array: Any) -> None:
    path = tmp_path / "array.npy"
    np.save(path, array)
    told_or_refused(path, model)
