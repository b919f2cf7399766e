"""The one command: a word without = is a verb, all else trains."""

import sys
from importlib import import_module, metadata
from pathlib import Path

from mnist_mlp.cli.arguments import read_or_not
from mnist_mlp.config.valid import nearest

VERBS = ("draw", "evaluate", "export", "predict", "report", "reproduce", "search", "table")
"""Each has a module of its name in this package."""

EXTRAS = {"reproduce": "report", "table": "report"}
"""The extra of this package that brings what a verb needs, where it has another name."""


def main() -> None:
    """Run the command line in `sys.argv`: a verb, or what trains; exit with status 2 if it is wrong."""
    program, *arguments = sys.argv
    if Path(program).name == "__main__.py":  # python -m mnist_mlp
        sys.argv[0] = program = "mnist-mlp"
    first = arguments[0] if arguments else ""
    if first == "--version":
        print(f"mnist-mlp {metadata.version('mnist-mlp')}")
    elif first in VERBS:
        sys.argv = [f"{program} {first}", *arguments[1:]]
        run(first)
    elif first and not first.startswith(("-", "+", "~")) and "=" not in first:
        names = ", ".join(VERBS)
        print(f"{first}: neither KEY=VALUE nor one of {names}{nearest(first, VERBS)}", file=sys.stderr)
        sys.exit(2)
    else:
        from mnist_mlp.cli import train

        train.main()


def run(verb: str) -> None:
    """Run a verb with the arguments in `sys.argv`."""
    with read_or_not():
        try:
            module = import_module(f"mnist_mlp.cli.{verb}")
        except ModuleNotFoundError as error:
            print(f"{error.name} is not installed: pip install 'mnist-mlp[{EXTRAS.get(verb, verb)}]'", file=sys.stderr)
            sys.exit(2)
        module.main()
