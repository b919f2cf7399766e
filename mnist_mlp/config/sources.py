"""The source of a user's network, as a hash: an edited class is another network. Free of torch; it runs nothing.

It is that of the module with the class and of all modules that this one imports, directly or indirectly, from the same
package or, unless that is installed, from the same folder. Other packages do not count; a record has their versions.
"""

import ast
import dis
import hashlib
import importlib.util
import linecache
import os
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from mnist_mlp.errors import Problem
from mnist_mlp.language import N_, _

APART = ("torch", "mnist_mlp")
"""Packages whose source does not count even where a network imports them from its own folder."""

NO_SOURCE = N_("{name}: has no source by which a change would be noticed; write it in a Python file")

PLAIN = (int, float, str, bool, bytes, type(None))


def fingerprint(target: str) -> str:
    """Hash the source of a class to 8 hexadecimal digits.

    Args:
        target: its module and its name, as in my_package.Net.

    Raises:
        Problem: there is no such module, or what it is made of has no source.
    """
    module, name = split(target)
    texts = _of_main(name, target) if module == "__main__" else _of_modules(module, target)
    joined = "\0".join(f"{part}\0{text}" for part, text in sorted(texts.items()))
    return hashlib.sha256(joined.encode()).hexdigest()[:8]


def split(target: str) -> tuple[str, str]:
    """Split a target into the name of its module and the rest, the name of the class.

    Raises:
        Problem: there is no such module.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # at the end, so that a file here hides no package
    parts = target.split(".")
    if not all(part.isidentifier() for part in parts) or len(parts) < 2:
        raise Problem(
            _("model._target_={target}: must be a module and a class, as in my_package.Net").format(target=target)
        )
    if parts[0] == "__main__":
        return parts[0], ".".join(parts[1:])
    if _spec(parts[0]) is None:
        said = _("model._target_={target}: there is no module {module}, here or among the installed packages")
        raise Problem(said.format(target=target, module=parts[0]))
    length = next(length for length in range(len(parts) - 1, 0, -1) if _spec(".".join(parts[:length])))
    return ".".join(parts[:length]), ".".join(parts[length:])


def _spec(name: str) -> ModuleSpec | None:
    # As importlib.util.find_spec, which imports the packages around a module.
    parts = name.split(".")
    try:
        spec = importlib.util.find_spec(parts[0])
    except ValueError:  # of a module that was not imported from anywhere
        return None
    for length in range(2, len(parts) + 1):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec(".".join(parts[:length]), list(spec.submodule_search_locations))
    return spec


def _of_modules(module: str, target: str) -> dict[str, str]:
    """Read the source of a module and of those that it imports of the user's, by their names."""
    texts: dict[str, str] = {}
    top = module.partition(".")[0]
    folder = _folder(top)
    pending = [module]
    while pending:
        name = pending.pop()
        first = name.partition(".")[0]
        if name in texts or first in APART:
            continue
        spec = _spec(name)
        if spec is None:  # a name in a module
            continue
        origin = Path(spec.origin).resolve() if spec.has_location and spec.origin else None
        if first != top and (folder is None or origin is None or not origin.is_relative_to(folder)):
            continue
        if "." in name:
            pending.append(name.rpartition(".")[0])
        if origin is None:
            texts[name] = ""  # a package without __init__.py
            continue
        if origin.suffix != ".py":
            raise Problem(_(NO_SOURCE).format(name=name))
        try:
            texts[name] = origin.read_text(encoding="utf-8")
            tree = ast.parse(texts[name])
        except (OSError, ValueError, SyntaxError) as error:
            raise Problem(_("{path}: cannot be read: {reason}").format(path=origin, reason=error)) from error
        package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
        pending += _imports(tree, package)
    return texts


def _folder(top: str) -> Path | None:
    """Return the folder in which a user's package or module is; None if it is installed."""
    spec = _spec(top)
    if spec is None:
        return None
    place = spec.origin if spec.submodule_search_locations is None else next(iter(spec.submodule_search_locations))
    if place is None or place in ("built-in", "frozen"):
        return None
    folder = Path(place).resolve().parent
    installed = {"site-packages", "dist-packages"} & set(folder.parts)
    return None if installed or folder.is_relative_to(sysconfig.get_path("stdlib")) else folder


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*kept, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _of_main(name: str, target: str) -> dict[str, str]:
    """Return the source of a class of a notebook or script, and of what it uses there, by their names."""
    main, texts, pending = vars(sys.modules["__main__"]), dict[str, str](), [name]
    while pending:
        name = pending.pop()
        if name in texts or name not in main:
            continue
        value: Any = main[name]
        module = getattr(value, "__module__", None)
        if isinstance(value, type | FunctionType) and module == "__main__":
            texts[name] = _text_of(value)
            pending += _globals(compile(texts[name], name, "exec", dont_inherit=True))
        elif isinstance(value, PLAIN) or (isinstance(value, tuple) and all(isinstance(each, PLAIN) for each in value)):
            texts[name] = repr(value)
        elif name not in ("__name__", "__builtins__"):
            origin = value.__name__ if isinstance(value, type(sys)) else module
            if not isinstance(origin, str) or not (callable(value) or isinstance(value, type(sys))):
                said = _("{target}: uses {name}, whose value has no source; define it in the class")
                raise Problem(said.format(target=target, name=name))
            texts[name] = f"{origin}.{getattr(value, '__qualname__', '')}"
            if _folder(origin.partition(".")[0]) is not None:
                texts |= _of_modules(origin, target)
    return texts


def _text_of(value: Any) -> str:
    """Return the text of a class or function, from the cell or file that its code is from."""
    codes = [each.__code__ for each in (value, *vars(value).values()) if isinstance(each, FunctionType)]
    for code in codes:
        lines = "".join(linecache.getlines(code.co_filename))
        for node in ast.walk(ast.parse(lines)) if lines else ():
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == value.__name__:
                return ast.get_source_segment(lines, node) or ""
    raise Problem(_(NO_SOURCE).format(name=value.__name__))


def _globals(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals(constant)


def is_current(kind: type) -> bool:
    """Whether the code of a class, and of its bases of the user's, is that of the source files as they are now."""
    for each in kind.__mro__:
        module = sys.modules.get(each.__module__)
        if module is None or each.__module__ == "__main__" or each.__module__.partition(".")[0] in APART:
            continue
        if _folder(each.__module__.partition(".")[0]) is None:
            continue
        text = Path(str(module.__file__)).read_text(encoding="utf-8")
        now = set(_nested(compile(text, str(module.__file__), "exec", dont_inherit=True)))
        codes = [method.__code__ for method in vars(each).values() if isinstance(method, FunctionType)]
        if not all(code in now for code in codes if code.co_filename == module.__file__):
            return False
    return True


def _nested(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _nested(constant)
