"""Runs and sweeps from Python: the command line's runs, as objects."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
import torch
from conftest import ROOT, SHORT
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.container import ErrorbarContainer

import mnist_mlp as lab
from mnist_mlp.config.compose import before_1_4
from mnist_mlp.config.schema import Config
from mnist_mlp.interactive import launch
from mnist_mlp.interactive.sweep import distinguishing
from mnist_mlp.interactive.values import sweep_of, text
from mnist_mlp.statistics import compare, judge, summarize
from mnist_mlp.training import train

Command = Callable[..., int]
VERSION: dict[str, Any] = {"version_base": "1.3"} if before_1_4 else {}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every run be short, in a folder of the test's."""
    texts = launch._texts
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "_texts", lambda overrides: [*SHORT[::2], *texts(overrides), "logger=none"])


def test_a_run_is_the_command_lines(command: Command) -> None:
    assert command("data.steps_per_epoch=2", "trainer=cpu", "logger=none", "batch=25", "epochs=2", "seed=3") == 0
    before = lab.results("runs")
    run = lab.train(batch=25, epochs=2, seed=3)
    assert str(run.folder) in before["folder"].map(lambda folder: str(Path(folder))).to_list()
    assert lab.results("runs").equals(before), "it was found, not trained again"


def test_a_run_has_its_epochs_its_test_and_its_network() -> None:
    run = lab.train("model=deep3", batch=25, epochs=2, show=False)
    assert run.status == "completed"
    assert list(run.history["epoch"]) == [1, 2]
    assert run.result is not None
    assert run.history["val_accuracy"].iloc[1] == run.result.epochs[1].val_accuracy
    assert run.test == run.result.test
    assert not run.network.training
    assert "model=deep3" in repr(run)
    assert "<table" in run._repr_html_()


def test_predictions_are_those_that_the_test_counted() -> None:
    run = lab.train(epochs=1, show=False)
    data = lab.MNISTDataModule()
    data.prepare_data()
    data.setup("test")
    assert data.test_records is not None
    images, labels = data.test_records
    assert run.test is not None
    predicted, probabilities = run.predict(images)
    assert np.mean(predicted == labels.numpy()) == pytest.approx(run.test["accuracy"], abs=1e-9)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    square = (images[:5].reshape(5, 1, 28, 28) / 255).numpy()
    assert run.predict(square).probabilities == pytest.approx(probabilities[:5], abs=1e-6)
    assert run.predict(images[0]).labels == predicted[:1]


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (np.full((1, 784), 255.0), "images with values from 255 to 255"),
        (np.full((1, 784), np.nan), "images with values from nan to nan"),
        (np.zeros((2, 27, 28)), "images of the shape (2, 27, 28)"),
        (np.zeros((0, 784)), "images of the shape (0, 784)"),
        (np.full((1, 784), -1), "images with values from -1 to -1"),
        (np.full((1, 784), "a"), "images of the type <U1"),
        ([np.zeros((28, 28)), np.zeros((14, 14))], "images of different shapes: those of one call have the same"),
        ("nowhere.png", "nowhere.png: "),
    ],
)
def test_what_is_no_image_is_refused(images: Any, line: str) -> None:
    run = lab.train(epochs=1, show=False)
    with pytest.raises(lab.Problem, match=re.escape(line)):
        run.predict(images)


@pytest.mark.parametrize(
    ("overrides", "keys", "line"),
    [
        (["model=deep55"], {}, "did you mean deep5?"),
        ([], {"batchs": 3}, "there is no key batchs; did you mean batch?"),
        ([], {"batch": 0}, "batch=0: batch is a whole number from 1 to 54,000"),
        (["question=q05"], {}, "train: 6 runs, but it trains one; mnist_mlp.sweep trains several"),
        ([3], {}, "3: not an override"),
        ([], {"batch": [1, 25]}, "batch is a whole number"),
    ],
)
def test_an_error_is_the_command_lines(overrides: list[Any], keys: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(lab.Problem, match=re.escape(line)):
        lab.train(*overrides, **keys)
    assert not (tmp_path / "runs").exists()


def test_a_sweep_has_a_row_for_each_run() -> None:
    sweep = lab.sweep("activation=relu,tanh", epochs=1, seed=range(2), show=False)
    table = sweep.table()
    assert list(zip(table["configuration"], table["seed"], strict=True)) == [
        ("baseline", 0),
        ("baseline", 1),
        ("activation=tanh", 0),
        ("activation=tanh", 1),
    ]
    assert set(table["status"]) == {"completed"}
    assert table["activation"].to_list() == ["relu", "relu", "tanh", "tanh"]
    assert len(lab.results("runs")) == len(lab.epochs("runs")) == 4


def test_a_comparison_is_the_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = lab.sweep(activation=["relu", "tanh", "sigmoid"], epochs=1, show=False)
    others = ["activation=tanh", "activation=sigmoid"]
    baseline = (0.975, 0.978, 0.971, 0.98)
    accuracies = {others[0]: (0.976, 0.98, 0.973, 0.983), others[1]: (0.97, 0.98, 0.975, 0.979), "baseline": baseline}
    values = {name: dict(enumerate(each)) for name, each in accuracies.items()}
    monkeypatch.setattr(sweep, "values", lambda of: values)
    rows = sweep.compare("baseline", margin=0.01).set_index("configuration")
    expected = judge([compare(values[name], values["baseline"]) for name in others], 0.01)
    for column in ("p", "verdict", "detectable"):
        assert rows.loc[others, column].to_list() == [getattr(each, column) for each in expected]
    assert rows.loc[others, "difference_low"].to_list() == [each.low for each in expected]
    assert rows.loc[others, "verdict"].to_list() == ["better", "the same"]
    assert sweep.compare("baseline", margin=0.003).set_index("configuration").loc[others[1], "needed"] > 4
    assert rows.loc["baseline", "mean"] == summarize(baseline).mean
    assert np.isnan(rows.loc["baseline", "difference"])


def test_accuracies_have_no_t_interval_where_a_run_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = lab.sweep(activation=["relu", "tanh"], epochs=1, show=False)
    values = {"baseline": {0: 0.97, 1: 0.98, 2: 0.975}, "activation=tanh": {0: 0.1, 1: 0.98, 2: 0.11}}
    monkeypatch.setattr(sweep, "values", lambda of: values)
    baseline, tanh = sweep.compare("baseline").itertuples()
    assert baseline.low < baseline.mean < baseline.high
    assert tanh.mean == pytest.approx(1.19 / 3)
    assert np.isnan([tanh.low, tanh.high]).all()
    (axes,) = sweep.plot().axes
    assert [bars.has_yerr for bars in axes.containers if isinstance(bars, ErrorbarContainer)] == [True, False]


def test_seeds_that_share_a_split_are_not_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = lab.sweep("data.split_seed=0", activation=["relu", "tanh"], epochs=1, show=False)
    values = {"baseline": {0: 0.9, 1: 0.95, 2: 0.97}, "activation=tanh": {0: 0.91, 1: 0.961, 2: 0.98}}
    monkeypatch.setattr(sweep, "values", lambda of: values)
    row = sweep.compare("baseline").iloc[1]
    low, high = compare(values["activation=tanh"], values["baseline"], paired=False).by.interval()
    assert (row["difference_low"], row["difference_high"], row["verdict"]) == (low, high, "undecided")


def test_one_seed_decides_nothing() -> None:
    sweep = lab.sweep(activation=["relu", "tanh"], epochs=1, show=False)
    assert sweep.compare("baseline")["verdict"].to_list()[1] == "too few"


def test_a_lower_loss_is_better_and_none_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = lab.sweep(activation=["relu", "tanh", "sigmoid"], epochs=1, show=False)
    baseline = {0: 1.0, 1: 1.1, 2: 1.2}
    losses = {"baseline": baseline, "activation=tanh": {0: 0.5, 1: 0.61, 2: 0.72}, "activation=sigmoid": baseline}
    monkeypatch.setattr(sweep, "values", lambda of: losses)
    _, tanh, sigmoid = sweep.compare("baseline", of="test_loss").itertuples()
    assert (tanh.verdict, sigmoid.verdict) == ("better", "undecided")
    assert tanh.difference_low < tanh.difference < tanh.difference_high < 0


def test_a_reference_that_is_not_there_is_named() -> None:
    sweep = lab.sweep(activation=["relu", "tanh"], epochs=1, show=False)
    with pytest.raises(lab.Problem, match="tahn: not in this sweep, which has baseline, activation=tanh"):
        sweep.compare("tahn")
    with pytest.raises(lab.Problem, match="did you mean test_accuracy"):
        sweep.compare("baseline", of="test_acuracy")


@pytest.mark.parametrize("override", ["data=mnist,notebook", "data.split_seed=null,5"])
def test_accuracies_on_other_validation_images_are_compared_as_independent_samples(
    override: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = lab.sweep(override, epochs=1, seed=range(3), show=False)
    accuracies = ({0: 0.97, 1: 0.975, 2: 0.972}, {0: 0.981, 1: 0.979, 2: 0.985})
    values = dict(zip(sweep.values("val_accuracy"), accuracies, strict=True))
    monkeypatch.setattr(sweep, "values", lambda of: values)
    (_, row) = sweep.compare(of="val_accuracy").itertuples()
    expected = compare(accuracies[1], accuracies[0], paired=False)
    assert (row.n, row.difference, row.p) == (3, expected.difference, expected.p)


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ({}, "test accuracy, %"),
        ({"of": "val_accuracy", "x": "epoch"}, "validation accuracy, %"),
        ({"of": "train_loss", "x": "epoch"}, "training loss"),
        ({"of": "seconds", "x": "batch"}, "seconds of a run"),
    ],
)
def test_a_figure_names_its_axes(arguments: dict[str, str], title: str) -> None:
    figure = lab.sweep(batch=[10, 100], epochs=2, seed=range(2), show=False).plot(**arguments)
    assert isinstance(figure, matplotlib.figure.Figure)
    (axes,) = figure.axes
    assert axes.get_ylabel().startswith(title)
    low, high = axes.dataLim.intervaly
    assert axes.get_ylim()[0] <= max(low, 0.01)
    assert axes.get_ylim()[1] >= min(high, 0.9995)


@pytest.mark.parametrize("arguments", [{"of": "loss"}, {"x": "bach"}, {"of": "val_acc", "x": "epoch"}])
def test_a_figure_of_no_column_is_refused(arguments: dict[str, str]) -> None:
    sweep = lab.sweep(batch=[10, 100], epochs=1, show=False)
    with pytest.raises(lab.Problem, match="did you mean"):
        sweep.plot(**arguments)


def test_configurations_of_one_label_stay_apart() -> None:
    assert distinguishing({"a": "foo", "b": "foo", "c": "bar"}) == {"a": "foo-a", "b": "foo-b", "c": "bar"}


def test_a_question_has_the_baseline() -> None:
    names = lab.question("q05", epochs=1, seed=[0], show=False).names
    assert sorted(names.values()) == ["baseline", "q05"]


@pytest.mark.slow
def test_a_sweep_runs_in_parallel() -> None:
    sweep = lab.sweep("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", epochs=1, seed=range(3), show=False)
    assert [run.status for run in sweep.runs] == ["completed"] * 3


def test_a_failed_run_does_not_stop_a_sweep_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    keys: dict[str, Any] = {"optimizer.lr": [1e-3, 0.01], "data.dir": "/dev/null"}
    sweep = lab.sweep(epochs=1, **keys)
    assert [run.status for run in sweep.runs] == ["not run"] * 2
    with pytest.raises(lab.Problem, match="fail_fast=true"):
        lab.sweep(epochs=1, fail_fast=True, **keys)


def test_an_interrupted_run_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    from mnist_mlp.callbacks.terminal import Terminal

    whole = lab.train(epochs=3, seed=1, runs_dir="whole", show=False)
    shown = Terminal.on_train_epoch_start

    def interrupt(self: Terminal, trainer: Any, pl_module: Any) -> None:
        shown(self, trainer, pl_module)
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Terminal, "on_train_epoch_start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            lab.train(epochs=3, seed=1, show=False)
    assert lab.results("runs")["status"].to_list() == ["interrupted"]
    assert lab.train(epochs=3, seed=1, show=False).test == whole.test


def test_threads_take_turns() -> None:
    runs: list[Any] = []
    threads = [
        threading.Thread(target=lambda seed=seed: runs.append(lab.train(epochs=1, seed=seed, show=False)))
        for seed in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = {seed: lab.train(epochs=1, seed=seed, runs_dir="alone", show=False).test for seed in range(2)}
    assert {run.seed: run.test for run in runs} == alone


def test_a_running_event_loop_does_no_harm() -> None:
    async def cell() -> Any:
        return lab.train(epochs=1, show=False)

    assert asyncio.run(cell()).status == "completed"


def test_the_job_of_another_hydra_application_can_train() -> None:
    with initialize_config_dir(str(ROOT / "conf"), **VERSION):
        other = GlobalHydra.instance().hydra
        lab.train(epochs=1, show=False)
        assert GlobalHydra.instance().hydra is other
    assert not GlobalHydra.instance().is_initialized()
    assert HydraConfig.instance().cfg is None


@pytest.mark.parametrize("show", [True, False])
def test_what_a_run_shows_does_not_go_through_an_applications_own_log(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, show: bool
) -> None:
    caplog.set_level("INFO")  # as Hydra's applications have it
    lab.train(epochs=1, show=show)
    assert caplog.messages == []
    assert capsys.readouterr().out.count("validation loss") == show


def test_a_composed_configuration_comes_alone(tmp_path: Path) -> None:
    with initialize_config_dir(str(ROOT / "conf"), **VERSION):
        composed = hydra_compose("config", SHORT)
    for more, keys in (((), {"epochs": 2}), (("epochs=2",), {}), ((composed,), {})):
        with pytest.raises(lab.Problem, match="train: a composed configuration comes alone"):
            lab.train(composed, *more, show=False, **keys)


@pytest.mark.parametrize("more", [[], ["epochs=1"], ["experiment=q05"]])
def test_a_composed_question_is_refused_as_it_is_several_runs(tmp_path: Path, more: list[str]) -> None:
    with initialize_config_dir(str(ROOT / "conf"), **VERSION):
        composed = hydra_compose("config", [*SHORT, "question=q05", *more])
    with pytest.raises(lab.Problem, match=r"question=q05: several runs.*; use mnist_mlp.question\('q05'\)"):
        lab.train(composed, show=False)


def test_what_hydra_composed_elsewhere_can_be_trained(tmp_path: Path) -> None:
    with initialize_config_dir(str(ROOT / "conf"), **VERSION):
        composed = hydra_compose("config", [*SHORT, "activation=tanh", "logger=none"])
    run = lab.train(composed, show=False)
    assert run.folder == lab.train("activation=tanh", epochs=1, **{"data.steps_per_epoch": 2}).folder
    assert run.label.startswith("activation=tanh")


def test_an_incomplete_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(lab.Problem, match="is missing"):
        lab.train(Config())
    with pytest.raises(lab.Problem, match=r"use mnist_mlp.train\(config\)"):
        train(Config())
    assert not (tmp_path / "runs").exists()


def test_importing_the_package_is_cheap() -> None:
    heavy = "{'torch', 'hydra', 'pandas', 'matplotlib', 'lightning'}"
    line = f"import sys, mnist_mlp; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "set()"


def test_a_folder_that_is_not_there_is_named() -> None:
    with pytest.raises(lab.Problem, match="nowhere: there is no such folder of runs"):
        lab.results("nowhere")


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
single = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words
values = st.recursive(single, lambda each: st.lists(each, max_size=3))


@given(values)
def test_hydra_reads_a_value_as_it_was(value: Any) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"key={text(value)}"])
    assert plain(override.value()) == value


@given(st.lists(single, min_size=2, max_size=4))
def test_a_list_has_the_values_of_a_sweep(several: list[Any]) -> None:
    (override,) = OverridesParser.create().parse_overrides(sweep_of({"key": several}))
    assert override.is_sweep_override()
    parsed = OverridesParser.create().parse_overrides([f"key={each}" for each in override.sweep_string_iterator()])
    assert [plain(each.value()) for each in parsed] == several


def plain(value: Any) -> Any:
    """Take the quotes away that Hydra's parser keeps."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return getattr(value, "text", value)


def test_numbers_of_numpy_and_torch_are_values() -> None:
    assert [text(np.float64(0.5)), text(np.arange(2)), text(torch.tensor(3)), text(Path("a b"))] == [
        "0.5",
        "[0,1]",
        "3",
        "'a b'",
    ]
    with pytest.raises(lab.Problem, match="seed: the list of its values is empty"):
        lab.sweep(seed=[])


class Own(torch.nn.Sequential):
    def __init__(self, units: int = 8) -> None:
        super().__init__(torch.nn.Linear(784, units), torch.nn.ReLU(), torch.nn.Linear(units, 10))


def test_a_sweep_trains_networks_of_the_users_own() -> None:
    instance = Own(4)
    before = instance[0].weight.detach().clone()
    models = [Own, partial(Own, units=16), instance, "deep3"]
    sweep = lab.sweep(model=models, epochs=1, show=False)
    assert [run.status for run in sweep.runs] == ["completed"] * 4
    assert [run.result.parameters for run in sweep.runs if run.result][:3] == [6370, 12730, 3190]
    assert len(set(sweep.names.values())) == 4
    assert torch.equal(instance[0].weight, before), "copies of it are trained"
    again = lab.sweep(model=Own, seed=range(2), epochs=1, show=False)
    assert [run.seed for run in again.runs] == [0, 1]
    assert again.runs[0].test == lab.train(model=Own, epochs=1, show=False).test == sweep.runs[0].test


def test_networks_of_the_users_own_that_a_sweep_cannot_train_are_named(tmp_path: Path) -> None:
    with pytest.raises(lab.Problem, match=r"must be a class of torch\.nn\.Module"):
        lab.sweep(model=[Own, len], epochs=1)
    with pytest.raises(lab.Problem, match="model=deep33: model is one of"):
        lab.sweep(model=[Own, "deep33"], epochs=1)
    with pytest.raises(lab.Problem, match=re.escape("by its name, as in 'model._target_=my_package.Net'")):
        lab.sweep("hydra/launcher=joblib", model=Own, epochs=1)
    assert not (tmp_path / "runs").exists()


BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_pages_code_runs() -> None:
    assert len(BLOCKS) >= 5
    names: dict[str, Any] = {}
    for block in BLOCKS:
        exec(dedent(block), names)
    assert names["labels"].shape == (10,)


def test_who_imports_the_module_lab_is_told_what_to_type() -> None:
    from mnist_mlp import lab as module

    with pytest.raises(AttributeError, match=r"mnist_mlp\.lab has no train; to train, type `import mnist_mlp as lab`"):
        _ = module.train
