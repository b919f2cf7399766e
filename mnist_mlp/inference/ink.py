"""Finds the ink of a digit in a picture, whatever the light, and whether dark on light or light on dark."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32, Int, Num, Shaped
from PIL import Image
from scipy import ndimage

from mnist_mlp.errors import Problem
from mnist_mlp.images import SIDE
from mnist_mlp.inference.reader import Gray
from mnist_mlp.language import _

WORKING_SIDE = 640
"""Larger images are reduced to this size first, which also removes the noise of a photograph."""

COARSE_SIDE = 64
"""The size of the image in which it is decided whether the ink is dark."""

WIDEST = 0.3
"""Wider dark parts than this fraction of an image's longer side are not strokes but paper."""

AROUND = 0.45
"""How far the surroundings of a pixel reach, as a fraction of an image's longer side: twice as far as most strokes."""

MARGIN = 0.3
"""The width of the paper that is added around an image for that decision, as a fraction of its longer side.

A picture that was cut to its digit has too little: in it, the holes of an 8 stand out rather than its strokes."""

CONTRAST = 0.08
"""The minimum contrast of a digit with its paper; that of black with white is 1."""

CLEAR = 4
"""Standard deviations of the paper by which ink stands out; the darker half of mere noise does by fewer than three."""

CALM = 0.05
"""The maximum noise, as a fraction of an image's range of shades, that needs no smoothing."""

FAINT = 0.1
"""Pixels with less than this fraction of the darkest ink do not belong to the edge of a stroke."""

SHORT = 0.15
"""A piece of ink that is shorter than this fraction of the longest one is dirt, or a tool of a drawing program."""

INNER = 0.05
"""Ink that touches the border is no digit if there are pieces elsewhere, this fraction of its size or larger."""

EDGE = 0.02
"""How far the faint edges of strokes reach, as a fraction of the digit's size."""

FRAME = 0.9
"""The minimum fraction of each side of its bounding box that a frame covers."""

CUT = 0.85
"""The minimum fraction of the height and the width of a picture that a digit has if the picture was cut to it."""

AS_TALL = 0.5
"""Pieces with this fraction of the tallest one's height may be a digit of their own."""

APART = 0.1
"""Digits have a gap between them of at least this fraction of their longest side; pieces of one have smaller gaps."""

ENCLOSED = 2
"""A digit encloses at most two areas, as an 8 does; 15 of 30,000 of MNIST's enclose more."""

THRESHOLD = 0.3
"""Darker shades of the ink enclose an area."""

AREA = 0.01
"""A smaller fraction of the digit's bounding box is no area but a gap within a stroke."""

TOUCHING = np.ones((3, 3))
"""Pixels that touch at a corner are of one piece."""

Part = Float32[np.ndarray, "rows columns"]
"""An image made from another one, of a different size."""

Mask = Bool[np.ndarray, "height width"]


@dataclass(frozen=True)
class Ink:
    """The ink of a digit.

    Attributes:
        shades: of its bounding box, from 0, which is paper, to 1.
        dark: whether it is darker than the paper.
        box: the first row and column of the bounding box, and those after the last, in the picture's pixels.
        cut: whether the picture was cut to the digit.
    """

    shades: Gray
    dark: bool
    box: tuple[int, int, int, int]
    cut: bool


def find(gray: Gray) -> Ink:
    """Find the ink of a digit.

    Raises:
        Problem: there is none, or there are several digits.
    """
    ink = _find(gray, small=False)
    if (number := _enclosed(ink.shades)) > ENCLOSED:
        said = _("there is no digit in the image: the ink encloses {number} areas, that of a digit at most two")
        raise Problem(said.format(number=number))
    return ink


def _enclosed(shades: Gray) -> int:
    """Count the areas of paper that ink surrounds."""
    paper, _number = ndimage.label(np.pad(shades <= THRESHOLD, 1, constant_values=True))
    sizes = np.bincount(paper.ravel())[1:]
    sizes[paper[0, 0] - 1] = 0  # the paper around
    return int((sizes >= AREA * shades.size).sum())


def _find(gray: Gray, small: bool) -> Ink:
    # small: it was already cropped from a larger image, in which the digit was small
    image = _smooth(_within(gray, WORKING_SIDE))
    if np.ptp(image) < CONTRAST:
        raise Problem(_("there is no digit in the image: all of it has one shade"))
    top, left, factor = 0, 0, max(gray.shape) / max(image.shape)
    for _time in range(2):  # a sheet with a frame, on a table
        if inside := _inside_of_frame(_unlike_border(image)):
            top, left, image = top + inside[0].start, left + inside[1].start, image[inside]
    dark = _is_dark(image)
    cut = not small and _is_cut(image, dark)
    shades = _digit_alone(_contrast(image, dark, cut), cut)
    rows, columns = (np.flatnonzero(shades.any(axis)) for axis in (1, 0))
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    if not small and longest < max(gray.shape) / factor / 2:  # it deserves the picture's own pixels
        margin = 2 + round(0.3 * longest)
        ends = []
        for start, inked, size in ((top, rows, image.shape[0]), (left, columns, image.shape[1])):
            first, last = max(0, inked[0] - margin), min(size, inked[-1] + 1 + margin)
            ends += [int((start + first) * factor), math.ceil((start + last) * factor)]
        above, below, before, after = ends
        closer = _find(gray[above:below, before:after], small=True)
        moved = (closer.box[0] + above, closer.box[1] + before, closer.box[2] + above, closer.box[3] + before)
        return Ink(closer.shades, closer.dark, moved, closer.cut)
    ends = [top + rows[0], left + columns[0], top + rows[-1] + 1, left + columns[-1] + 1]
    first, before, last, after = (round(float(each * factor)) for each in ends)
    cropped = shades[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Ink(cropped, dark, (first, before, last, after), cut)


def resized(gray: Gray, height: int, width: int) -> Part:
    """Scale an image by averaging."""
    return np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BOX, reducing_gap=None))


def _within(gray: Gray, side: int) -> Part:
    height, width = gray.shape
    factor = max(height, width) / side
    return gray if factor <= 1 else resized(gray, max(1, round(height / factor)), max(1, round(width / factor)))


def _smooth(gray: Gray) -> Gray:
    """Remove a photograph's grain, as far as it disturbs; small images have none."""
    if max(gray.shape) <= 3 * SIDE:
        return gray
    steps = np.diff(gray, axis=1)
    noise = 1.4826 * float(np.median(np.abs(steps))) / math.sqrt(2)
    allowed = CALM * float(np.ptp(ndimage.uniform_filter(gray, 5))) / 3
    # a Gaussian filter divides the noise by the square root of 4 pi times its width
    width = noise / (max(allowed, 1e-6) * math.sqrt(4 * math.pi))
    return ndimage.gaussian_filter(gray, min(width, max(gray.shape) / 60)) if width > 0.3 else gray


def _closed(image: Gray) -> Gray:
    """Fill the dark strokes of an image with the paper around them; edges of shadows, which are long, remain."""
    size = round(WIDEST * max(image.shape)) | 1
    padded = np.pad(image, size, mode="edge")
    return np.asarray(ndimage.grey_closing(padded, size=size)[size:-size, size:-size])


def _is_dark(image: Gray) -> bool:
    """Decide whether the ink is dark: whether what is darker than its surroundings reaches farther than the lighter.

    Strokes are dark or light against the median around them; the holes of a thick 8 may be, too, but reach less far.
    """
    coarse = _within(image, COARSE_SIDE)
    top, bottom, left, right = map(_ends, _sides(coarse))
    coarse = np.pad(coarse, round(MARGIN * max(coarse.shape)), constant_values=((top, bottom), (left, right)))
    around = ndimage.median_filter(coarse, round(AROUND * max(coarse.shape)) | 1, mode="nearest")
    threshold = 0.9 * float(np.abs(coarse - around).max())
    return _reach(around - coarse > threshold) >= _reach(coarse - around > threshold)


def _ends(side: Num[np.ndarray, " length"]) -> float:
    """Return the shade of both ends of an image's side, where digits that touch the side rarely are."""
    length = max(1, len(side) // 8)
    return float(np.median(np.concatenate([side[:length], side[-length:]])))


def _reach(strong: Mask) -> int:
    """Return the area of the bounding boxes of all pieces, those at the border not if they surround the image."""
    pieces, _number = ndimage.label(strong, structure=TOUCHING)
    boxes = list(_inner(pieces).values()) if _surrounds(strong) else ndimage.find_objects(pieces)
    return sum(_length(rows) * _length(columns) for rows, columns in boxes)


def _surrounds(ink: Mask) -> bool:
    return bool(np.concatenate(_sides(ink)).mean() > 0.5)


def _inner(pieces: Int[np.ndarray, "height width"]) -> dict[int, tuple[slice, slice]]:
    """Find the pieces within an image, by label: not those at its border, such as a table's edge, a bar or a shadow.

    A digit that fills the image touches all four sides, but little of them.
    """
    height, width = pieces.shape
    around = _surrounds(pieces > 0)
    inner = {}
    for label, (rows, columns) in enumerate(ndimage.find_objects(pieces), start=1):
        touches = rows.start == 0, rows.stop == height, columns.start == 0, columns.stop == width
        if not any(touches) or (all(touches) and not around):
            inner[label] = (rows, columns)
    return inner


def _length(part: slice) -> int:
    """Return the number of rows or columns."""
    return int(part.stop - part.start)


def _is_cut(image: Gray, dark: bool) -> bool:
    """Decide whether a picture was cut to its digit: ink reaches all sides, and fills none, as a shadow does."""
    image = image if dark else 1 - image
    ink = image < otsu(image)
    sides = [float(side.mean()) for side in _sides(ink)]
    if not ink.any() or max(sides) >= FRAME or sum(sides) > 2:
        return False
    ((rows, columns),) = ndimage.find_objects(ink.astype(int))
    return min(_length(rows) / len(image), _length(columns) / image.shape[1]) >= CUT


def _contrast(image: Gray, dark: bool, cut: bool) -> Gray:
    """Return how much each pixel stands out from the paper around it.

    Dark ink absorbs a fraction of the light, which is the same in a shadow; light ink is brighter by a difference. The
    strokes of a digit to which a picture was cut may be wider than those of others, and all of its paper has one shade.
    """
    image = image if dark else 1 - image
    paper = np.full_like(image, np.median(image[image >= otsu(image)])) if cut else _closed(image)
    ink = 1 - image / np.maximum(paper, 1e-3) if dark else paper - image
    return np.clip(ink, 0, 1, dtype=np.float32)


def _digit_alone(ink: Gray, cut: bool) -> Gray:
    """Remove noise and specks; the darkest ink becomes 1."""
    threshold = max(otsu(ink), float(ink.max()) / 4)
    strong, number = ndimage.label(ink > threshold, structure=TOUCHING)
    if number == 0 or threshold < CONTRAST / 2 or _clearness(ink, strong > 0) < CLEAR:
        raise Problem(_("there is no digit in the image: nothing stands out from the background"))
    boxes = dict(enumerate(ndimage.find_objects(strong), start=1))
    inner = _inner(strong)
    if not cut and inner and _longest(inner.values()) >= INNER * _longest(boxes.values()):
        boxes = inner
    longest = _longest(boxes.values())
    boxes = {label: box for label, box in boxes.items() if _longest([box]) >= SHORT * longest}
    if _several(boxes.values()):
        raise Problem(_("there are several digits in the image; crop it to one of them"))
    kept = np.isin(strong, list(boxes))
    # The edges of strokes are fainter than the threshold, and the background's noise is even fainter. 1.4826 times the
    # median absolute deviation estimates its standard deviation.
    background = ink[strong == 0] if (strong == 0).any() else np.zeros(1)
    middle = float(np.median(background))
    noise = middle + 3 * 1.4826 * float(np.median(np.abs(background - middle)))
    faint = float(np.clip(noise, FAINT * float(ink.max()), threshold))
    near = ndimage.binary_dilation(kept, TOUCHING, iterations=1 + round(EDGE * longest))
    alone = np.where(near & (ink > faint), ink, 0)
    return np.clip(alone / np.percentile(ink[kept], 90), 0, 1, dtype=np.float32)


def _clearness(ink: Gray, strong: Mask) -> float:
    """Return by how many standard deviations of the paper its mean is below that of the ink."""
    paper = ink[~strong]
    if not len(paper):
        return 0.0
    return float((ink[strong].mean() - paper.mean()) / max(paper.std(), 1e-6))


def _longest(boxes: Iterable[tuple[slice, slice]]) -> int:
    return max(max(_length(rows), _length(columns)) for rows, columns in boxes)


def _several(boxes: Iterable[tuple[slice, slice]]) -> bool:
    """Whether pieces are digits beside or above each other: of similar height, with a gap between them."""
    boxes = list(boxes)
    for axis in (0, 1):
        groups = _groups(boxes, axis)
        tallest = max(_length(rows) for rows, columns in groups)
        tall = [group[axis] for group in groups if _length(group[0]) >= AS_TALL * tallest]
        if any(after.start - before.stop >= APART * _longest(groups) for before, after in pairwise(tall)):
            return True
    return False


def _groups(boxes: list[tuple[slice, slice]], axis: int) -> list[tuple[slice, slice]]:
    """Unite the pieces without a gap between their rows, or between their columns."""
    groups: list[tuple[slice, slice]] = []
    for box in sorted(boxes, key=lambda each: each[axis].start):
        if groups and box[axis].start <= groups[-1][axis].stop:
            (rows, columns), (above, before) = box, groups.pop()
            box = _united(above, rows), _united(before, columns)
        groups.append(box)
    return groups


def _united(part: slice, other: slice) -> slice:
    return slice(min(part.start, other.start), max(part.stop, other.stop))


def _sides(image: Shaped[np.ndarray, "height width"]) -> tuple[Shaped[np.ndarray, " length"], ...]:
    return image[0], image[-1], image[:, 0], image[:, -1]


def _unlike_border(image: Gray) -> Mask:
    """Find what has another shade than the border of an image."""
    difference = np.abs(image - np.median(np.concatenate(_sides(image))))
    return difference > otsu(difference)


def _inside_of_frame(ink: Mask) -> tuple[slice, slice] | None:
    """Find the rows and columns inside of a frame, or of a sheet around a digit, if there is one."""
    pieces, number = ndimage.label(ink, structure=TOUCHING)
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
    drawn, _number = ndimage.label(rest, structure=TOUCHING)
    digits = [part for part in ndimage.find_objects(drawn) if _length(part[0]) > 0.2 * len(piece)]
    # What is inside of an angular 0 or 8 fills its bounding box; strokes do not fill theirs.
    if not digits or all(rest[part].mean() > 0.9 for part in digits):
        return None
    edge = thickness + max(1, round(0.01 * min(piece.shape)))
    rows, columns = boxes[largest]
    return slice(rows.start + edge, rows.stop - edge), slice(columns.start + edge, columns.stop - edge)


def _leading(shares: Num[np.ndarray, " length"]) -> int:
    return int(np.argmax(np.append(shares, 0) < 0.5))


def otsu(ink: Gray) -> float:
    """Return the threshold that maximizes the variance between the two classes of pixels (Otsu 1979).

    In the middle of those that do, as all do between the two values of a drawing.
    """
    counts, edges = np.histogram(ink, bins=256)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    means_below = sums / np.maximum(below, 1)
    means_above = (sums[-1] - sums) / np.maximum(above, 1)
    between = below.astype(float) * above * (means_below - means_above) ** 2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(edges[1:][best].mean())
