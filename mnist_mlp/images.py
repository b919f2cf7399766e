"""Pictures of what a network gets wrong and of what its first layer looks for."""

import io
from functools import cache
from itertools import product

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

INK, PAPER, FAINT = 32, 255, 110  # shades of grey
WIDTH = 350  # of the pictures, as of TensorBoard's cards: it scales without smoothing, and small text with it
SHADES = 60  # of blue, and as many of red
RIGHT, WRONG = np.array([0, 114, 178]), np.array([213, 94, 0])  # Okabe and Ito's blue and vermilion


def mistakes(
    images: UInt8[np.ndarray, "samples 784"],
    labels: Int[np.ndarray, " samples"],
    probabilities: Float[np.ndarray, "samples 10"],
    columns: int = 5,
    rows: int = 4,
) -> Image.Image:
    """Draw the images whose wrong guess is the surest, the surest first, each with truth, guess and probability."""
    guesses = probabilities.argmax(axis=1)
    surest = probabilities.max(axis=1)
    wrong = np.flatnonzero(guesses != labels)
    worst = wrong[np.argsort(-surest[wrong], kind="stable")][: columns * rows]
    scale, width, height = 2, WIDTH // columns, 92
    picture = Image.new("L", (WIDTH, rows * height + 24), PAPER)
    draw = ImageDraw.Draw(picture)
    total = f"{len(wrong):,} of {len(labels):,} test digits are wrong; the surest of them:"
    draw.text((4, 4), total if len(wrong) else "no test digit is wrong", INK, _font(12))
    for place, sample in enumerate(worst):
        left, top = place % columns * width, place // columns * height + 24
        digit = Image.fromarray(255 - images[sample].reshape(28, 28)).resize((28 * scale, 28 * scale), 0)
        picture.paste(digit, (left + (width - 28 * scale) // 2, top))
        said = f"{labels[sample]} as {guesses[sample]}"
        draw.text((left + width / 2, top + 57), said, INK, _font(12), anchor="ma")
        draw.text((left + width / 2, top + 71), f"{surest[sample]:.1%}", FAINT, _font(11), anchor="ma")
    return picture


def confusions(labels: Int[np.ndarray, " samples"], guesses: Int[np.ndarray, " samples"]) -> Int[np.ndarray, "10 10"]:
    """Count how often each digit (a row) was taken for each digit (a column)."""
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, guesses), 1)
    return counts


def confusion_matrix(labels: Int[np.ndarray, " samples"], guesses: Int[np.ndarray, " samples"]) -> Image.Image:
    """Draw how often each digit (a row) was taken for each digit (a column)."""
    counts = confusions(labels, guesses)
    cell, margin = 31, 36
    picture = Image.new("RGB", (WIDTH, margin + 10 * cell + 4), _grey(PAPER))
    draw = ImageDraw.Draw(picture)
    draw.text((margin + 5 * cell, 1), "taken for", _grey(FAINT), _font(12), anchor="ma")
    draw.text((2, 18), "digit", _grey(FAINT), _font(12))
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    for row, column in product(range(10), repeat=2):
        # Mistakes are few beside right answers, and a third root lets one in a hundred be seen.
        strength = shares[row, column] if row == column else np.cbrt(shares[row, column])
        color = 255 + (0.8 * strength) * ((RIGHT if row == column else WRONG) - 255)
        left, top = margin + column * cell, margin + row * cell
        draw.rectangle((left, top, left + cell - 2, top + cell - 2), tuple(int(part) for part in color))
        if counts[row, column]:
            ink = _grey(PAPER if strength > 0.6 else INK)
            center = (left + cell / 2 - 1, top + cell / 2 - 1)
            draw.text(center, str(counts[row, column]), ink, _font(12), anchor="mm")
    for digit in range(10):
        draw.text((margin + (digit + 0.5) * cell, margin - 5), str(digit), _grey(INK), _font(12), anchor="ms")
        draw.text((margin - 10, margin + (digit + 0.5) * cell), str(digit), _grey(INK), _font(12), anchor="mm")
    return picture


def _grey(shade: int) -> tuple[int, int, int]:
    return (shade, shade, shade)  # a number alone would be red in a picture with colors


def weights(first_layer: Float[np.ndarray, "units 784"], columns: int = 12, rows: int = 9) -> Image.Image:
    """Draw the weights of the first units as images: blue for ink that excites a unit, red for ink that inhibits it."""
    units = np.nan_to_num(first_layer[: columns * rows], posinf=0, neginf=0).reshape(-1, 28, 28)
    strength = np.clip(units / (3 * units.std() or 1), -1, 1)
    tiles = np.full((columns * rows, 29, 29), SHADES, np.uint8)
    tiles[: len(units), 1:, 1:] = np.rint(SHADES * (1 + strength))
    rows_used = -(-len(units) // columns)
    grid = tiles[: rows_used * columns].reshape(rows_used, columns, 29, 29).swapaxes(1, 2)
    margin = (WIDTH - columns * 29) // 2
    pixels = np.pad(grid.reshape(rows_used * 29, columns * 29), (1, margin), constant_values=SHADES)
    picture = Image.fromarray(pixels).convert("P")
    shades = np.linspace(-1, 1, 2 * SHADES + 1)[:, None]
    picture.putpalette((255 + np.abs(shades) * (np.where(shades > 0, RIGHT, WRONG) - 255)).astype(np.uint8).tobytes())
    return picture


def png(picture: Image.Image) -> bytes:
    """Encode a picture, fast rather than small."""
    file = io.BytesIO()
    picture.save(file, "png", compress_level=1)
    return file.getvalue()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
