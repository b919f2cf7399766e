"""Python values as overrides of Hydra's grammar. Free of torch."""

import re
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from mnist_mlp.errors import Problem
from mnist_mlp.language import _

PLAIN = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)
"""What needs no quotes in an override."""

WORDS = ("true", "false", "null", "inf", "nan")
"""What Hydra reads as something else than text, in any case."""


def overrides_of(keys: Mapping[str, Any]) -> list[str]:
    """Write keys with one value each as overrides."""
    return [f"{key}={text(value)}" for key, value in keys.items()]


def sweep_of(keys: Mapping[str, Any]) -> list[str]:
    """Write keys as overrides of a sweep, in which each value of a list, a range or an array is that of some jobs.

    A key whose value is a list itself, as `model.hidden_sizes`, takes a list of lists.

    Raises:
        Problem: a list has no values.
    """
    overrides = []
    for key, value in keys.items():
        values = list(value) if is_several(value) else [value]
        if not values:
            raise Problem(_("{key}: the list of its values is empty").format(key=key))
        overrides.append(f"{key}={','.join(text(each) for each in values)}")
    return overrides


def is_several(value: Any) -> bool:
    """Whether a value is a sequence, or an array that has dimensions."""
    if hasattr(value, "shape"):
        return len(value.shape) > 0
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping, PathLike))


def text(value: Any) -> str:
    """Write one value, as Hydra's grammar wants it."""
    if hasattr(value, "tolist"):  # a number or an array of numpy or torch
        value = value.tolist()
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{text(each)}" for key, each in value.items()) + "}"
    if is_several(value):
        return "[" + ",".join(text(each) for each in value) + "]"
    written = str(value)
    if PLAIN.fullmatch(written) and written.lower() not in WORDS:
        return written
    return quoted(written)


def quoted(written: str) -> str:
    """Put a text between quotes, in which Hydra takes every character as it is."""
    return QuotedString(written, Quote.single).with_quotes()
