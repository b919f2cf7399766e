"""Converts a photograph or drawing of a digit to the format of MNIST's images.

http://yann.lecun.com/exdb/mnist describes it: light ink on a black background, the digit scaled with anti-aliasing to
20 × 20 pixels, preserving its aspect ratio, and translated so that its center of mass is the center of the 28 × 28.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image
from scipy import ndimage

from mnist_mlp.images import SIDE, fitted
from mnist_mlp.inference.ink import FAINT, THRESHOLD, Ink, Part, find, resized
from mnist_mlp.inference.reader import Gray

FIT = 20
"""The longer side of a digit, in pixels."""

CENTER = SIDE // 2
"""The row and column, counted from 0, of the center of mass: within half a pixel in all 70,000 images of MNIST."""

TURN = 8
"""Degrees by which two of the five views of a digit are turned."""

NARROW = 3 / 4
"""The width of a narrower view of a digit, as a fraction of its own; a wider one has the reciprocal."""

VIEWED = 100
"""The longer side of a digit from which views are made, in pixels."""

SQUARE = 0.9
"""A picture that was cut to its digit was stretched if its shorter side is at least this fraction of its longer."""

SINGLE = 1.2
"""What has fewer strokes in a row and in a column, on average, is a single stroke."""

STROKE = 0.12
"""The width of a 1's stroke, as a fraction of its height."""

Digit = Float32[np.ndarray, "28 28"]

Views = Float32[np.ndarray, "views 28 28"]


class Converted(NamedTuple):
    """An image in the format of a data set.

    Attributes:
        digit: the image.
        views: what a network classifies: the image alone if it is taken as it is, otherwise five views of the digit.
        ink: where it was found; None if the image is taken as it is.
    """

    digit: Digit
    views: Views
    ink: Ink | None


def converted(gray: Gray, dataset: str) -> Converted:
    """Convert an image to the format of the images of a data set.

    Digits, white on black or black on white, get MNIST's format, but EMNIST's own images stay as they are. Images for
    other data are white on black and not cut out: they are scaled to 28 × 28 unless they have that size.

    Raises:
        Problem: there is no digit in the image, or there are several, and the data set's images are digits.
    """
    if dataset == "mnist" or (dataset == "emnist_digits" and gray.shape != (SIDE, SIDE)):
        return normalize(gray)
    if gray.shape == (SIDE, SIDE):
        return _as_it_is(gray)
    picture = fitted(Image.fromarray((gray * 255).round().astype(np.uint8)))
    return _as_it_is(np.asarray(picture, dtype=np.float32) / np.float32(255))


def normalize(gray: Gray) -> Converted:
    """Convert a digit to MNIST's format; an image that already has it, or whose negative has it, keeps every pixel.

    Raises:
        Problem: there is no digit in the image, or there are several.
    """
    for image in (gray, 1 - gray):
        if _has_mnist_format(image):
            return _as_it_is(image)
    ink = find(gray)
    stretched = ink.cut and min(gray.shape) >= SQUARE * max(gray.shape)
    width = _unstretched(ink.shades) if stretched else 1.0
    return Converted(_centered(_fitted(ink.shades)), _views(ink.shades, width), ink)


def _as_it_is(digit: Digit) -> Converted:
    return Converted(digit, digit[None], None)


def _views(shades: Gray, width: float) -> Views:
    """Return views of a digit: as it is, turned to either side, narrower and wider.

    Where they disagree, the mean of the network's probabilities is less sure, as it is for scribbles.

    Args:
        shades: of the digit.
        width: of the first view, as a fraction of the digit's own: below 1 if the digit was stretched to a square.
    """
    scale = min(1, VIEWED / max(shades.shape))
    height, own = (max(1, round(side * scale)) for side in shades.shape)
    seen = []
    for degrees, factor in ((0, 1), (TURN, 1), (-TURN, 1), (0, NARROW), (0, 1 / NARROW)):
        scaled = Image.fromarray(resized(shades, height, max(1, round(own * width * factor))))
        turned = np.asarray(scaled.rotate(degrees, Image.Resampling.BILINEAR, expand=True))
        faint = min(FAINT, turned.max() / 2)  # a hairline is fainter, once it is reduced
        box = ndimage.find_objects((turned > faint).astype(int))[0]
        seen.append(_centered(_fitted(turned[box])))
    return np.stack(seen)


def _unstretched(shades: Gray) -> float:
    """Return the width of a digit that was stretched to a square, as a fraction of the width that it has now.

    Digits are higher than wide; a single stroke, which has become a block, is a 1.
    """
    inked = shades > THRESHOLD
    (across, length), (down, _length) = map(_strokes, (inked, inked.T))
    return min(NARROW, STROKE * len(shades) / length) if max(across, down) < SINGLE else NARROW


def _strokes(inked: Bool[np.ndarray, "rows columns"]) -> tuple[float, float]:
    """Return the mean number of strokes in the rows that have any, and the median of their lengths in pixels."""
    steps = np.diff(np.pad(inked, ((0, 0), (1, 1))).astype(int), axis=1)
    starts, ends = np.argwhere(steps == 1)[:, 1], np.argwhere(steps == -1)[:, 1]
    return len(starts) / np.count_nonzero(inked.any(axis=1)), float(np.median(ends - starts))


def _has_mnist_format(image: Gray) -> bool:
    if image.shape != (SIDE, SIDE) or not image.any():
        return False
    box = ndimage.find_objects((image > 0).astype(int))[0]
    longest = max(part.stop - part.start for part in box)
    off_center = np.abs(np.array(ndimage.center_of_mass(image)) - CENTER).max()
    return longest in (FIT - 1, FIT) and bool(off_center < 0.51)


def _fitted(box: Gray) -> Part:
    """Scale a digit so that its longer side is `FIT`."""
    scale = FIT / max(box.shape)
    height, width = (max(1, round(size * scale)) for size in box.shape)
    scaled = resized(box, height, width)
    return np.clip(scaled / scaled.max(), 0, 1, dtype=np.float32)


def _centered(digit: Gray) -> Digit:
    """Put the center of mass of a digit at the center of an image."""
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    height, width = digit.shape
    row, column = (round(CENTER - middle) for middle in ndimage.center_of_mass(digit))
    row, column = min(max(row, 0), SIDE - height), min(max(column, 0), SIDE - width)
    image[row : row + height, column : column + width] = digit
    return image
