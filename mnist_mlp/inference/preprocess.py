"""Converts a photograph or drawing of a digit to the format of MNIST's images.

http://yann.lecun.com/exdb/mnist describes it: light ink on a black background, the digit scaled with anti-aliasing to
20 × 20 pixels, preserving its aspect ratio, and translated so that its center of mass is the center of the 28 × 28.
"""

import warnings
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Bool, Float32, Num
from PIL import Image, ImageOps
from scipy import ndimage

from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.image_folder import FORMATS
from mnist_mlp.images import PIXELS, SIDE, fitted
from mnist_mlp.language import _

LIMIT = 64_000_000
"""The maximum number of pixels in a file. Pillow warns above 89 million; all of MNIST in one array has 55 million."""

FIT = 20
"""The longer side of a digit, in pixels."""

CENTER = SIDE // 2
"""The row and column, counted from 0, of the center of mass: within half a pixel in all 70,000 images of MNIST."""

WORKING_SIDE = 640
"""Larger images are reduced to this size first, which also removes the noise of a photograph."""

SMOOTHING = 120
"""The standard deviation of the Gaussian that smooths large images is their longer side divided by this."""

CONTRAST = 0.08
"""The minimum contrast of a digit with its background; that of black with white is 1."""

FAINT = 0.1
"""Pixels with less than this fraction of the darkest ink do not belong to the edge of a stroke."""

SPECK = 0.05
"""A piece of ink with less than this fraction of the largest piece's pixels is dirt."""

INNER = 0.2
"""Ink that touches the border is a shadow or an edge of the sheet if at least this fraction of it is elsewhere."""

FRAME = 0.9
"""The minimum fraction of each side of its bounding box that a frame covers."""

Gray = Float32[np.ndarray, "height width"]
"""Black is 0, white is 1."""

Part = Float32[np.ndarray, "rows columns"]
"""An image made from another one, of a different size."""

Digit = Float32[np.ndarray, "28 28"]


def read(path: Path) -> list[Gray]:
    """Read an image file, or a NumPy array with one or more images.

    Raises:
        Problem: there is no such file, it is neither, it is corrupt, or it has too many pixels.
    """
    try:
        with path.open("rb") as file:
            return _read_array(file, path) if path.suffix.lower() == ".npy" else [read_image(file, str(path))]
    except OSError as error:
        raise Problem(f"{path}: {reason_of(error).lower()}") from error
    except ValueError as error:  # a NUL in the name
        raise Problem(_("{path}: is not a valid file name").format(path=path)) from error


def read_image(file: IO[bytes], name: str) -> Gray:
    """Read an image in shades of gray: upright, only its first frame, and with a white background if transparent.

    Args:
        file: with the image.
        name: of the image, for messages.

    Raises:
        Problem: it is not an image, is corrupt, or has too many pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a file's metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            opened = Image.open(file, formats=FORMATS)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise _too_large(name) from error
        except Exception as error:  # Pillow can raise any on invalid data
            said = _("{name}: not an image in one of the supported formats ({formats})")
            raise Problem(said.format(name=name, formats=", ".join(FORMATS))) from error
        with opened:
            if opened.width * opened.height > LIMIT:
                raise _too_large(name)
            try:
                return _gray(ImageOps.exif_transpose(opened))
            except Exception as error:
                raise Problem(_("{name}: the image is corrupt or incomplete").format(name=name)) from error


def converted(gray: Gray, dataset: str) -> Digit:
    """Convert an image to the format of the images of a data set.

    Digits, white on black or black on white, get MNIST's format, but EMNIST's own images stay as they are. Images for
    other data are white on black and not cut out: they are scaled to 28 × 28 unless they have that size.

    Raises:
        Problem: there is no digit in the image, and the data set's images are digits.
    """
    if dataset == "mnist" or (dataset == "emnist_digits" and gray.shape != (SIDE, SIDE)):
        return normalize(gray)
    if gray.shape == (SIDE, SIDE):
        return gray
    picture = fitted(Image.fromarray((gray * 255).round().astype(np.uint8)))
    return np.asarray(picture, dtype=np.float32) / np.float32(255)


def normalize(gray: Gray) -> Digit:
    """Convert a digit to MNIST's format; an image that already has it, or whose negative has it, keeps every pixel.

    Raises:
        Problem: there is no digit in the image.
    """
    for image in (gray, 1 - gray):
        if _has_mnist_format(image):
            return image
    return _centered(_fitted(_box_of_digit(gray, small=False)))


def _box_of_digit(gray: Gray, small: bool) -> Part:
    """Crop the ink of a digit to its bounding box.

    Args:
        gray: an image.
        small: whether it was already cropped from a larger image, in which the digit was small.
    """
    image = _smooth(_reduced(gray))
    top, left, factor = 0, 0, max(gray.shape) / max(image.shape)
    ink = _ink(image)
    for _time in range(2):  # a sheet with a frame, on a table
        if inside := _inside_of_frame(ink > _otsu(ink)):
            top, left = top + inside[0].start, left + inside[1].start
            ink = _ink(image := image[inside])
    mass = _digit_alone(ink)
    rows, columns = (np.flatnonzero(mass.any(axis)) for axis in (1, 0))
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    if not small and longest < max(gray.shape) / factor / 2:  # smoothing may have removed its fine strokes
        margin = 2 + round(0.3 * longest)
        crop = []
        for start, inked, size in ((top, rows, image.shape[0]), (left, columns, image.shape[1])):
            first, last = max(0, inked[0] - margin), min(size, inked[-1] + 1 + margin)
            crop.append(slice(int((start + first) * factor), round((start + last) * factor)))
        return _box_of_digit(gray[crop[0], crop[1]], small=True)
    return mass[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _too_large(name: str) -> Problem:
    said = _("{name}: has more than {limit} million pixels; reduce it first")
    return Problem(said.format(name=name, limit=LIMIT // 1_000_000))


def _read_array(file: IO[bytes], path: Path) -> list[Gray]:
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, _order, dtype = header(file)
    except Exception as error:  # NumPy can raise any on invalid data
        raise Problem(_("{path}: not a NumPy array, or corrupt").format(path=path)) from error
    if dtype != np.uint8 and dtype.kind != "f":
        said = _("{path}: an array of {type}; it has to be of uint8, or of floats from 0 to 1")
        raise Problem(said.format(path=path, type=dtype))
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[1:] != (SIDE, SIDE)) or 0 in shape:
        size = " x ".join(map(str, shape)) or _("a single value")
        said = _("{path}: an array of {size}; it has to be height x width, n x {side} x {side} or n x {pixels}")
        raise Problem(said.format(path=path, size=size, side=SIDE, pixels=PIXELS))
    if np.prod([float(size) for size in shape]) > LIMIT:
        raise _too_large(str(path))
    file.seek(0)
    try:
        array = np.load(file, allow_pickle=False)
    except Exception as error:
        raise Problem(_("{path}: the array is corrupt or incomplete").format(path=path)) from error
    if array.dtype == np.uint8:
        array = array / np.float32(255)
    elif not (array.min() >= 0 and array.max() <= 1):  # also if one is NaN
        raise Problem(_("{path}: an array of floats that are not all from 0 to 1").format(path=path))
    several = array.ndim == 3 or array.shape[1] == PIXELS
    return list(array.reshape(-1, SIDE, SIDE).astype(np.float32)) if several else [array.astype(np.float32)]


def _gray(image: Image.Image) -> Gray:
    if image.mode.startswith("I"):  # 16 or 32 bits
        values = np.asarray(image, dtype=np.float32)
        return np.clip(values / max(65535.0, float(values.max())), 0, 1, dtype=np.float32)
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        return values if values.min() >= 0 and values.max() <= 1 else _stretched(values)
    if image.has_transparency_data:
        colors = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), colors).convert("RGB")
    elif image.mode not in ("1", "L"):
        image = image.convert("RGB")
    return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)


def _stretched(values: Num[np.ndarray, "height width"]) -> Gray:
    doubles = values.astype(np.float64)  # the difference of two float32 can be infinite
    minimum, maximum = doubles.min(), doubles.max()
    return ((doubles - minimum) / max(maximum - minimum, 1e-30)).astype(np.float32)


def _has_mnist_format(image: Gray) -> bool:
    if image.shape != (SIDE, SIDE) or not image.any():
        return False
    box = ndimage.find_objects((image > 0).astype(int))[0]
    longest = max(part.stop - part.start for part in box)
    off_center = np.abs(np.array(ndimage.center_of_mass(image)) - CENTER).max()
    return longest in (FIT - 1, FIT) and bool(off_center < 0.51)


def _reduced(gray: Gray) -> Part:
    height, width = gray.shape
    factor = max(height, width) / WORKING_SIDE
    if factor <= 1:
        return gray
    return _resized(gray, max(1, round(height / factor)), max(1, round(width / factor)))


def _smooth(gray: Gray) -> Gray:
    """Remove a photograph's grain, which is finer than a stroke; small images have none."""
    return ndimage.gaussian_filter(gray, max(gray.shape) / SMOOTHING) if max(gray.shape) > 3 * SIDE else gray


def _resized(gray: Gray, height: int, width: int) -> Part:
    return np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BOX, reducing_gap=None))


def _ink(gray: Gray) -> Gray:
    """Subtract the background: a plane through the border's shades, as light may come from one side."""
    rows, columns = np.indices(gray.shape)
    border = np.ones(gray.shape, dtype=bool)
    border[1:-1, 1:-1] = False
    reach = np.ptp(gray) / 4
    if reach * 4 < CONTRAST:
        raise Problem(_("there is no digit in the image: all of it has one shade"))
    border &= np.abs(gray - np.median(gray[border])) <= reach  # without ink that touches it
    places = np.stack([np.ones(gray.shape), rows, columns], axis=-1)
    plane = np.linalg.lstsq(places[border], gray[border], rcond=None)[0]
    difference = gray - places @ plane
    if -difference.min() > difference.max():  # the ink is dark
        difference = -difference
    return np.clip(difference, 0, None, dtype=np.float32)


def _digit_alone(ink: Gray) -> Gray:
    """Remove noise and specks; the darkest ink becomes 1."""
    threshold = _otsu(ink)
    strong, number = ndimage.label(ink > threshold, structure=np.ones((3, 3)))
    if number == 0 or threshold < CONTRAST / 2:
        raise Problem(_("there is no digit in the image: nothing stands out from the background"))
    sizes = np.bincount(strong.ravel(), minlength=number + 1)[1:]
    pieces = [piece + 1 for piece in np.flatnonzero(sizes >= SPECK * sizes.max())]
    inner = [piece for piece in pieces if not _at_border(strong == piece)]
    if inner and sizes[np.array(inner) - 1].sum() >= INNER * sizes.max():
        pieces = inner
    kept = np.isin(strong, pieces)
    # The edges of strokes are fainter than the threshold, and the background's noise is even fainter. 1.4826 times the
    # median absolute deviation estimates its standard deviation.
    background = ink[strong == 0]
    noise = 3 * 1.4826 * float(np.median(np.abs(background - np.median(background)))) if len(background) else 0.0
    faint = float(np.clip(noise, FAINT * float(ink.max()), threshold))
    regions, _number = ndimage.label(ink > faint, structure=np.ones((3, 3)))
    inked = np.unique(regions[kept])
    alone = np.where(np.isin(regions, inked[inked > 0]), ink, 0)
    return np.clip(alone / np.percentile(ink[kept], 90), 0, 1, dtype=np.float32)


def _at_border(piece: Bool[np.ndarray, "height width"]) -> bool:
    return any(bool(side.any()) for side in _sides(piece))


def _sides(mask: Bool[np.ndarray, "height width"]) -> tuple[Bool[np.ndarray, " length"], ...]:
    return mask[0], mask[-1], mask[:, 0], mask[:, -1]


def _inside_of_frame(ink: Bool[np.ndarray, "height width"]) -> tuple[slice, slice] | None:
    """Find the rows and columns inside of a frame, or of a sheet around a digit, if there is one."""
    pieces, number = ndimage.label(ink, structure=np.ones((3, 3)))
    boxes = ndimage.find_objects(pieces)
    if not number:
        return None
    largest = max(range(number), key=lambda index: pieces[boxes[index]].size)
    piece = pieces[boxes[largest]] == largest + 1
    if min(piece.shape) < SIDE // 2 or any(side.mean() < FRAME for side in _sides(piece)):
        return None
    if piece.mean() < 0.5:  # a line, as thick as the leading rows and columns that are mostly ink
        thickness = max(_leading(piece.mean(1)), _leading(piece.mean(0)))
        thickness = max(thickness, _leading(piece.mean(1)[::-1]), _leading(piece.mean(0)[::-1]))
        rest = (pieces[boxes[largest]] > 0) & ~piece
    else:
        thickness = 0
        rest = ~piece
    drawn, _ = ndimage.label(rest, structure=np.ones((3, 3)))
    digits = [part for part in ndimage.find_objects(drawn) if part[0].stop - part[0].start > 0.2 * len(piece)]
    # What is inside of an angular 0 or 8 fills its bounding box; strokes do not fill theirs.
    if not digits or all(rest[part].mean() > 0.9 for part in digits):
        return None
    edge = thickness + max(1, round(0.01 * min(piece.shape)))
    rows, columns = boxes[largest]
    return slice(rows.start + edge, rows.stop - edge), slice(columns.start + edge, columns.stop - edge)


def _leading(shares: Num[np.ndarray, " length"]) -> int:
    return int(np.argmax(np.append(shares, 0) < 0.5))


def _otsu(ink: Gray) -> float:
    """Return the threshold that maximizes the variance between the two classes of pixels (Otsu 1979)."""
    counts, edges = np.histogram(ink, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    means_below = sums / np.maximum(below, 1)
    means_above = (sums[-1] - sums) / np.maximum(above, 1)
    between = below.astype(float) * above * (means_below - means_above) ** 2
    return float(edges[1:][np.argmax(between)])


def _fitted(box: Gray) -> Part:
    """Scale a digit so that its longer side is `FIT`."""
    scale = FIT / max(box.shape)
    height, width = (max(1, round(size * scale)) for size in box.shape)
    resized = _resized(box, height, width)
    return np.clip(resized / resized.max(), 0, 1, dtype=np.float32)


def _centered(digit: Gray) -> Digit:
    """Put the center of mass of a digit at the center of an image."""
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    height, width = digit.shape
    row, column = (round(CENTER - middle) for middle in ndimage.center_of_mass(digit))
    row, column = min(max(row, 0), SIDE - height), min(max(column, 0), SIDE - width)
    image[row : row + height, column : column + width] = digit
    return image
