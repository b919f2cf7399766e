"""Draw a digit with the mouse in a browser, and see how one or two trained networks classify it.

    mnist-mlp draw baseline
    mnist-mlp draw q04 best --port 8100
    mnist-mlp draw baseline --drawings class/ana

A RUN is named as for mnist-mlp predict. The page is available on this machine only (127.0.0.1), also offline. A
drawing can be saved with its label, for `mnist-mlp evaluate RUN drawings`.
"""

import argparse
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_mlp.cli.arguments import RUN, Parser, path
from mnist_mlp.console import showing
from mnist_mlp.errors import Problem
from mnist_mlp.language import _

if TYPE_CHECKING:
    from mnist_mlp.inference.preprocess import Converted

HOST = "127.0.0.1"


def port(text: str) -> int:
    """Parse the number of a port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(_("{text} is not a whole number from 0 to 65535").format(text=text))
    return int(text)


def listen(number: int) -> socket.socket:
    """Listen on a port of the loopback interface.

    Raises:
        Problem: the port is in use, or this user may not use it.
    """
    try:
        return socket.create_server((HOST, number))
    except OSError as error:
        reason = _(os.strerror(error.errno or 0))  # Python's own message includes the address
        said = _("--port: {number} is not available ({reason}); --port 0 chooses a free one")
        raise Problem(said.format(number=number, reason=reason)) from error


def serve(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        Problem: there are more than two runs, the port is not available, or there is no such run.
    """
    if len(arguments.runs) > 2:
        raise Problem(_("{run}: at most two runs are compared").format(run=arguments.runs[2]))
    with listen(arguments.port) as listening:
        number = listening.getsockname()[1]
        with showing(lambda: _("loading PyTorch …")):
            from werkzeug.serving import make_server

            from mnist_mlp.inference.draw_app import Application, QuietHandler
            from mnist_mlp.inference.load import load
            from mnist_mlp.inference.predict import probabilities

        networks = [load(run, arguments.runs_dir) for run in arguments.runs]
        first, last = networks[0], networks[-1]
        if (first.dataset, first.classes) != (last.dataset, last.classes):
            said = _("{run}: not trained on the same data as {other}; compare networks that were")
            raise Problem(said.format(run=last.name, other=first.name))

        def classify(image: "Converted") -> list[list[float]]:
            return [probabilities(network, [image])[0] for network in networks]

        names = [network.name for network in networks]
        application = Application(names, classify, first.dataset, first.classes, arguments.drawings)
        server = make_server(
            HOST, number, application, threaded=True, request_handler=QuietHandler, fd=listening.fileno()
        )
        print(f"http://{HOST}:{number}/ " + _("(press Ctrl-C to stop)"), flush=True)
        try:
            server.serve_forever()
        finally:
            server.server_close()


def main() -> None:
    """Parse the command line and serve the page."""
    parser = Parser.of(
        _("Draw a digit with the mouse in a browser, and see how one or two trained networks classify it.")
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help=_("one or two: {runs}").format(runs=_(RUN)))
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help=_("folder of the runs (runs)"))
    drawings = _("folder that drawings are saved in, each in a sub-folder of its label (drawings)")
    parser.add_argument("--drawings", metavar="FOLDER", type=path, default=Path("drawings"), help=drawings)
    parser.add_argument("--port", type=port, default=8028, help=_("of 127.0.0.1; 0 chooses a free one (8028)"))
    with suppress(KeyboardInterrupt):
        serve(parser.parse_args())
