"""Draw a digit with the mouse and see what one trained network, or two beside each other, make of it.

    mnist-mlp draw baseline
    mnist-mlp draw q04 best --port 8100

A RUN is what mnist-mlp predict takes. The page is for this machine alone (127.0.0.1), and needs no network.
"""

import argparse
import os
import socket
import sys
from typing import TYPE_CHECKING

from mnist_mlp.cli.arguments import Parser
from mnist_mlp.errors import Problem

if TYPE_CHECKING:
    from mnist_mlp.inference.preprocess import Digit

HOST = "127.0.0.1"


def port(text: str) -> int:
    """Read the number of a port."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to 65535")
    return int(text)


def listen(number: int) -> socket.socket:
    """Take a port of the loopback interface.

    Raises:
        Problem: it is taken, or not for this user.
    """
    try:
        return socket.create_server((HOST, number))
    except OSError as error:
        reason = os.strerror(error.errno or 0)  # Python's own adds the address
        raise Problem(f"--port: {number} cannot be had ({reason}); --port 0 takes any that is free") from error


def serve(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        Problem: the port is taken, or there is no such run.
    """
    with listen(arguments.port) as listening:
        number = listening.getsockname()[1]
        # At once: a browser that comes while the networks are loaded waits for the answer.
        print(f"http://{HOST}:{number}/ (Ctrl-C ends it)", flush=True)
        from werkzeug.serving import make_server

        from mnist_mlp.inference import load as trained
        from mnist_mlp.inference.draw_app import Application, QuietHandler
        from mnist_mlp.inference.predict import probabilities

        runs = [arguments.run] if arguments.other is None else [arguments.run, arguments.other]
        networks = [trained.load(run, arguments.runs_dir) for run in runs]

        def classify(digit: "Digit") -> list[list[float]]:
            return [probabilities(network.model, [digit])[0] for network in networks]

        application = Application([network.name for network in networks], classify)
        server = make_server(
            HOST, number, application, threaded=True, request_handler=QuietHandler, fd=listening.fileno()
        )
        try:
            server.serve_forever()
        finally:
            server.server_close()


def main() -> None:
    """Read the command line, load the networks, serve."""
    parser = Parser.of(__doc__)
    parser.add_argument("run", metavar="RUN", help="folder of a run, its label, a checkpoint, or best")
    parser.add_argument("other", metavar="RUN2", nargs="?", help="one to be shown beside it")
    parser.add_argument("--runs-dir", type=os.path.expanduser, default="runs", help="folder of the runs (runs)")
    parser.add_argument("--port", type=port, default=8028, help="of 127.0.0.1; 0 takes any that is free (8028)")
    arguments = parser.parse_args()
    try:
        serve(arguments)
    except Problem as problem:
        print(problem, file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        print(f"{package} is not installed: pip install -e .[draw]", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(0)
