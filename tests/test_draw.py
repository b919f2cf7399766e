"""A page to draw on: a browser draws, the networks guess, and nothing else can be reached through it."""

import json
import math
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from conftest import ROOT, Done

from mnist_mlp.errors import installing

Script = Callable[..., Done]

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ADDRESS = r"http://127\.0\.0\.1:(\d+)/ \(press Ctrl-C to stop\)\n"
TRAINED = ["epochs=2", "trainer=cpu", "callbacks=none", "logger=none"]


def draw(*arguments: str | int | Path, code: str = "") -> "subprocess.Popen[str]":
    """Start scripts/draw.py, after some code."""
    start = [sys.executable, "scripts/draw.py"]
    if code:
        run = f"import runpy, sys; {code}; sys.path.insert(0, 'scripts'); sys.argv[0] = 'draw.py'; "
        start = [sys.executable, "-c", f"{run}runpy.run_path('scripts/draw.py', run_name='__main__')"]
    return subprocess.Popen(
        [*start, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs."""
    from mnist_mlp.cli.train import main

    folder = tmp_path_factory.mktemp("lab") / "runs"
    for width in (200, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["train.py", *TRAINED, f"width={width}", f"runs_dir={folder}"])
            main()
    return folder


@pytest.fixture(scope="module")
def served(runs: Path) -> Iterator[int]:
    """The port of a page with both runs."""
    folders = sorted(runs.glob("*-*/seed0"))
    assert len(folders) == 2
    server = draw(*map(str, folders), "--port", 0, "--drawings", runs.parent / "drawings")
    assert server.stdout
    assert server.stderr
    said = server.stdout.readline()
    found = re.fullmatch(ADDRESS, said)
    assert found, server.stderr.read()
    assert ask(int(found[1]), "/")[0] == 200  # it serves: an import might not pass on a Ctrl-C that interrupts it
    yield int(found[1])
    server.send_signal(signal.SIGINT)
    assert server.wait(10) == 0
    assert server.stderr.read() == ""
    server.stdout.close()
    server.stderr.close()


def ask(
    port: int, path: str, method: str = "GET", body: bytes = b"", host: str | None = None, origin: str | None = None
) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    given = {"Host": host, "Origin": origin}
    connection.request(method, path, body=body, headers={name: value for name, value in given.items() if value})
    response = connection.getresponse()
    found = response.status, response.read()
    connection.close()
    return found


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_digit_drawn_with_the_mouse_is_told_by_both_networks_and_saved(served: int, runs: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    requested: list[str] = []
    troubles: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(f"http://127.0.0.1:{served}/")
        box = page.locator("#paper").bounding_box()
        assert box
        guesses = page.locator("output.guess")

        def stroke(places: list[tuple[float, float]]) -> None:
            assert box
            points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
            page.mouse.move(*points[0])
            page.mouse.down()
            for point in points[1:]:
                page.mouse.move(*point)
            page.mouse.up()

        def seen() -> list[int]:
            script = "Array.from(document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data)"
            found: list[int] = page.evaluate(script)
            return found[::4]

        stroke([(0.52, 0.2 + 0.06 * step) for step in range(11)])
        expect(guesses).to_have_text(["1", "1"])
        one = seen()
        assert max(one) == 255
        assert sum(one) / 255 < 100
        shares = page.locator(".row span:last-child").all_text_contents()
        assert len(shares) == 20
        assert sum(float(share.rstrip("%")) for share in shares[:10]) == pytest.approx(100, abs=1)
        page.get_by_role("button", name="1", exact=True).click()
        expect(page.locator("#problem")).to_have_text(re.compile(r"saved: .*/drawings/1/[-0-9]+\.png"))
        expect(guesses).to_have_text(["", ""])
        assert max(seen()) == 0
        page.get_by_role("button", name="2", exact=True).click()
        expect(page.locator("#problem")).to_have_text(re.compile("there is no digit in the image"))
        page.get_by_role("button", name="Clear").click()
        turn = [2 * math.pi * step / 30 for step in range(31)]
        stroke([(0.5 + 0.2 * math.sin(angle), 0.5 - 0.3 * math.cos(angle)) for angle in turn])
        expect(guesses).to_have_text(["0", "0"])
        page.keyboard.press("Escape")
        expect(guesses).to_have_text(["", ""])
        page.set_viewport_size({"width": 390, "height": 844})
        widths = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        names = page.locator("h2").all_text_contents()
        browser.close()
    assert [path.parent.name for path in runs.parent.glob("drawings/*/*.png")] == ["1"]
    assert widths[0] <= widths[1]
    assert len(names) == 3
    assert all(name.endswith("/seed0") for name in names[1:])
    assert troubles == []
    assert all(url.startswith((f"http://127.0.0.1:{served}/", "data:")) for url in requested)


def test_the_page_loads_nothing_from_elsewhere(served: int) -> None:
    status, page = ask(served, "/")
    assert status == 200
    assert not re.search(rb"https?://|@import|url\(|src=", page)


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/guess/..",
    ],
)
def test_no_file_can_be_read_through_it(served: int, path: str) -> None:
    assert ask(served, path) == (404, b"Not Found\n")


def test_requests_that_are_no_drawing_are_refused(served: int) -> None:
    assert ask(served, "/guess") == (405, b"Method Not Allowed\n")
    assert ask(served, "/", "POST") == (405, b"Method Not Allowed\n")
    status, answer = ask(served, "/guess", "POST", b"seven")
    assert status == 200
    assert json.loads(answer)["problem"].startswith("the drawing: not an image")
    assert ask(served, "/guess", "POST", bytes(1_000_001))[0] == 413
    assert ask(served, "/", host="elsewhere.example")[0] == 400
    assert ask(served, "/save?label=7", "POST", b"seven") == (403, b"Forbidden\n"), "a page of another origin"
    own = f"http://127.0.0.1:{served}"
    for label in ("10", "-1", "..%2Fx", ""):
        assert ask(served, f"/save?label={label}", "POST", b"seven", origin=own)[0] == 400
    status, answer = ask(served, "/save?label=7", "POST", b"seven", origin=own)
    assert json.loads(answer)["problem"].startswith("the drawing: not an image")


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of every Linux machine")
def test_it_listens_on_one_loopback_address_alone(served: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", served), timeout=5)


def test_a_taken_port_is_told_in_one_line(served: int, runs: Path, script: Script) -> None:
    done = script("draw.py", next(runs.glob("*/seed0")), "--port", served)
    assert done.returncode == 2
    assert done.stderr == f"--port: {served} is not available (Address already in use); --port 0 chooses a free one\n"


def test_what_is_wrong_with_the_command_is_told_in_one_line(script: Script, tmp_path: Path) -> None:
    for arguments, line in {
        ("best", "--port", "70000"): "--port: 70000 is not a whole number from 0 to 65535\n",
        ("best", "--prot", "1"): "--prot: there is no such option; did you mean --port?\n",
        ("q04", "best", "q05"): "q05: at most two runs are compared\n",
    }.items():
        assert script("draw.py", *arguments) == (2, "", line)
    done = script("draw.py", "best", "--port", 0, "--runs-dir", tmp_path)
    assert done == (2, "", f"best: there is no finished run in {tmp_path}\n")


def test_a_missing_extra_is_told_in_one_line(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("werkzeug", "werkzeug.serving"):
        monkeypatch.setitem(sys.modules, name, None)
    done = script("draw.py", "best", "--port", 0)
    assert done.returncode == 2
    assert done.stderr == f"werkzeug is not installed: {installing('draw')}\n"
