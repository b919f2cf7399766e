"""The command mnist-mlp: if its first argument is a verb, run it, or else train."""

import sys
from importlib import import_module
from pathlib import Path

from mnist_mlp.cli.arguments import clean_exit, in_its_language
from mnist_mlp.config.valid import closest, nearest
from mnist_mlp.errors import needing
from mnist_mlp.language import _

VERBS = ("collect", "curve", "draw", "evaluate", "export", "predict", "report", "reproduce", "search", "table", "time")
"""The verbs; each has a module of the same name in this package."""

EXTRAS = {"collect": "report", "curve": "report", "reproduce": "report", "table": "report", "time": "report"}
"""The extra with the packages that a verb requires, if its name is another than the verb's."""


@in_its_language()
def main() -> None:
    """Run the command line in `sys.argv`; exit with status 2 if it is wrong."""
    program, *arguments = sys.argv
    if Path(program).name == "__main__.py":  # python -m mnist_mlp
        sys.argv[0] = program = "mnist-mlp"
    first = arguments[0] if arguments else ""
    if first == "--version":
        from importlib import metadata

        print(f"mnist-mlp {metadata.version('mnist-mlp')}")
    elif first in VERBS:
        sys.argv = [f"{program} {first}", *arguments[1:]]
        run(first)
    elif first and not first.startswith(("-", "+", "~")) and "=" not in first + "".join(arguments[1:2])[:1]:
        said = _("{word}: neither KEY=VALUE nor one of {verbs}{hint}")
        if closest(first, ("train", *VERBS)) == "train":
            said = _("{word}: training has no verb; write mnist-mlp, or mnist-mlp KEY=VALUE")
        print(said.format(word=first, verbs=", ".join(VERBS), hint=nearest(first, VERBS)), file=sys.stderr)
        sys.exit(2)
    else:
        from mnist_mlp.cli import train

        train.main()


@in_its_language()
def run(verb: str) -> None:
    """Run a verb with the arguments in `sys.argv`."""
    from mnist_mlp.fast import start

    start.prepare()
    with clean_exit(), needing(EXTRAS.get(verb, verb)):
        import_module(f"mnist_mlp.cli.{verb}").main()
