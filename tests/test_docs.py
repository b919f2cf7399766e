"""What the README and the pages of docs/ say is so: every command runs, and links, packages and modules are there."""

import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import ROOT, SHORT, status_of
from PIL import Image

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.cli import train, verbs

GENERATED = ("docs/benchmark.md", "docs/results/report.md", "docs/results/searches/")
PAGES = {
    name: path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        ROOT / "README.es.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    if not (name := path.relative_to(ROOT).as_posix()).startswith(GENERATED)
}
README, SPANISH = PAGES["README.md"], PAGES["README.es.md"]
FENCE = re.compile(r"^( *)```(\w*)(?: file=\S+)?\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Give the commands of a page's blocks and tables."""
    blocks = dict.fromkeys(("bash", "bat", "console"), "")
    for _, language, text in FENCE.findall(page):
        blocks[language] = blocks.get(language, "") + dedent(text)
    prompted = re.findall(r"^\$ (.*)$", blocks["console"], re.MULTILINE)
    return [*(blocks["bash"] + blocks["bat"]).splitlines(), *prompted, *re.findall(r"\| `(python .*?)` \|", page)]


COMMANDS = dict.fromkeys(line for page in PAGES.values() for line in commands(page))
ELSEWHERE = [  # what installs, fetches or takes long; the tests of these scripts, data and the installation have them
    ".venv\\Scripts\\activate",
    "bash scripts/dev/constraints.sh",
    "bash scripts/test.sh",
    "bash scripts/train.sh",
    "jupyter lab docs/notebooks/lab.ipynb",
    "pip install --no-deps -e .",
    "pip install --require-hashes -r scripts/constraints.txt",
    'pip install -e ".[bench]"',
    'pip install -e ".[export,draw]"',
    'pip install -e ".[mlflow,wandb]"',
    'pip install -e ".[notebook]"',
    'pip install -e ".[parallel]"',
    'pip install -e ".[report]"',
    'pip install -e ".[search]"',
    'pip install -e ".[slurm]"',
    "pip install -e .",
    "pip install pre-commit",
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu",
    "pre-commit install",
    "pre-commit run --all-files",
    "python -m venv .venv",
    "python scripts/curve.py batch_steps",
    "python scripts/dev/benchmark.py --parts start,lab,logging",
    "python scripts/dev/benchmark.py --parts steps",
    "python scripts/dev/pictures.py baseline --out docs/results",
    "python scripts/dev/publish.py",
    "python scripts/draw.py q04/seed0 best",
    "python scripts/reproduce.py",
    "python scripts/reproduce.py --protocol disjoint --why",
    "python scripts/reproduce.py --seeds 40",
    "python scripts/search.py q01_width --trials 20",
    "python scripts/search.py q01_width --trials 20 --jobs 2",
    "python scripts/search.py q10 --trials 30",
    'python scripts/table.py "experiment=q10_best data.split_seed=0" "experiment=beyond data.split_seed=0" '
    '"experiment=beyond_augmented data.split_seed=0"',
    'python scripts/table.py "experiment=q10_best data.split_seed=0" "experiment=beyond data.split_seed=0" '
    '"experiment=beyond_augmented data.split_seed=0" --csv docs/results/beyond.csv',
    "python scripts/table.py data=fashion 'experiment=q05 data=fashion'",
    "python train.py data=emnist_digits",
    "python train.py data=fashion",
    "python train.py data=kmnist data.protocol=notebook",
    "python train.py question=q02 hydra/launcher=slurm",
    "python train.py question=q05 data=fashion",
    "python3 -m venv .venv",
    "source .venv/bin/activate",
    "tensorboard --logdir runs",
]
TRAININGS = [line for line in COMMANDS if line.startswith("python train.py") and line not in ELSEWHERE]
VERBS = [line for line in COMMANDS if line.startswith("python scripts/") and line not in ELSEWHERE]

AGAIN = ("seed=12,13,14", "collect.py", "curve.py", "--language es", "seed=range(10)", "time.py --questions q01")
"""In commands that take long, and differ from others in the seeds or the language, or have tests of their own."""


def marked(line: str) -> Any:
    """Mark a command that only `scripts/test.sh --all` runs."""
    return pytest.param(line, marks=[pytest.mark.slow] * any(text in line for text in AGAIN))


def test_the_pages_have_the_commands_that_are_tested() -> None:
    assert len(TRAININGS) >= 25
    assert len(VERBS) >= 4
    assert sorted(COMMANDS.keys() - {*TRAININGS, *VERBS}) == ELSEWHERE


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a folder that has what the pages' commands name: images, and configuration files of one's own."""
    monkeypatch.chdir(tmp_path)
    digit = np.pad(np.full((20, 4), 255, np.uint8), ((4, 4), (12, 12)))
    Image.fromarray(digit).save("photograph.jpg")
    Path("drawings").mkdir()
    Image.fromarray(digit).save("drawings/one_1.png")
    np.save("digits.npy", digit[None])
    for label, number in product(range(2), range(100)):
        path = Path("my_images", str(label), f"{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((28, 28), 100 * label + number, np.uint8)).save(path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    for own in (text for _, language, text in FENCE.findall(PAGES["docs/extending.md"]) if language == "yaml"):
        path = Path(*re.findall(r"^# (\S+\.yaml)$", own, re.MULTILINE))
        path.parent.mkdir(parents=True)
        path.write_text(own, encoding="utf-8")
    for name, text in re.findall(
        r"^```python file=(\S+)\n(.*?)^```", PAGES["docs/extending.md"], re.DOTALL | re.MULTILINE
    ):
        Path(name).write_text(text, encoding="utf-8")
    Path("docs").symlink_to(ROOT / "docs")
    yield tmp_path
    sys.modules.pop("my_package", None)  # of this folder


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("line", [marked(line) for line in TRAININGS])
def test_every_training_command_runs(command: Callable[..., int], line: str) -> None:
    asks = "--help" in line or "--cfg" in line
    one_seed = ["seed=0"] if "question=" in line else []
    short = [] if asks else [override for override in [*SHORT, *one_seed] if override.split("=")[0] not in line]
    line = re.sub(r"epochs=\d+", "epochs=2", line.replace("range(10)", "range(1)").replace("12,13,14", "12"))
    assert command(*shlex.split(line)[2:], *short) == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the networks that the commands for trained ones use."""
    runs = tmp_path_factory.mktemp("trained") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", "-m", "experiment=baseline,q02", *SHORT, f"runs_dir={runs}"])
        assert status_of(train.main) == 0
    return runs


@pytest.mark.parametrize("line", [marked(line) for line in VERBS])
def test_every_command_for_trained_networks_runs(
    files: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    shutil.copytree(trained, files / "runs")
    _, script, *arguments = shlex.split(line)
    shutil.copytree(trained, files / "class" / "ana")
    verb = Path(script).stem
    of_curve = [each for each in [*SHORT, "logger=none", "callbacks=none"] if each.split("=")[0] not in line]
    of_curve = of_curve if "--" in arguments else ["--seeds", "1", "--", *of_curve]
    short = {
        "curve": of_curve,
        "report": ["--", *SHORT],
        "time": ["--rounds", "1", "--", *SHORT],
        "collect": [f"--set={each}" for each in SHORT[:2]],
    }
    monkeypatch.setattr(sys, "argv", ["mnist-mlp", verb, *arguments, *short.get(verb, [])])
    assert status_of(verbs.main) == 0


PROGRAMS = [text for _, language, text in FENCE.findall(PAGES["docs/extending.md"]) if language == "python"]


@pytest.mark.usefixtures("files")
@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_of_the_page_on_extending_run(program: str) -> None:
    exec(program, {"__name__": "program"})


@pytest.mark.parametrize("page", PAGES)
def test_what_has_brackets_is_quoted_for_the_shell(page: str) -> None:
    inline = re.findall(r"`((?:pip |python |[\w.]+=|'\w+).*?)`", FENCE.sub("", PAGES[page]))
    quoted = re.compile(r"'.*?'|\".*?\"")
    assert [line for line in commands(PAGES[page]) + inline if re.search(r"[\[\]{}*?()]", quoted.sub("", line))] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_extra_that_a_page_installs_is_there(page: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name for group in re.findall(r"pip install \S*\[(.*?)\]", PAGES[page]) for name in group.split(",")}
    assert extras <= project["optional-dependencies"].keys()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[page]):
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings], target


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 185
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if not any(page.name in text for text in PAGES.values())
    ] == []


def test_the_spanish_readme_has_the_commands_links_and_figures_of_the_english_one() -> None:
    def without_language(text: str) -> list[str]:
        return [line.removesuffix(" language=es") for line in commands(text)]

    def links(text: str) -> list[str]:
        return sorted(target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("README"))

    def shape(text: str) -> list[str]:
        return [line[:3].strip("| ") for line in FENCE.sub("", text).splitlines() if line.startswith(("#", "|--"))]

    def figures(text: str) -> list[str]:
        return sorted(re.findall(r"\d{2,}", re.sub(r"(?<=\d)[.,\u00a0](?=\d)", "", text)))

    assert without_language(SPANISH) == without_language(README)
    assert links(SPANISH) == links(README)
    assert shape(SPANISH) == shape(README)
    assert figures(SPANISH) == figures(README)


@pytest.mark.parametrize(("page", "chosen"), [(README, ""), (SPANISH, " language=es")], ids=["README", "README.es"])
def test_what_the_readme_shows_of_a_run_is_what_a_run_shows(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], page: str, chosen: str
) -> None:
    (shown,) = re.findall(rf"```console\n\$ python train.py{chosen}\n(.*?)```", page, re.DOTALL)
    assert command("trainer=cpu", *chosen.split()) == 0
    ours = capsys.readouterr().out

    def form(text: str) -> list[str]:
        text = re.sub(r"\S*runs/", "runs/", text)
        text = re.sub(r"\d+ (?:thread|hilo)s?", "N threads", text)
        return re.sub(r" *\d+[.,]\d+", " N", text).strip().splitlines()

    assert form(ours) == form(shown)
    test_accuracy = re.search(r"^test .* (\d+[.,]\d+)\s?%\s+97.97\s?%", ours, re.MULTILINE)
    assert test_accuracy is not None
    assert 97.3 <= float(test_accuracy[1].replace(",", ".")) <= 98.3


def test_the_scripts_train_from_any_directory(tmp_path: Path) -> None:
    line = ["bash", str(ROOT / "scripts" / "train.sh"), *SHORT]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert "runs/steps_per_epoch=2,epochs=1-" in done.stdout
    assert list(tmp_path.glob("runs/*/seed0/result.json"))


def test_tensorboard_serves_the_runs(command: Callable[..., int], tmp_path: Path) -> None:
    assert command(*SHORT) == 0
    line = [sys.executable, "-m", "tensorboard.main", "--logdir", str(tmp_path / "runs"), "--port", "0"]
    server = subprocess.Popen(line, stderr=subprocess.PIPE, encoding="utf-8")
    try:
        assert server.stderr is not None
        address = next(match[0] for text in server.stderr if (match := re.search(r"http://\S+", text)))
        for _ in range(100):
            with urllib.request.urlopen(f"{address}data/runs") as answer:
                runs = answer.read().decode()
            if "seed0" in runs:
                break
            time.sleep(0.1)  # it reads the events in the background
        assert "steps_per_epoch=2,epochs=1" in runs
    finally:
        server.terminate()
        server.communicate()


def test_the_checkpoint_that_is_loaded_is_where_the_page_says(command: Callable[..., int], tmp_path: Path) -> None:
    (path,) = re.findall(r'load_from_checkpoint\("runs/(.*?)"\)', PAGES["docs/sweeps.md"])
    assert command("epochs=5", "trainer=cpu", "batch=100", "experiment=baseline") == 0
    MNISTClassifier.load_from_checkpoint(tmp_path / "runs" / path)


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")}


PACKAGE = ROOT / "mnist_mlp"
PACKAGES = {f"{path.parent.name}/": modules(path.parent) for path in PACKAGE.glob("*/__init__.py")}


def rows(page: str) -> dict[str, list[str]]:
    """Give the table of the packages, by package."""
    table = page.split("| in `mnist_mlp/` |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {first.strip("`"): others for first, *others in cells}


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_tables_of_packages_name_exactly_the_packages(page: str) -> None:
    assert rows(PAGES[page]).keys() == {"(files in the root)"} | PACKAGES.keys()


def test_the_architecture_names_exactly_the_modules_of_each_package() -> None:
    for package, (_, names) in rows(PAGES["docs/architecture.md"]).items():
        named = set(re.findall(r"`(\w+)`", names))
        assert named == PACKAGES.get(package, modules(PACKAGE)), package


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_the_package_that_a_page_names_is_there(page: str) -> None:
    folders = "|".join(name.strip("/") for name in PACKAGES)
    named = re.findall(rf"`(?:mnist_mlp/)?((?:(?:{folders})/)?\w+\.(?:py|cpp|json))`", PAGES[page])
    others = {"train.py", "result.json", "test_NAME.py"} | {path.name for path in ROOT.glob("scripts/**/*.py")}
    missing = [name for name in named if name not in others and not (PACKAGE / name).is_file()]
    assert [name for name in missing if name != "cli/VERB.py"] == []


def test_the_order_of_imports_of_the_architecture_is_that_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    page = PAGES["docs/architecture.md"].split("## The order of imports")[1].split("\n## ")[0]
    place = {
        name: int(row)
        for row, cell in re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)/?`", cell)
    }
    layers = [layer.split(" : ") for layer in reversed(contract["layers"]) if layer != "__main__"]
    assert place.keys() == {name for layer in layers for name in layer}
    for lower, higher in pairwise(layers):
        assert max(place[name] for name in lower) <= min(place[name] for name in higher)


def test_the_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert f"\n## {project['version']}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
