"""Reads a picture in shades of gray, or an array of pictures."""

import warnings
from io import BufferedReader, BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Num
from PIL import Image, ImageOps

from mnist_mlp.errors import Problem, installing, reason_of
from mnist_mlp.image_folder import FORMATS
from mnist_mlp.images import PIXELS, SIDE
from mnist_mlp.language import _

LIMIT = 64_000_000
"""The maximum number of pixels in a file. Pillow warns above 89 million; all of MNIST in one array has 55 million."""

HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""The brands of HEIC files (ISO/IEC 23008-12), in the second four bytes after their length."""

File = BufferedReader | BytesIO

Gray = Float32[np.ndarray, "height width"]
"""Black is 0, white is 1."""


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


def read_image(file: File, name: str) -> Gray:
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
            opened = Image.open(file, formats=_formats(file, name))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise _too_large(name) from error
        except Problem:
            raise
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


def _formats(file: File, name: str) -> tuple[str, ...]:
    """Return the formats that Pillow may read: that of an iPhone's pictures only if a file has it."""
    start = file.read(12)
    file.seek(0)
    if start[4:8] != b"ftyp" or start[8:] not in HEIC:
        return FORMATS
    try:
        from pillow_heif import register_heif_opener
    except ModuleNotFoundError as error:
        said = _("{name}: a HEIC picture; save it as JPEG, or: {command}")
        raise Problem(said.format(name=name, command=installing("heic"))) from error
    register_heif_opener()
    return ("HEIF",)


def _too_large(name: str) -> Problem:
    said = _("{name}: has more than {limit} million pixels; reduce it first")
    return Problem(said.format(name=name, limit=LIMIT // 1_000_000))


def _read_array(file: File, path: Path) -> list[Gray]:
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
    if image.mode.startswith("I"):  # up to 16 or 32 bits, of which a camera or scanner may use 10, 12 or 14
        values = np.asarray(image, dtype=np.float64)
        white = 2 ** max(8, int(values.max()).bit_length()) - 1
        return np.clip(values / white, 0, 1).astype(np.float32)
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        return values if values.min() >= 0 and values.max() <= 1 else _stretched(values)
    if image.has_transparency_data:
        image = _on_paper(image.convert("RGBA"))
    elif image.mode not in ("1", "L"):
        image = image.convert("RGB")
    return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)


def _on_paper(image: Image.Image) -> Image.Image:
    """Put a transparent image on white; on black if it consists of light strokes."""
    colors = np.asarray(image, dtype=np.float32) / np.float32(255)
    opaque = colors[..., 3]
    shades = np.asarray(image.convert("RGB").convert("L"), dtype=np.float32) / np.float32(255)
    strokes = 0 < opaque.mean() < 0.5  # otherwise the opaque part is paper
    light = strokes and np.average(shades, weights=opaque) > 0.5
    return Image.alpha_composite(Image.new("RGBA", image.size, "black" if light else "white"), image).convert("RGB")


def _stretched(values: Num[np.ndarray, "height width"]) -> Gray:
    doubles = values.astype(np.float64)  # the difference of two float32 can be infinite
    minimum, maximum = doubles.min(), doubles.max()
    return ((doubles - minimum) / max(maximum - minimum, 1e-30)).astype(np.float32)
