"""The pictures show what they should: which digits, in which order, in which color."""

import numpy as np
from PIL.Image import Image

from mnist_mlp import images as drawings

BLACK, WHITE = 0, 255


def certain(guesses: list[int], probabilities: list[float]) -> np.ndarray:
    table = np.zeros((len(guesses), 10), np.float32)
    table[range(len(guesses)), guesses] = probabilities
    return table


def array(picture: Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB")).astype(int)


def digit_in(picture: Image, place: int) -> np.ndarray:
    left, top = place * 70 + 7, 24
    return array(picture)[top : top + 56, left : left + 56, 0]


def test_the_surest_mistakes_come_first_and_right_answers_are_left_out() -> None:
    shades = [10, 60, 120, 180]
    images = np.stack([np.full(784, shade, np.uint8) for shade in shades])
    picture = drawings.mistakes(images, np.array([1, 2, 3, 4]), certain([1, 5, 5, 5], [1.0, 0.6, 0.9, 0.7]))
    assert [int(digit_in(picture, place).mean()) for place in range(3)] == [255 - 120, 255 - 180, 255 - 60]
    assert (digit_in(picture, 3) == WHITE).all()


def test_no_more_mistakes_are_drawn_than_there_is_room_for() -> None:
    images = np.zeros((30, 784), np.uint8)
    picture = drawings.mistakes(images, np.zeros(30, int), certain([1] * 30, [0.9] * 30), columns=2, rows=3)
    assert picture.size == (drawings.WIDTH, 3 * 92 + 24)


def test_a_network_without_mistakes_has_an_empty_picture() -> None:
    picture = drawings.mistakes(np.zeros((1, 784), np.uint8), np.array([3]), certain([3], [0.9]))
    assert (array(picture)[24:] == WHITE).all()


def test_the_confusion_matrix_is_blue_where_answers_are_right_and_red_where_they_are_wrong() -> None:
    labels, guesses = np.array([0] * 9 + [0] + [1] * 10), np.array([0] * 9 + [7] + [1] * 10)
    picture = array(drawings.confusion_matrix(labels, guesses))

    def corner(row: int, column: int) -> list[int]:
        return list(picture[36 + row * 31 + 2, 36 + column * 31 + 2])

    red, _, blue = corner(1, 1)
    assert blue > red
    red, _, blue = corner(0, 7)
    assert red > blue
    assert corner(7, 0) == [WHITE] * 3
    assert np.abs(np.array(corner(1, 1)) - WHITE).sum() > np.abs(np.array(corner(0, 0)) - WHITE).sum()


def test_the_counts_of_the_confusion_matrix_are_in_gray() -> None:
    picture = array(drawings.confusion_matrix(np.array([3]), np.array([3])))
    margins = np.concatenate([picture[:34].reshape(-1, 3), picture[:, :34].reshape(-1, 3)])
    assert (margins.max(axis=1) == margins.min(axis=1)).all()
    assert margins.min() < 100


NAMES = ("Ankle boot", "triángulo", "ひらがな")


def test_classes_are_written_by_name_in_the_pictures() -> None:
    assert drawings.names_of(tuple("0123456789")) == []
    assert drawings.names_of(NAMES)[:4] == ["Ankle boot", "triangulo", "#2", "#3"]
    images, labels, guesses = np.zeros((1, 784), np.uint8), np.array([0]), np.array([1])
    digits = array(drawings.mistakes(images, labels, certain([1], [0.9])))
    named = array(drawings.mistakes(images, labels, certain([1], [0.9]), NAMES))
    assert ink(named[24 + 56 : 24 + 84]) > 2 * ink(digits[24 + 56 : 24 + 70]), "two lines instead of 0 as 1"
    matrix = array(drawings.confusion_matrix(labels, guesses, NAMES))
    assert matrix.shape == array(drawings.confusion_matrix(labels, guesses)).shape
    assert ink(matrix[36:67, :100]) > 50
    assert ink(matrix[36 + 5 * 31 : 36 + 6 * 31, :100]) == 0, "there is no sixth class"


def ink(part: np.ndarray) -> int:
    return int((part.min(axis=2) < 150).sum())


def test_the_heading_of_the_mistakes_fits_the_picture() -> None:
    labels = np.zeros(10_000, int)
    picture = array(drawings.mistakes(np.zeros((10_000, 784), np.uint8), labels, certain([1] * 10_000, [0.9] * 10_000)))
    assert ink(picture[:20]) > 100
    assert ink(picture[:20, -4:]) == 0


def test_weights_are_blue_above_zero_and_red_below() -> None:
    first_layer = np.stack([np.full(784, 0.5), np.full(784, -0.5), np.zeros(784)]).astype(np.float32)
    picture = array(drawings.weights(first_layer))
    assert picture.shape[1] == drawings.WIDTH
    excited, inhibited, neither = (picture[15, 1 + 29 * unit + 15] for unit in range(3))
    assert excited[2] > excited[0]
    assert inhibited[0] > inhibited[2]
    assert (neither == WHITE).all()


def test_weights_that_are_not_numbers_or_all_zero_are_drawn_as_zero() -> None:
    for first_layer in (np.full((4, 784), np.nan, np.float32), np.zeros((4, 784), np.float32)):
        assert (array(drawings.weights(first_layer)) == WHITE).all()
