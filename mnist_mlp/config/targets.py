"""The `_target_`s of a configuration: which of them Hydra may call, and what comes of it. Free of torch.

Hydra 1.4 calls nothing but what is listed; Hydra 1.3 has no such list.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException

from mnist_mlp.config.schema import Config
from mnist_mlp.config.valid import one_line
from mnist_mlp.language import _

OWN = ("mnist_mlp.*", "torch.optim.*")
"""What the files of `conf/` name. Outside `trusting`, as from somebody else's checkpoint, nothing else is called."""


allowing: Callable[[Iterable[str]], AbstractContextManager[Any]]
allowing = getattr(hydra.utils, "execution_whitelist", nullcontext)
"""Let `instantiate` call further targets: names, and packages as in `torch.optim.*`."""


def trusting(config: Config) -> AbstractContextManager[Any]:
    """Let `instantiate` call what a configuration names, as its user has typed it.

    What a callable of the user's returns is from the same package, under a name that the user need not know.
    """
    names = {name for name in _named(asdict(config)) if re.fullmatch(r"\w+(\.\w+)*", name)}
    return allowing(sorted(names | {f"{name.partition('.')[0]}.*" for name in names}))


def _named(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for element in part:
            yield from _named(element)
    if isinstance(part, dict):
        target = str(part.get("_target_"))
        yield from (target, str(part.get("path"))) if target.startswith("hydra.utils.get_") else (target,)
        for value in part.values():
            yield from _named(value)


def instantiate(given: Any) -> Any:
    """Make what a part of a configuration describes, and what it has in it, of plain lists and dictionaries."""
    with allowing(OWN):
        made = hydra.utils.instantiate(given, _convert_="all")
    if isinstance(made, partial):  # Hydra's own kind checks the same target again in every call, for up to 0.3 ms
        return partial(made.func, *made.args, **made.keywords)
    return made


def problem_of(error: Exception) -> str:
    """Say in one line what a target has raised, or that Hydra does not call it."""
    if not isinstance(error, InstantiationException):
        return one_line(str(error))
    if error.__cause__ is None and (refused := re.match("(?:Target|Reference) '(.+?)'", str(error))):
        said = _("Hydra refuses to call {target} from a configuration; name a function of your own that calls it")
        return said.format(target=refused[1])
    return one_line(str(error.__cause__ or error))
