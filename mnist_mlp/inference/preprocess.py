"""A photograph or drawing of a digit, brought to the form of MNIST's images.

That form is told at http://yann.lecun.com/exdb/mnist: grey ink on an empty ground, the digit scaled with anti-aliasing
to fit 20 × 20 pixels with its aspect ratio kept, and moved so that its centre of mass is that of the 28 × 28 pixels.
"""

import warnings
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import Bool, Float32, Num
from PIL import Image, ImageOps
from scipy import ndimage

from mnist_mlp.errors import Problem

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".avif")
"""Of the images that are looked for in a folder."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF")
"""What Pillow may take a file for, whatever its name: no format that another program would have to decode."""

LIMIT = 64_000_000
"""Pixels of a file. Pillow warns of more than 89 million; all of MNIST in one array has 55."""

SIDE, FIT = 28, 20
CENTRE = 14
"""The row and column, from 0 on, of the centre of mass: within half a pixel in all 70,000 images of MNIST."""

WORKING_SIDE = 640
"""A larger image is reduced to this first, which also takes the noise out of a photograph."""

SMOOTHING = 120
"""A larger image is smoothed by a Gaussian with this part of its side."""

CONTRAST = 0.08
"""The least difference between ink and ground, of that between black and white, that is taken for a digit."""

FAINT = 0.1
"""Of the darkest ink: less is no part of a stroke's edge."""

SPECK = 0.05
"""A piece of ink with less than this part of the largest piece's pixels is dirt."""

INNER = 0.2
"""Ink that touches the border is a shadow or the sheet's edge where this part as much does not."""

FRAME = 0.9
"""The least part of each side of its box that a frame's ink fills."""

Grey = Float32[np.ndarray, "height width"]
"""Black is 0, white 1."""

Part = Float32[np.ndarray, "rows columns"]
"""An image of another size than the one that it was made from."""

Digit = Float32[np.ndarray, "28 28"]


def read(path: Path) -> list[Grey]:
    """Read the images of a file: one of an image's, one or more of a NumPy array's.

    Raises:
        Problem: there is no such file, it is neither, it is damaged, or it has too many pixels.
    """
    try:
        with path.open("rb") as file:
            return _read_array(file, path) if path.suffix.lower() == ".npy" else [read_image(file, str(path))]
    except OSError as error:
        raise Problem(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a NUL in the name
        raise Problem(f"{path}: there can be no such file") from error


def read_image(file: IO[bytes], name: str) -> Grey:
    """Read an image as grey: upright, the first of its frames, on white where it is transparent.

    Args:
        file: what the image is in.
        name: what a problem calls it.

    Raises:
        Problem: it is not an image, is damaged, or has too many pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow tells of a file's metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            opened = Image.open(file, formats=FORMATS)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise _too_large(name) from error
        except Exception as error:  # whatever Pillow's readers make of what is no image
            raise Problem(f"{name}: not an image that can be read ({', '.join(FORMATS)})") from error
        with opened:
            if opened.width * opened.height > LIMIT:
                raise _too_large(name)
            try:
                return _grey(ImageOps.exif_transpose(opened))
            except Exception as error:
                raise Problem(f"{name}: the image is corrupt or incomplete") from error


def normalise(grey: Grey) -> Digit:
    """Bring a digit to MNIST's form; an image that has it, or its negative has it, keeps every pixel.

    Raises:
        Problem: there is no digit.
    """
    for image in (grey, 1 - grey):
        if _has_form(image):
            return image
    return _centred(_fitted(_box_of_digit(grey, small=False)))


def _box_of_digit(grey: Grey, small: bool) -> Part:
    """Cut the ink of the digit out.

    Args:
        grey: an image.
        small: it was cut out of a larger one for the smallness of its digit.
    """
    image = _smooth(_reduced(grey))
    top, left, factor = 0, 0, max(grey.shape) / max(image.shape)
    ink = _ink(image)
    for _ in range(2):  # a sheet with a frame, on a table
        if inside := _inside_of_frame(ink > _otsu(ink)):
            top, left = top + inside[0].start, left + inside[1].start
            ink = _ink(image := image[inside])
    mass = _digit_alone(ink)
    rows, columns = (np.flatnonzero(mass.any(axis)) for axis in (1, 0))
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    if not small and longest < max(grey.shape) / factor / 2:  # its strokes may be as fine as what was smoothed away
        margin = 2 + round(0.3 * longest)
        places = []
        for start, found, size in ((top, rows, image.shape[0]), (left, columns, image.shape[1])):
            first, last = max(0, found[0] - margin), min(size, found[-1] + 1 + margin)
            places.append(slice(int((start + first) * factor), round((start + last) * factor)))
        return _box_of_digit(grey[places[0], places[1]], small=True)
    return mass[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _too_large(name: str) -> Problem:
    return Problem(f"{name}: more than {LIMIT // 1_000_000} million pixels; reduce it first")


def _read_array(file: IO[bytes], path: Path) -> list[Grey]:
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, _, dtype = header(file)
    except Exception as error:  # whatever reading the header makes of other bytes
        raise Problem(f"{path}: not a NumPy array, or corrupt") from error
    if dtype != np.uint8 and dtype.kind != "f":
        raise Problem(f"{path}: an array of {dtype}; it has to be of uint8, or of floats from 0 to 1")
    form = " x ".join(map(str, shape))
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[1:] != (SIDE, SIDE)) or 0 in shape:
        raise Problem(
            f"{path}: an array of {form or 'a single value'}; it has to be height x width, n x 28 x 28 or n x 784"
        )
    if np.prod([float(size) for size in shape]) > LIMIT:
        raise _too_large(str(path))
    file.seek(0)
    try:
        array = np.load(file, allow_pickle=False)
    except Exception as error:
        raise Problem(f"{path}: the array is corrupt or incomplete") from error
    if array.dtype == np.uint8:
        array = array / np.float32(255)
    elif not (array.min() >= 0 and array.max() <= 1):  # false of NaN
        raise Problem(f"{path}: an array of floats that are not all from 0 to 1")
    several = array.ndim == 3 or array.shape[1] == SIDE * SIDE
    return list(array.reshape(-1, SIDE, SIDE).astype(np.float32)) if several else [array.astype(np.float32)]


def _grey(image: Image.Image) -> Grey:
    if image.mode.startswith("I"):  # 16 bits, and what older TIFF files have
        values = np.asarray(image, dtype=np.float32)
        return np.clip(values / max(65535.0, float(values.max())), 0, 1, dtype=np.float32)
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        return values if values.min() >= 0 and values.max() <= 1 else _stretched(values)
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours).convert("RGB")
    elif image.mode not in ("1", "L"):
        image = image.convert("RGB")
    return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)


def _stretched(values: Num[np.ndarray, "height width"]) -> Grey:
    wide = values.astype(np.float64)  # the difference of two float32 can be infinite
    least, most = wide.min(), wide.max()
    return ((wide - least) / max(most - least, 1e-30)).astype(np.float32)


def _has_form(image: Grey) -> bool:
    if image.shape != (SIDE, SIDE) or not image.any():
        return False
    box = ndimage.find_objects((image > 0).astype(int))[0]
    longest = max(part.stop - part.start for part in box)
    off_centre = np.abs(np.array(ndimage.center_of_mass(image)) - CENTRE).max()
    return longest in (FIT - 1, FIT) and bool(off_centre < 0.51)


def _reduced(grey: Grey) -> Part:
    height, width = grey.shape
    factor = max(height, width) / WORKING_SIDE
    if factor <= 1:
        return grey
    return _resized(grey, max(1, round(height / factor)), max(1, round(width / factor)))


def _smooth(grey: Grey) -> Grey:
    """Take out a photograph's grain, finer than a stroke; a small image has nothing finer."""
    return ndimage.gaussian_filter(grey, max(grey.shape) / SMOOTHING) if max(grey.shape) > 3 * SIDE else grey


def _resized(grey: Grey, height: int, width: int) -> Part:
    return np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BOX, reducing_gap=None))


def _ink(grey: Grey) -> Grey:
    """What differs from the ground, as the border shows it: a plane, for light from one side."""
    rows, columns = np.indices(grey.shape)
    border = np.ones(grey.shape, dtype=bool)
    border[1:-1, 1:-1] = False
    reach = np.ptp(grey) / 4
    if reach * 4 < CONTRAST:
        raise Problem("no digit in it: all of it is of one shade")
    border &= np.abs(grey - np.median(grey[border])) <= reach  # without ink that touches it
    places = np.stack([np.ones(grey.shape), rows, columns], axis=-1)
    plane, *_ = np.linalg.lstsq(places[border], grey[border], rcond=None)
    difference = grey - places @ plane
    if -difference.min() > difference.max():  # dark ink
        difference = -difference
    return np.clip(difference, 0, None, dtype=np.float32)


def _digit_alone(ink: Grey) -> Grey:
    """Take away noise and specks; the darkest ink becomes 1."""
    threshold = _otsu(ink)
    strong, number = ndimage.label(ink > threshold, structure=np.ones((3, 3)))
    if number == 0 or threshold < CONTRAST / 2:
        raise Problem("no digit in it: nothing stands out from the ground")
    sizes = np.bincount(strong.ravel(), minlength=number + 1)[1:]
    pieces = [piece + 1 for piece in np.flatnonzero(sizes >= SPECK * sizes.max())]
    inner = [piece for piece in pieces if not _at_border(strong == piece)]
    if inner and sizes[np.array(inner) - 1].sum() >= INNER * sizes.max():
        pieces = inner
    kept = np.isin(strong, pieces)
    # Edges of the strokes are fainter than the threshold; the ground's noise is fainter still.
    ground = ink[strong == 0]
    noise = 3 * 1.4826 * float(np.median(np.abs(ground - np.median(ground)))) if len(ground) else 0.0
    faint = float(np.clip(noise, FAINT * float(ink.max()), threshold))
    regions, _ = ndimage.label(ink > faint, structure=np.ones((3, 3)))
    found = np.unique(regions[kept])
    alone = np.where(np.isin(regions, found[found > 0]), ink, 0)
    return np.clip(alone / np.percentile(ink[kept], 90), 0, 1, dtype=np.float32)


def _at_border(piece: Bool[np.ndarray, "height width"]) -> bool:
    return any(bool(side.any()) for side in _sides(piece))


def _sides(mask: Bool[np.ndarray, "height width"]) -> tuple[Bool[np.ndarray, " length"], ...]:
    return mask[0], mask[-1], mask[:, 0], mask[:, -1]


def _inside_of_frame(ink: Bool[np.ndarray, "height width"]) -> tuple[slice, slice] | None:
    """Find what a frame, or a sheet with the digit left free in it, encloses."""
    pieces, number = ndimage.label(ink, structure=np.ones((3, 3)))
    boxes = ndimage.find_objects(pieces)
    if not number:
        return None
    largest = max(range(number), key=lambda index: pieces[boxes[index]].size)
    piece = pieces[boxes[largest]] == largest + 1
    if min(piece.shape) < SIDE // 2 or any(side.mean() < FRAME for side in _sides(piece)):
        return None
    if piece.mean() < 0.5:  # a line: as thick as its rows and columns are mostly ink
        thickness = max(_leading(piece.mean(1)), _leading(piece.mean(0)))
        thickness = max(thickness, _leading(piece.mean(1)[::-1]), _leading(piece.mean(0)[::-1]))
        rest = (pieces[boxes[largest]] > 0) & ~piece
    else:
        thickness = 0
        rest = ~piece
    drawn, _ = ndimage.label(rest, structure=np.ones((3, 3)))
    digits = [part for part in ndimage.find_objects(drawn) if part[0].stop - part[0].start > 0.2 * len(piece)]
    # The holes of an angular 0 or 8 are full; strokes leave some of their box free.
    if not digits or all(rest[part].mean() > 0.9 for part in digits):
        return None
    edge = thickness + max(1, round(0.01 * min(piece.shape)))
    rows, columns = boxes[largest]
    return slice(rows.start + edge, rows.stop - edge), slice(columns.start + edge, columns.stop - edge)


def _leading(shares: Num[np.ndarray, " length"]) -> int:
    return int(np.argmax(np.append(shares, 0) < 0.5))


def _otsu(ink: Grey) -> float:
    """The threshold between two classes with the greatest variance between them (Otsu 1979)."""
    counts, edges = np.histogram(ink, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    means_below = sums / np.maximum(below, 1)
    means_above = (sums[-1] - sums) / np.maximum(above, 1)
    between = below.astype(float) * above * (means_below - means_above) ** 2
    return float(edges[1:][np.argmax(between)])


def _fitted(box: Grey) -> Part:
    """Scale the box of a digit so that its longer side is 20."""
    scale = FIT / max(box.shape)
    height, width = (max(1, round(size * scale)) for size in box.shape)
    resized = _resized(box, height, width)
    return np.clip(resized / resized.max(), 0, 1, dtype=np.float32)


def _centred(digit: Grey) -> Digit:
    """Put the centre of mass of a digit of up to 20 × 20 in the centre of 28 × 28."""
    image = np.zeros((SIDE, SIDE), dtype=np.float32)
    height, width = digit.shape
    row, column = (round(CENTRE - middle) for middle in ndimage.center_of_mass(digit))
    row, column = min(max(row, 0), SIDE - height), min(max(column, 0), SIDE - width)
    image[row : row + height, column : column + width] = digit
    return image
