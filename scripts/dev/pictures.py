"""How well digits are recognized in pictures as people take them: some 30 kinds, each of the same digits.

    python scripts/dev/pictures.py baseline
    python scripts/dev/pictures.py baseline --out docs/results
    python scripts/dev/pictures.py baseline --digits 300 --kinds shadow_80,squared --failures failures/

Six of ten digits are MNIST's test images, the others are of fonts that imitate handwriting (Debian's packages
fonts-humor-sans, fonts-breip, fonts-comic-neue and fonts-klee). A kind's right answers are compared with those of the
unaltered images; an answer with more than 90% is sure. `--failures` saves each picture that is wrong or refused.
"""

import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

try:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure
    from PIL import Image, ImageDraw, ImageFont
    from scipy import ndimage

    from mnist_mlp import mnist
    from mnist_mlp.calibration import calibration_error, reliability
    from mnist_mlp.cli.arguments import Parser, clean_exit, some_of, whole_number
    from mnist_mlp.errors import Problem
    from mnist_mlp.inference import preprocess, reader
    from mnist_mlp.inference.load import Trained, load
    from mnist_mlp.report.figures import png as figure_of
except ModuleNotFoundError as error:
    print(f"{error.name} is not installed: pip install -e .[dev]", file=sys.stderr)
    sys.exit(2)

Array = np.ndarray[Any, Any]
Random = np.random.Generator

FONTS = ("Humor-Sans.ttf", "Breip.ttf", "ComicNeue-Bold.otf", "KleeOne-SemiBold.ttf")
SURE = 0.9
PAGE = (480, 640)
"""Rows and columns of most pictures."""


def placed(ink: Array, shape: tuple[int, int], height: int, at: tuple[float, float]) -> Array:
    """Draw a digit on an empty page.

    Args:
        ink: of the digit, cropped to its bounding box, from 0 to 1.
        shape: of the page.
        height: of the digit, in pixels.
        at: where its center is, as fractions of the page.
    """
    height = min(height, int((shape[1] - 8) * ink.shape[0] / ink.shape[1]))
    width = max(3, round(height * ink.shape[1] / ink.shape[0]))
    drawn = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    drawn = 1 / (1 + np.exp(-12 * (drawn - 0.45)))  # strokes with an edge, as a pen makes them
    page = np.zeros(shape, np.float32)
    top = int(np.clip(at[0] * shape[0] - height / 2, 4, shape[0] - height - 4))
    left = int(np.clip(at[1] * shape[1] - width / 2, 4, shape[1] - width - 4))
    page[top : top + height, left : left + width] = drawn
    return page


def centered(ink: Array, random: Random, height: int = 260) -> Array:
    """Draw a digit near the middle of a page."""
    return placed(ink, PAGE, height, (random.uniform(0.42, 0.58), random.uniform(0.42, 0.58)))


def photograph(ink: Array, random: Random, paper: float = 0.85, pen: float = 0.15, light: Any = 1.0) -> Array:
    """Return the shades of ink on paper in some light, with the grain of a camera."""
    shades = (paper + (pen - paper) * ink) * light
    return shades + random.normal(0, 0.01, ink.shape)


def edge(random: Random, shade: float, soft: float) -> Array:
    """Return light with a straight shadow, whose edge crosses the middle of the page."""
    rows, columns = np.indices(PAGE)
    angle = random.uniform(0, 2 * np.pi)
    distance = (rows - PAGE[0] / 2) * np.sin(angle) + (columns - PAGE[1] / 2) * np.cos(angle)
    distance += random.uniform(-50, 50)
    return 1 - (1 - shade) / (1 + np.exp(-distance / (soft / 6)))


def png(shades: Array, mode: str = "L") -> bytes:
    """Encode shades from 0 to 1, or the colors of an image of another mode."""
    return encoded(Image.fromarray((np.clip(shades, 0, 1) * 255).round().astype(np.uint8), mode))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Encode an image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def colored(shades: Array, low: tuple[int, int, int], high: tuple[int, int, int]) -> bytes:
    """Encode shades as colors between two."""
    mixed = np.clip(shades, 0, 1)[..., None] * (np.array(high) - low) + low
    return encoded(Image.fromarray(mixed.round().astype(np.uint8)), "JPEG", quality=85)


def lines(random: Random, both: bool, step: int) -> Array:
    """Draw the lines of writing paper, or of squared paper."""
    page, shift = np.zeros(PAGE, np.float32), int(random.integers(step))
    for width in (0, 1):
        page[shift + width :: step] = 1
        if both:
            page[:, shift + width :: step] = 1
    return page


def turned(shades: Array, random: Random, outside: float) -> Array:
    """See a sheet from the side and turned by up to 12 degrees."""
    image = Image.fromarray(shades.astype(np.float32))
    image = image.rotate(random.uniform(-12, 12), Image.Resampling.BICUBIC, fillcolor=outside)
    a, b = random.uniform(-0.00035, 0.00035, 2)
    height, width = shades.shape
    back = (1 + a * width / 2 + b * height / 2,)
    coefficients = (*back, 0, -a * width * width / 4, 0, *back, -b * height * height / 4, a, b)
    return np.asarray(image.transform(image.size, Image.Transform.PERSPECTIVE, coefficients, 2, fillcolor=outside))


def sheet(ink: Array, random: Random) -> Array:
    """Photograph a sheet of paper on a dark table."""
    page = np.full((600, 800), 0.25, np.float32)
    page[60:540, 80:720] = 0.85 - 0.7 * centered(ink, random)
    return np.clip(turned(page, random, 0.25) + random.normal(0, 0.01, page.shape), 0, 1)


def two_valued(ink: Array, random: Random) -> bytes:
    """Draw with 0 and 255 only, on 16 to 80 pixels."""
    side = int(random.integers(16, 81))
    height = max(8, round(side * random.uniform(0.6, 0.85)))
    width = max(3, round(height * ink.shape[1] / ink.shape[0]))
    if width > side - 4:
        height, width = max(6, height * (side - 4) // width), side - 4
    drawn = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))
    page = np.zeros((side, side), bool)
    top, left = (side - height) // 2, (side - width) // 2
    page[top : top + height, left : left + width] = drawn > 0.4
    return encoded(Image.fromarray(~page).convert("1")) if random.random() < 0.5 else png(1.0 - page)


def twelve_bits(ink: Array, random: Random) -> bytes:
    """Scan with 12 bits, which a 16-bit file keeps."""
    shades = np.clip(photograph(centered(ink, random), random), 0, 1)
    return encoded(Image.fromarray((shades * 4095).round().astype(np.uint16)))


def transparent(ink: Array, random: Random, color: int) -> bytes:
    """Draw strokes of a shade of gray on nothing."""
    alpha = (centered(ink, random) * 255).round().astype(np.uint8)
    return encoded(Image.fromarray(np.dstack([np.full_like(alpha, color)] * 3 + [alpha]), "RGBA"))


def stretched(ink: Array, random: Random) -> bytes:
    """Scan a digit that was stretched to fill a square, its proportions lost."""
    alone = ink[1:-1, 1:-1].astype(np.float32)  # without the margin of `cropped`
    image = Image.fromarray(alone).resize((200, 200), Image.Resampling.BICUBIC)
    return png(1 - np.asarray(image))


def pencil(ink: Array, random: Random) -> bytes:
    """Draw with a pencil, which leaves grains of paper free."""
    drawn = centered(ink, random)
    grain = ndimage.gaussian_filter(random.normal(0, 1, PAGE), 1.2)
    return png(photograph(drawn * np.clip(0.75 + 0.5 * grain / grain.std() * 0.5, 0, 1), random, 0.9, 0.5))


def chalk(ink: Array, random: Random) -> bytes:
    """Draw on a blackboard that was wiped."""
    drawn = centered(ink, random)
    grain = ndimage.gaussian_filter(random.normal(0, 1, PAGE), 1.2)
    dust = ndimage.gaussian_filter(random.normal(0, 1, PAGE), 40)
    shades = 0.12 + 0.05 * dust / np.abs(dust).max() + 0.75 * drawn * np.clip(0.8 + 0.3 * grain / grain.std(), 0, 1)
    return colored(shades, (20, 50, 35), (255, 255, 245))


def vignette(ink: Array, random: Random) -> bytes:
    """Photograph with a lens that darkens the corners."""
    rows, columns = np.indices(PAGE)
    center = random.uniform(0.35, 0.65, 2) * PAGE
    distance = np.hypot(rows - center[0], columns - center[1]) / np.hypot(*PAGE)
    return png(photograph(centered(ink, random), random, light=1 - 0.9 * distance**1.5))


def several(ink: Array, random: Random, others: list[Array]) -> bytes:
    """Write two digits beside each other."""
    other = others[int(random.integers(len(others)))]
    left = placed(ink, PAGE, 220, (0.5, 0.32))
    right = placed(other, PAGE, 220, (random.uniform(0.47, 0.53), 0.68))
    return png(photograph(np.maximum(left, right), random))


def screenshot(ink: Array, random: Random) -> bytes:
    """Photograph the window of a drawing program, with its bar of tools."""
    image = Image.fromarray(((1 - 0.95 * centered(ink, random)) * 255).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, PAGE[1], 44), fill=(225, 228, 232))
    for place, word in enumerate(("File", "Edit", "View", "Image", "Help")):
        draw.text((12 + 60 * place, 4), word, fill=(30, 30, 30), font=ImageFont.load_default(15))
    for place in range(9):
        color = tuple(int(each) for each in random.integers(0, 256, 3))
        draw.rectangle((12 + 34 * place, 24, 34 + 34 * place, 40), fill=color, outline=(0, 0, 0))
    return encoded(image)


def shadow_alone(ink: Array, random: Random, others: list[Array]) -> bytes:
    """Photograph an empty sheet across which a shadow falls."""
    return png(
        photograph(np.zeros(PAGE), random, light=edge(random, random.uniform(0.45, 0.8), random.uniform(20, 60)))
    )


def letter(ink: Array, random: Random, others: list[Array]) -> bytes:
    """Write a word."""
    image = Image.new("L", (PAGE[1], PAGE[0]), 235)
    word = ("wxyz", "mnk", "hfr", "atq", "bdg")[int(random.integers(5))]
    ImageDraw.Draw(image).text((120, 160), word, fill=30, font=ImageFont.load_default(150))
    return png(np.asarray(image) / 255 + random.normal(0, 0.01, PAGE))


def scribble(ink: Array, random: Random, others: list[Array]) -> bytes:
    """Scribble lines across the page."""
    image = Image.new("L", (PAGE[1], PAGE[0]), 225)
    points = [tuple(map(float, each)) for each in random.uniform(0.2, 0.8, (9, 2)) * (PAGE[1], PAGE[0])]
    ImageDraw.Draw(image).line(points, fill=40, width=14, joint="curve")
    return png(np.asarray(image) / 255 + random.normal(0, 0.01, PAGE))


@dataclass(frozen=True)
class Kind:
    """A way to make a picture of a digit.

    Attributes:
        title: what it shows.
        draw: from the ink of a digit, cropped to its bounding box.
        readable: whether a person reads it without effort; of the others no answer is right.
    """

    title: str
    draw: Callable[..., bytes]
    readable: bool = True


def shadow(shade: float, soft: float) -> Callable[[Array, Random], bytes]:
    """Draw a digit across which the edge of a shadow runs."""
    return lambda ink, random: png(photograph(centered(ink, random), random, light=edge(random, shade, soft)))


KINDS = {
    "clean": Kind("black on white", lambda ink, random: png(1 - centered(ink, random))),
    "photograph": Kind(
        "photograph of a pen's stroke", lambda ink, random: png(photograph(centered(ink, random), random))
    ),
    "shadow_80": Kind("edge of a shadow, 80% of the light, 40 pixels soft", shadow(0.8, 40)),
    "shadow_70": Kind("edge of a shadow, 70%, 40 pixels", shadow(0.7, 40)),
    "shadow_60": Kind("edge of a shadow, 60%, 60 pixels", shadow(0.6, 60)),
    "shadow_45": Kind("edge of a shadow, 45%, 20 pixels", shadow(0.45, 20)),
    "lamp": Kind(
        "light from one side",
        lambda ink, random: png(photograph(centered(ink, random), random, light=np.linspace(0.35, 1, PAGE[1]))),
    ),
    "vignette": Kind("corners of half the light", vignette),
    "pencil": Kind("pencil", pencil),
    "chalk": Kind("chalk on a green board", chalk),
    "blue": Kind(
        "blue pen on yellow paper, JPEG",
        lambda ink, random: colored(
            photograph(centered(ink, random), random, 0.95, 0.05), (30, 40, 160), (250, 235, 150)
        ),
    ),
    "contrast": Kind("low contrast", lambda ink, random: png(photograph(centered(ink, random), random, 0.7, 0.52))),
    "lined": Kind(
        "lined paper",
        lambda ink, random: png(photograph(np.maximum(centered(ink, random), 0.28 * lines(random, False, 60)), random)),
    ),
    "squared": Kind(
        "squared paper",
        lambda ink, random: png(photograph(np.maximum(centered(ink, random), 0.25 * lines(random, True, 40)), random)),
    ),
    "noise": Kind(
        "noise of a tenth of the range",
        lambda ink, random: png(photograph(centered(ink, random), random) + random.normal(0, 0.1, PAGE)),
    ),
    "blur": Kind(
        "out of focus",
        lambda ink, random: png(ndimage.gaussian_filter(photograph(centered(ink, random), random), 6)),
    ),
    "jpeg": Kind(
        "JPEG at 30%",
        lambda ink, random: encoded(
            Image.open(io.BytesIO(png(photograph(centered(ink, random, 120), random)))), "JPEG", quality=30
        ),
    ),
    "turned": Kind(
        "perspective and up to 12 degrees",
        lambda ink, random: png(turned(photograph(centered(ink, random), random), random, 0.85)),
    ),
    "table": Kind("sheet on a dark table, seen from the side", lambda ink, random: png(sheet(ink, random))),
    "two_valued": Kind("two values, 16 to 80 pixels", two_valued),
    "twelve_bits": Kind("12 bits in a 16-bit PNG", twelve_bits),
    "white_rgba": Kind("white strokes on transparency", lambda ink, random: transparent(ink, random, 255)),
    "black_rgba": Kind("black strokes on transparency", lambda ink, random: transparent(ink, random, 0)),
    "corner": Kind(
        "40 pixels high, in a corner of 1200 x 900",
        lambda ink, random: png(
            photograph(placed(ink, (900, 1200), 40, (random.uniform(0.05, 0.15), random.uniform(0.8, 0.95))), random)
        ),
    ),
    "large": Kind("fills the page", lambda ink, random: png(photograph(centered(ink, random, 460), random))),
    "stretched": Kind("stretched to a square", stretched),
    "screenshot": Kind("screenshot with a bar of tools", screenshot),
    "two_digits": Kind("two digits", several, readable=False),
    "shadow_alone": Kind("a shadow and no digit", shadow_alone, readable=False),
    "word": Kind("a word", letter, readable=False),
    "scribble": Kind("a scribble", scribble, readable=False),
}


def cropped(ink: Array) -> Array:
    """Crop ink to its bounding box."""
    box = ndimage.find_objects((ink > 0.05).astype(int))[0]
    return np.pad(ink[box], 1)


def from_fonts(number: int) -> list[tuple[int, Array]]:
    """Draw digits in handwriting-like fonts.

    Raises:
        Problem: a font is not installed.
    """
    inks = []
    for place in range(number):
        font = FONTS[place // 10 % len(FONTS)]
        try:
            letters = ImageFont.truetype(font, 150)
        except OSError as error:
            packages = "fonts-humor-sans fonts-breip fonts-comic-neue fonts-klee"
            raise Problem(f"{font}: not found; install it, on Debian with: apt-get install {packages}") from error
        image = Image.new("L", (300, 300), 0)
        ImageDraw.Draw(image).text((80, 60), str(place % 10), fill=255, font=letters)
        inks.append((place % 10, cropped(np.asarray(image) / 255)))
    return inks


class Answer(NamedTuple):
    """What becomes of a picture.

    Attributes:
        kind: a name of `KINDS`, or unaltered.
        label: of the digit; -1 if there is nothing to be read.
        guess: of the network; -1 if the picture is refused.
        probability: of the guess.
        unscaled: the probability without the temperature of the run.
    """

    kind: str
    label: int
    guess: int
    probability: float
    unscaled: float


def answer(kind: str, label: int, picture: bytes, network: Trained) -> tuple[Answer, Array | None]:
    """Classify a picture; also return the digit that the network sees, unless the picture is refused."""
    try:
        image = preprocess.normalize(reader.read_image(io.BytesIO(picture), kind))
    except Problem:
        return Answer(kind, label, -1, 0.0, 0.0), None
    logits = network.logits([image.views])
    unscaled = logits.softmax(dim=1).max().item()
    probability, guess = network.calibrated(logits)[0].max(0)
    return Answer(kind, label, int(guess), round(probability.item(), 6), round(unscaled, 6)), image.digit


def tabulated(answers: pd.DataFrame) -> str:
    """Tabulate the rates of each kind in Markdown."""
    rows = ["| kind | right % | of the unaltered % | refused % | wrong and sure % |", "|---|---:|---:|---:|---:|"]
    usual = None
    for name, found in answers.groupby("kind", sort=False):
        right, refused = 100 * (found.guess == found.label).mean(), 100 * (found.guess < 0).mean()
        if usual is None:
            usual = right
        wrong = 100 * ((found.guess != found.label) & (found.probability > SURE)).mean()
        readable = (found.label >= 0).all()
        cells = (f"{right:.1f}", f"{100 * right / usual:.1f}") if readable else ("", "")
        title = KINDS[name].title if name in KINDS else name
        rows.append(f"| {title} | {' | '.join(cells)} | {refused:.1f} | {wrong:.1f} |")
    return "\n".join(rows)


def calibrated(answers: pd.DataFrame) -> str:
    """Say how far probabilities are from rates of right answers in the pictures that can be read."""
    read = answers[(answers.label >= 0) & (answers.guess >= 0)]
    right = (read.guess == read.label).to_numpy()
    scaled, unscaled = (calibration_error(read[name].to_numpy(), right) for name in ("probability", "unscaled"))
    return (
        f"Over the {len(read):,} readable pictures that were not refused, the expected calibration error is "
        f"{scaled:.1%}; without the temperature it is {unscaled:.1%}."
    )


def reliability_figure(answers: pd.DataFrame) -> Figure:
    """Draw the rate of right answers against the probability."""
    read = answers[(answers.label >= 0) & (answers.guess >= 0)]
    right = (read.guess == read.label).to_numpy()
    figure = Figure(figsize=(4.8, 4.4), layout="constrained")
    axes = figure.add_subplot(xlabel="probability of the answer, %", ylabel="right answers, %")
    axes.plot([0, 100], [0, 100], color="gray", linewidth=1)
    for name, label, mark in (("probability", "with the temperature", "o-"), ("unscaled", "without it", "s--")):
        _share, mean, rate = 100 * reliability(read[name].to_numpy(), right).T
        axes.plot(mean, rate, mark, markersize=4, label=label)
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def main() -> None:
    """Classify the pictures of every kind, and print a table in Markdown."""
    parser = Parser.of("How well digits are recognized in pictures as people take them.")
    parser.add_argument("run", metavar="RUN", help="a label as in baseline, a folder, a checkpoint, or best")
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    parser.add_argument("--digits", type=whole_number, default=100, help="number of digits of each kind (100)")
    parser.add_argument("--kinds", type=some_of(tuple(KINDS)), default=tuple(KINDS), help="as in blur,squared (all)")
    parser.add_argument("--failures", type=Path, help="folder for the pictures that are wrong or refused")
    parser.add_argument("--out", type=Path, help="folder for pictures.csv and reliability.png")
    arguments = parser.parse_args()
    network = load(arguments.run, arguments.runs_dir)
    test = mnist.load(mnist.default_directory(), train=False)
    images, labels = test.images.numpy().reshape(-1, 28, 28) / 255, test.labels.numpy()
    own = np.random.default_rng(0).choice(len(labels), round(0.6 * arguments.digits), replace=False)
    inks = [(int(labels[each]), cropped(images[each])) for each in own] + from_fonts(arguments.digits - len(own))
    unaltered = [png(images[each]) for each in own] + [png(1 - np.pad(ink, 30)) for label, ink in inks[len(own) :]]
    answers = [
        answer("unaltered", label, picture, network)[0] for (label, _), picture in zip(inks, unaltered, strict=True)
    ]
    for name in arguments.kinds:
        kind = KINDS[name]
        for place, (label, ink) in enumerate(inks):
            random = np.random.default_rng([place, *name.encode()])
            others = [] if kind.readable else [[each for other, each in inks if other != label]]
            picture = kind.draw(ink, random, *others)
            found, seen = answer(name, label if kind.readable else -1, picture, network)
            answers.append(found)
            if arguments.failures and found.guess != found.label:
                save(arguments.failures / name, place, picture, found, seen)
    table = pd.DataFrame(answers)
    print(f"{tabulated(table)}\n\n{calibrated(table)}")
    if arguments.out:
        table.to_csv(arguments.out / "pictures.csv", index=False)
        (arguments.out / "reliability.png").write_bytes(figure_of(reliability_figure(table)))


def save(folder: Path, place: int, picture: bytes, found: Answer, seen: Array | None) -> None:
    """Save a picture that is wrong, refused, or answered although there is nothing to read."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{place:03}-{found.label}-" + ("refused" if seen is None else f"as-{found.guess}-{found.probability:.2f}")
    (folder / f"{name}.png").write_bytes(picture)
    if seen is not None:
        Image.fromarray((seen * 255).astype(np.uint8)).resize((224, 224), 0).save(folder / f"{name}-seen.png")


if __name__ == "__main__":
    with clean_exit():
        main()
