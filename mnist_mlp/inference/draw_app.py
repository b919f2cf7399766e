"""A page to draw digits on, served to this machine alone, and what networks see in them."""

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.serving import WSGIRequestHandler
from werkzeug.wrappers import Request, Response

from mnist_mlp.errors import Problem
from mnist_mlp.inference.preprocess import Digit, normalise, read_image

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

HOSTS = ["127.0.0.1", "localhost"]
"""Names under which the page may be asked for: a page elsewhere cannot reach it by a name of its own."""

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Draw a digit</title>
<style>
:root { color-scheme: light dark; font: 16px/1.4 system-ui, sans-serif; }
body { margin: 1.5rem auto; max-width: 60rem; padding: 0 1rem; }
main { display: flex; flex-wrap: wrap; gap: 2rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
section { width: 280px; }
#paper { width: 280px; height: 280px; border: 1px solid gray; background: white; }
#paper { touch-action: none; cursor: crosshair; }
#seen { width: 112px; height: 112px; image-rendering: pixelated; background: black; display: block; }
button { font: inherit; padding: .3rem 1rem; margin: .5rem 0 1rem; }
.guess { font-size: 4rem; line-height: 1; min-height: 4rem; display: block; }
.row { display: grid; grid-template-columns: 1.2rem 1fr 4rem; gap: .5rem; align-items: center; }
.row span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.row div { background: #3b7dd8; height: .8rem; width: 0; }
</style>
<h1>Draw a digit</h1>
<main>
<section>
<canvas id="paper" width="280" height="280" aria-label="paper to draw on"></canvas>
<button id="clear">Clear</button>
<h2>What the network sees</h2>
<canvas id="seen" width="28" height="28" aria-label="what the network sees"></canvas>
<p id="problem" role="status"></p>
</section>
</main>
<script>
const names = NAMES, paper = document.getElementById("paper"), pen = paper.getContext("2d");
const seen = document.getElementById("seen").getContext("2d"), problem = document.getElementById("problem");
const networks = names.map(name => {
  const section = document.createElement("section"), heading = document.createElement("h2");
  const guess = document.createElement("output");
  heading.textContent = name;
  guess.className = "guess";
  section.append(heading, guess);
  const rows = [...Array(10).keys()].map(digit => {
    const row = document.createElement("div"), label = document.createElement("span");
    const bar = document.createElement("div"), share = document.createElement("span");
    row.className = "row";
    label.textContent = digit;
    row.append(label, bar, share);
    section.append(row);
    return [bar, share];
  });
  document.querySelector("main").append(section);
  return {guess, rows};
});
let last = null, asking = false, changed = false, drawing = 0;
function show(answer) {
  problem.textContent = answer.problem || "";
  const picture = seen.createImageData(28, 28);
  (answer.seen || Array(784).fill(0)).forEach((grey, place) => picture.data.set([grey, grey, grey, 255], 4 * place));
  seen.putImageData(picture, 0, 0);
  networks.forEach(({guess, rows}, index) => {
    const chances = answer.probabilities && answer.probabilities[index];
    guess.textContent = chances ? chances.indexOf(Math.max(...chances)) : "";
    rows.forEach(([bar, share], digit) => {
      bar.style.width = chances ? 100 * chances[digit] + "%" : 0;
      share.textContent = chances ? (100 * chances[digit]).toFixed(1) + "%" : "";
    });
  });
}
async function ask() {
  changed = true;
  if (asking) return;
  asking = true;
  while (changed) {
    changed = false;
    const asked = drawing;
    try {
      const image = await new Promise(done => paper.toBlob(done));
      const response = await fetch("guess", {method: "POST", body: image});
      const answer = response.ok ? await response.json() : {problem: await response.text()};
      if (asked === drawing) show(answer);
    } catch (error) {
      show({problem: "The server does not answer; start scripts/draw.py again."});
    }
  }
  asking = false;
}
function clear() {
  drawing += 1;
  changed = false;
  pen.fillStyle = "white";
  pen.fillRect(0, 0, 280, 280);
  show({});
}
function draw(event) {
  const box = paper.getBoundingClientRect();
  const place = [(event.clientX - box.left) * 280 / box.width, (event.clientY - box.top) * 280 / box.height];
  pen.beginPath();
  pen.moveTo(...(last || place));
  pen.lineTo(...place);
  pen.lineWidth = 22;
  pen.lineCap = "round";
  pen.stroke();
  last = place;
  ask();
}
paper.addEventListener("pointerdown", event => {
  if (event.button) return;
  paper.setPointerCapture(event.pointerId);
  last = null;
  draw(event);
});
paper.addEventListener("pointermove", event => { if (event.buttons & 1) draw(event); });
document.getElementById("clear").addEventListener("click", clear);
document.addEventListener("keydown", event => { if (event.key === "Escape") clear(); });
clear();
</script>
</html>
"""


class QuietHandler(WSGIRequestHandler):
    """Does not print every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


class LocalRequest(Request):
    """Of a host that is this machine, and no larger than a drawing."""

    trusted_hosts = HOSTS
    max_content_length = 1_000_000


class Application:
    """The page at `/`, and at `/guess` what the networks see in a drawing. There is nothing else.

    Args:
        names: of the networks.
        classify: gives the ten probabilities of a digit from each network.
    """

    def __init__(self, names: list[str], classify: Callable[[Digit], list[list[float]]]) -> None:
        self.page = PAGE.replace("NAMES", json.dumps(names).replace("<", "\\u003c"), 1)
        self.classify = classify
        self.lock = Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        request = LocalRequest(environ)
        try:
            _ = request.host  # raises where it is none of HOSTS
            response = self._answer(request)
        except HTTPException as error:
            response = Response(f"{error.name}\n", error.code)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if request.path == "/":
            if request.method not in ("GET", "HEAD"):
                raise MethodNotAllowed(["GET", "HEAD"])
            return Response(self.page, mimetype="text/html")
        if request.path != "/guess":
            raise NotFound
        if request.method != "POST":
            raise MethodNotAllowed(["POST"])
        drawing = BytesIO(request.get_data())
        try:
            with self.lock:  # a drawing is read with Pillow's warnings off, which all threads share
                digit = normalise(read_image(drawing, "the drawing"))
                answer: dict[str, Any] = {
                    "seen": np.rint(digit * 255).astype(int).ravel().tolist(),
                    "probabilities": self.classify(digit),
                }
        except Problem as problem:
            answer = {"problem": str(problem)}
        return Response(json.dumps(answer), mimetype="application/json")
