"""Every file of conf/ composes, instantiates and trains."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import lightning
import pytest
import torch
from conftest import ROOT, SHORT
from omegaconf import OmegaConf
from PIL import Image

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.checks import problems
from mnist_mlp.config.compose import CONF, compose, compose_run, composing, jobs, to_config
from mnist_mlp.config.identity import identity, what_counts
from mnist_mlp.config.schema import keys
from mnist_mlp.config.targets import instantiate
from mnist_mlp.config.valid import TRAINING
from mnist_mlp.data import MNISTDataModule
from mnist_mlp.lab import notebook_run_of, notebook_runs, questions
from mnist_mlp.mlp import MLP
from mnist_mlp.training import callbacks_of

FURTHER = {"relu_tanh_sigmoid": ["model=combined"], "folder": ["data.dir=images"]}
"""What options need beside them."""

GROUPS = [
    *("model", "activation", "optimizer", "scheduler", "regularization", "data", "augmentation", "trainer"),
    *("logger", "callbacks", "experiment", "debug"),
]
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((ROOT / "conf" / group).glob("*.yaml"))]
QUESTIONS = [path.stem for path in sorted((ROOT / "conf" / "question").glob("*.yaml"))]
JOBS: list[list[str]] = []
with composing():
    for question in QUESTIONS:
        JOBS += [job for job in jobs([f"question={question}", "seed=0"]) if job not in JOBS]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where there is a folder of images."""
    monkeypatch.chdir(tmp_path)
    for name, shade in ((name, shade) for name in ("dark", "light") for shade in range(70)):
        path = tmp_path / "images" / name / f"{shade}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), shade + 128 * (name == "light")).save(path)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
@pytest.mark.usefixtures("images")
def test_every_option_composes_and_instantiates(group: str, option: str) -> None:
    with composing():
        given = f"[{option}]" if group == "regularization" else option
        config = to_config(compose([f"{group}={given}", *FURTHER.get(option, [])]))
    assert problems(config) == []
    network = MLP(**vars(config.model))
    assert isinstance(instantiate(config.optimizer)(network.parameters()), torch.optim.Optimizer)
    extras = (config.scheduler, config.label_smoothing, config.gradient_clip)
    assert isinstance(MNISTClassifier(vars(config.model), config.optimizer, *extras), lightning.LightningModule)
    deformation = instantiate(config.augmentation) if config.augmentation else None
    assert isinstance(MNISTDataModule(**vars(config.data), augmentation=deformation), lightning.LightningDataModule)
    assert len(instantiate(config.logger)) <= 1
    assert all(isinstance(callback, lightning.Callback) for callback in callbacks_of(config))


def test_no_group_is_left_out() -> None:
    assert sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir()) == sorted(
        [*GROUPS, "hydra", "question"]
    )


def test_every_key_says_what_it_means() -> None:
    assert all(declared.metadata["help"] for _, declared in keys())


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["mnist", pytest.param("notebook", marks=pytest.mark.slow)])
@pytest.mark.parametrize("job", JOBS, ids=" ".join)
def test_every_job_of_every_question_trains(
    command: Callable[..., int], job: list[str], protocol: str, tmp_path: Path
) -> None:
    overrides = [text for text in job if not text.startswith("question=")]
    assert command(*overrides, *SHORT, f"data={protocol}") == 0
    (record,) = (tmp_path / "runs").glob("*/seed0/result.json")
    assert json.loads(record.read_text(encoding="utf-8"))["status"] == "completed"


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_compares_with_the_baseline_over_three_seeds(question: str) -> None:
    with composing():
        all_jobs = jobs([f"question={question}"])
        configs = [to_config(compose(job)) for job in all_jobs]
        baseline = what_counts(to_config(compose([])))
    assert sorted({config.seed for config in configs}) == [0, 1, 2]
    assert sum(what_counts(config) == baseline for config in configs) == 3


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "question").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_question_names_itself_in_what_it_composes(path: Path) -> None:
    with composing():
        assert to_config(compose([f"question={path.stem}"])).chosen["launched"] == path.stem


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_says_what_is_varied_what_is_fixed_and_what_the_notebook_did(question: str) -> None:
    header = (ROOT / "conf" / "question" / f"{question}.yaml").read_text(encoding="utf-8")
    for word in ("# Varied: ", "# Fixed: ", "# The notebook: "):
        assert word in header


def explaining(question: str) -> list[str]:
    """List the experiments that explain a question's answer, without its own."""
    asked, why = (CONF / "question" / f"{name}.yaml" for name in (question, f"{question}_why"))
    if not why.exists():
        return []
    before, after = (OmegaConf.load(path).hydra.sweeper.params.experiment.split(",") for path in (asked, why))
    return [name for name in after if name not in before]


@pytest.mark.parametrize("question", questions())
def test_what_explains_a_question_is_trained_beside_its_variant_and_recorded_as_the_questions(question: str) -> None:
    with composing():
        if f"{question}_why" not in QUESTIONS:
            assert question == "q01"
            assert explaining(question) == []
            return
        configs = [compose_run(job) for job in jobs([f"question={question}_why", "seed=0"])]
        asked = identity(compose_run([f"experiment={question}"]))
        variation = compose_run([f"question={question}_why", "experiment=baseline", "width=50"])
    assert explaining(question)
    assert [config.name for config in configs] == ["baseline", question, *explaining(question)]
    assert [config.chosen["question"] for config in configs] == ["baseline", *[question] * (len(configs) - 1)]
    assert len({identity(config) for config in configs}) == len(configs)
    assert identity(configs[1]) == asked
    assert variation.chosen["question"] == question


@pytest.mark.parametrize("question", questions())
def test_every_explaining_variant_says_in_its_first_line_what_it_explains(question: str) -> None:
    for name in explaining(question):
        if name == "q10_best":  # which is more than an explanation
            continue
        lines = (ROOT / "conf" / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        assert lines[1].startswith(f"# Explains question {int(question[1:])}: ")


def parameters(*overrides: str) -> int:
    with composing():
        network = MLP(**vars(to_config(compose(list(overrides))).model))
    return sum(parameter.numel() for parameter in network.parameters())


def test_variants_of_equal_parameters_and_steps_have_as_many() -> None:
    assert (parameters("experiment=q02_equal_parameters"), parameters()) == (199_240, 199_210)
    assert (parameters("experiment=q03_equal_parameters"), parameters("experiment=q03")) == (401_110, 401_162)
    with composing():
        few, many = (compose_run([f"experiment={name}"]) for name in ("q06_equal_steps", "baseline"))
        same = {identity(compose_run([text])) for text in ("experiment=q03_equal_parameters", "width=350")}
    steps = [math.ceil(TRAINING / config.data.batch) * config.epochs for config in (few, many)]
    assert steps == [2_700, 2_700]
    assert len(same) == 1  # a run of question 1 serves


def test_every_run_of_the_notebook_is_an_experiment_and_every_experiment_as_asked_matches_the_question() -> None:
    lab = json.loads((ROOT / "mnist_mlp" / "lab.json").read_text(encoding="utf-8"))["questions"]
    with composing():
        experiments = {
            path.stem: to_config(compose([f"experiment={path.stem}"]))
            for path in (ROOT / "conf/experiment").glob("*.yaml")
        }
    ran = {
        run.question: name
        for run in notebook_runs()
        for name, config in experiments.items()
        if notebook_run_of(config) == run
    }
    assert ran == {
        "q01": "baseline",
        "q02": "q02",
        "q03": "q03_as_run",
        "q04": "q04_as_run",
        "q05": "q05",
        "q06": "q06",
        "q07": "q07",
        "q08": "q08",
        "q09": "q09_as_run",
        "q10": "q10",
    }
    for name, question in lab.items():
        counts = what_counts(experiments.get(name, experiments["baseline"]))
        asked = question["asked"]
        assert counts["model"]["hidden_sizes"] == asked["hidden"]
        assert counts["model"]["activation"] == asked["activation"]
        assert counts["optimizer"]["lr"] == asked["lr"]
        assert counts["data"]["batch"] == asked["batch"]
        assert counts["epochs"] == asked["epochs"]
