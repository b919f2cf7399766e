"""The size of MNIST's images, and pictures of a network's mistakes and weights. Free of torch."""

import io
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont, ImageOps

from mnist_mlp.language import _, figure

SIDE = 28
PIXELS = SIDE * SIDE
DIGITS = 10
CLASSES = tuple(map(str, range(DIGITS)))

INK, PAPER, FAINT = 32, 255, 110  # shades of gray
WIDTH = 350  # of the pictures, as of TensorBoard's cards: they scale without smoothing, which spoils small text
SHADES = 60  # of blue, and as many of red
RIGHT, WRONG = np.array([0, 114, 178]), np.array([213, 94, 0])  # Okabe and Ito's blue and vermilion


def mistakes(
    images: UInt8[np.ndarray, "samples 784"],
    labels: Int[np.ndarray, " samples"],
    probabilities: Float[np.ndarray, "samples 10"],
    classes: Sequence[str] = CLASSES,
    columns: int = 5,
    rows: int = 4,
) -> Image.Image:
    """Draw the misclassified images, the most confident first, each with its label, prediction and probability."""
    names = names_of(classes)
    if names:
        columns = min(columns, 4)  # of names, which take more room than digits
    guesses = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(guesses != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][: columns * rows]
    size, width, height = 2 * SIDE, WIDTH // columns, 106 if names else 92
    picture = Image.new("L", (WIDTH, rows * height + 24), PAPER)
    draw = ImageDraw.Draw(picture)
    total = _("{wrong} of {images} test images are misclassified; the most confident:")
    total = total.format(wrong=figure(len(wrong), ","), images=figure(len(labels), ","))
    heading = drawn(total if len(wrong) else _("no test image is misclassified"))
    draw.text((4, 4), heading, INK, _font(12 if draw.textlength(heading, _font(12)) <= WIDTH - 8 else 10))
    for place, sample in enumerate(worst):
        left, top = place % columns * width, place // columns * height + 24
        digit = Image.fromarray(255 - images[sample].reshape(SIDE, SIDE)).resize((size, size), 0)
        picture.paste(digit, (left + (width - size) // 2, top))
        label, guess = int(labels[sample]), int(guesses[sample])
        if names:
            captions = [names[label], _("as {guess}").format(guess=names[guess])]
        else:
            captions = [_("{digit} as {guess}").format(digit=label, guess=guess)]
        for line, caption in enumerate(captions):
            at = (left + width / 2, top + 57 + 14 * line)
            draw.text(at, _cut(caption, width), INK, _font(12), anchor="ma")
        at = (left + width / 2, top + height - 21)
        draw.text(at, drawn(figure(confidence[sample], ".1%")), FAINT, _font(11), anchor="ma")
    return picture


def drawn(text: str) -> str:
    """Replace what Pillow's own font lacks: accents, no-break spaces, and by a question mark any other alphabet."""
    letters = (each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return "".join(each if each.isascii() else "?" for each in letters)


def names_of(classes: Sequence[str]) -> list[str]:
    """Return what to write for each output of a network; nothing for digits, which need no names."""
    if tuple(classes) == CLASSES:
        return []
    names = map(drawn, classes)
    known = [f"#{number}" if "?" in name else name for number, name in enumerate(names)]
    return [*known, *(f"#{number}" for number in range(len(known), DIGITS))]


def _cut(text: str, width: float, size: int = 12) -> str:
    while _font(size).getlength(text) > width:
        text = text[:-1]
    return text


def confusions(labels: Int[np.ndarray, " samples"], guesses: Int[np.ndarray, " samples"]) -> Int[np.ndarray, "10 10"]:
    """Count how often each digit (row) was classified as each digit (column)."""
    counts = np.zeros((DIGITS, DIGITS), int)
    np.add.at(counts, (labels, guesses), 1)
    return counts


def confusion_matrix(
    labels: Int[np.ndarray, " samples"], guesses: Int[np.ndarray, " samples"], classes: Sequence[str] = CLASSES
) -> Image.Image:
    """Draw how often each digit or class (row) was classified as each (column, by its number)."""
    counts, names = confusions(labels, guesses), names_of(classes)
    cell, margin = 31, 36
    wide, beside, size = (23, 118, 10) if names else (cell, margin, 12)
    picture = Image.new("RGB", (WIDTH, margin + DIGITS * cell + 4), _gray(PAPER))
    draw = ImageDraw.Draw(picture)
    draw.text((beside + DIGITS * wide / 2, 1), _("classified as"), _gray(FAINT), _font(12), anchor="ma")
    draw.text((2, 18), _("class") if names else _("digit"), _gray(FAINT), _font(12))
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    for row, column in product(range(DIGITS), repeat=2):
        # Mistakes are rare; the cube root makes those of one image in a hundred visible.
        strength = shares[row, column] if row == column else np.cbrt(shares[row, column])
        color = 255 + (0.8 * strength) * ((RIGHT if row == column else WRONG) - 255)
        left, top = beside + column * wide, margin + row * cell
        draw.rectangle((left, top, left + wide - 2, top + cell - 2), tuple(int(part) for part in color))
        if counts[row, column]:
            ink = _gray(PAPER if strength > 0.6 else INK)
            center = (left + wide / 2 - 1, top + cell / 2 - 1)
            draw.text(center, str(counts[row, column]), ink, _font(size), anchor="mm")
    for digit in range(DIGITS):
        draw.text((beside + (digit + 0.5) * wide, margin - 5), str(digit), _gray(INK), _font(12), anchor="ms")
        middle = margin + (digit + 0.5) * cell
        draw.text((beside - 10, middle), str(digit), _gray(INK), _font(12), anchor="mm")
        if names and names[digit] != f"#{digit}":
            draw.text((2, middle), _cut(names[digit], beside - 22), _gray(INK), _font(12), anchor="lm")
    return picture


def _gray(shade: int) -> tuple[int, int, int]:
    return (shade, shade, shade)  # in a color picture, a single number would be a shade of red


def weights(first_layer: Float[np.ndarray, "units 784"], columns: int = 12, rows: int = 9) -> Image.Image:
    """Draw the weights of the first units as images: blue where ink excites a unit, red where it inhibits it."""
    units = np.nan_to_num(first_layer[: columns * rows], posinf=0, neginf=0).reshape(-1, SIDE, SIDE)
    strength = np.clip(units / (3 * units.std() or 1), -1, 1)
    tile = SIDE + 1
    tiles = np.full((columns * rows, tile, tile), SHADES, np.uint8)
    tiles[: len(units), 1:, 1:] = np.rint(SHADES * (1 + strength))
    rows_used = -(-len(units) // columns)
    grid = tiles[: rows_used * columns].reshape(rows_used, columns, tile, tile).swapaxes(1, 2)
    margin = (WIDTH - columns * tile) // 2
    pixels = np.pad(grid.reshape(rows_used * tile, columns * tile), (1, margin), constant_values=SHADES)
    picture = Image.fromarray(pixels).convert("P")
    shades = np.linspace(-1, 1, 2 * SHADES + 1)[:, None]
    picture.putpalette((255 + np.abs(shades) * (np.where(shades > 0, RIGHT, WRONG) - 255)).astype(np.uint8).tobytes())
    return picture


def fitted(picture: Image.Image) -> Image.Image:
    """Return a gray picture as 28 × 28 pixels: as it is, or scaled with its proportions kept, centered on black."""
    if picture.size == (SIDE, SIDE):
        return picture
    return ImageOps.pad(picture, (SIDE, SIDE), Image.Resampling.BILINEAR, color=0)


def png(picture: Image.Image) -> bytes:
    """Encode a picture as PNG, fast rather than small."""
    file = io.BytesIO()
    picture.save(file, "png", compress_level=1)
    return file.getvalue()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
