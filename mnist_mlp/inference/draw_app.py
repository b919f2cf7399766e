"""A web page, for this machine alone, to draw a digit on and see how networks classify it."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from PIL import Image
from typing_extensions import override
from werkzeug.exceptions import BadRequest, Forbidden, HTTPException, MethodNotAllowed, NotFound
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wrappers import Request, Response

from mnist_mlp import files
from mnist_mlp.errors import Problem, reason_of
from mnist_mlp.images import SIDE
from mnist_mlp.inference.preprocess import Converted, converted
from mnist_mlp.inference.reader import Gray, read_image
from mnist_mlp.language import _, language

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HOSTS = ["127.0.0.1", "localhost"]
"""The host names that requests may have: other web pages cannot reach this one by DNS rebinding."""

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"


class QuietHandler(WSGIRequestHandler):
    """A request handler that does not log requests."""

    @override
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


class LocalRequest(Request):
    """A request to this machine, no larger than a drawing."""

    trusted_hosts = HOSTS
    max_content_length = 1_000_000


class Application:
    """A WSGI application: `/` is the page, `/guess` classifies a drawing, `/save` keeps it; there is nothing else.

    Args:
        names: of the networks.
        classify: returns the ten probabilities of a digit by each network.
        dataset: that the networks were trained on, as the value of `data.dataset`.
        classes: the names of its classes.
        folder: for the drawings, with a sub-folder for the number of each class.
    """

    def __init__(
        self,
        names: list[str],
        classify: Callable[[Converted], list[list[float]]],
        dataset: str = "mnist",
        classes: Sequence[str] = "0123456789",
        folder: Path = Path("drawings"),
    ) -> None:
        templates = jinja2.Environment(loader=jinja2.PackageLoader("mnist_mlp.inference"), autoescape=True)
        templates.globals["_"] = _
        page = templates.get_template("draw.html.jinja")
        self.page = page.render(names=names, side=SIDE, classes=list(classes), language=language())
        self.dataset = dataset
        self.classify = classify
        self.folder, self.labels = folder, range(len(classes))
        self.lock = Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Respond to a request."""
        request = LocalRequest(environ)
        try:
            assert request.host  # raises unless it is one of HOSTS
            response = self._respond(request)
        except HTTPException as error:
            response = Response(f"{error.name}\n", error.code)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if request.path == "/":
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowed(["GET", "HEAD"])
            return Response(self.page, mimetype="text/html")
        if request.path not in ("/guess", "/save"):
            raise NotFound
        if request.method != "POST":
            raise MethodNotAllowed(["POST"])
        drawing = BytesIO(request.get_data())
        if request.path == "/save":
            if request.headers.get("Origin") != request.host_url.rstrip("/"):  # a form of another page
                raise Forbidden
            label = request.args.get("label", type=int)
            if label not in self.labels:
                raise BadRequest
            return self._answered(self._saved, drawing, label)
        return self._answered(self._guessed, drawing)

    def _answered(self, respond: Callable[..., dict[str, Any]], drawing: BytesIO, *more: Any) -> Response:
        try:
            with self.lock:  # read_image changes the filters of warnings, which all threads share
                gray = read_image(drawing, _("the drawing"))  # black on white
                answer = respond(gray if self.dataset in ("mnist", "emnist_digits") else 1 - gray, *more)
        except Problem as problem:
            answer = {"problem": str(problem)}
        return Response(json.dumps(answer), mimetype="application/json")

    def _guessed(self, gray: Gray) -> dict[str, Any]:
        image = converted(gray, self.dataset)
        seen = np.rint(image.digit * 255).astype(int).ravel().tolist()
        return {"seen": seen, "probabilities": self.classify(image)}

    def _saved(self, gray: Gray, label: int) -> dict[str, Any]:
        converted(gray, self.dataset)  # raises if nothing is drawn
        place = self.folder / str(label) / f"{datetime.now():%Y%m%d-%H%M%S-%f}.png"
        try:
            files.make_folder(place.parent.absolute())
        except OSError as error:
            said = _("{path}: cannot be written: {reason}")
            raise Problem(said.format(path=place, reason=reason_of(error))) from error
        with files.saving(place) as partial:
            Image.fromarray((gray * 255).round().astype(np.uint8)).save(partial)
        return {"saved": str(place)}
