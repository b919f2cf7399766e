"""What runs and sweeps leave for TensorBoard, read with TensorBoard's own reader."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SHORT
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from test_training import results

Command = Callable[..., int]

OVER_EPOCHS = [
    *("accuracy/train", "accuracy/val", "loss/train", "loss/val"),
    *("optimizer/gradient_norm", "optimizer/learning_rate"),
    *("time/epoch_seconds", "time/samples_per_second", "time/seconds"),
]
OVER_STEPS = ["accuracy_by_step/train", "loss_by_step/train"]
AT_EPOCH_ENDS = ["accuracy_by_step/val", "loss_by_step/val"]
AT_THE_END = ["test/accuracy", "test/loss"]
COLUMNS = [
    *("question", "model", "hidden_sizes", "width", "depth", "activation", "optimizer", "lr", "batch", "epochs"),
    *("protocol", "seed"),
]


def events(folder: Path) -> EventAccumulator:
    everything = dict.fromkeys(("scalars", "images", "histograms", "tensors"), 0)
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def only_run(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "runs").glob("*/seed*")
    return folder


def points(read: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in read.Scalars(tag)]


def row(folder: Path) -> dict[str, Any]:
    content = events(folder).summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    found = metadata.parse_session_start_info_plugin_data(content)
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in found.hparams.items()}


def table(folder: Path) -> Any:
    content = events(folder).summary_metadata[metadata.EXPERIMENT_TAG].plugin_data.content
    return metadata.parse_experiment_plugin_data(content)


def test_curves_stand_over_epochs_and_over_optimizer_steps(command: Command, tmp_path: Path) -> None:
    assert command("data.steps_per_epoch=40", "epochs=3", "trainer=cpu") == 0
    read = events(only_run(tmp_path))
    assert sorted(read.Tags()["scalars"]) == sorted([*OVER_EPOCHS, *OVER_STEPS, *AT_EPOCH_ENDS, *AT_THE_END])
    for tag in OVER_EPOCHS:
        assert [step for step, _ in points(read, tag)] == [1, 2, 3]
    for tag in OVER_STEPS:
        assert [step for step, _ in points(read, tag)] == list(range(2, 121, 2))
    for tag in AT_EPOCH_ENDS:
        assert [step for step, _ in points(read, tag)] == [40, 80, 120]
    for tag in AT_THE_END:
        assert [step for step, _ in points(read, tag)] == [3]


def test_curves_are_the_figures_of_the_record(command: Command, tmp_path: Path) -> None:
    assert command("data.steps_per_epoch=40", "epochs=2", "trainer=cpu", "lr=0.01") == 0
    ((_, result),) = results(tmp_path / "runs").items()
    read = events(only_run(tmp_path))
    for measure in ("loss", "accuracy"):
        for stage in ("train", "val"):
            recorded = [epoch[f"{stage}_{measure}"] for epoch in result["epochs"]]
            assert [value for _, value in points(read, f"{measure}/{stage}")] == pytest.approx(recorded)
        assert points(read, f"{measure}_by_step/val") == [
            (40 * epoch, value) for epoch, value in points(read, f"{measure}/val")
        ]
        # The batches are of one size: the mean of an epoch's points is the epoch's mean.
        by_step = [value for _, value in points(read, f"{measure}_by_step/train")]
        assert sum(by_step[:20]) / 20 == pytest.approx(result["epochs"][0][f"train_{measure}"])
        assert points(read, f"test/{measure}") == [(2, pytest.approx(result["test"][measure]))]
    assert [value for _, value in points(read, "optimizer/learning_rate")] == pytest.approx([0.01, 0.01])
    seconds = [epoch["seconds"] for epoch in result["epochs"]]
    assert [value for _, value in points(read, "time/seconds")] == pytest.approx([seconds[0], sum(seconds)])
    assert points(read, "time/samples_per_second")[1][1] == pytest.approx(4000 / seconds[1])


def test_points_of_single_steps_do_not_depend_on_how_the_steps_are_taken(command: Command, tmp_path: Path) -> None:
    curves = []
    for steps in ("1", "7", "auto"):
        arguments = ["data.steps_per_epoch=50", "epochs=2", "trainer=cpu", f"trainer.steps_per_execution={steps}"]
        assert command(*arguments, "overwrite=true") == 0
        read = events(only_run(tmp_path))
        curves.append([points(read, tag) for tag in OVER_STEPS])
    for other in curves[1:]:
        for ours, theirs in zip(curves[0], other, strict=True):
            assert [step for step, _ in ours] == [step for step, _ in theirs]
            assert [value for _, value in ours] == pytest.approx([value for _, value in theirs], rel=1e-3)


def test_a_row_of_hparams_has_words_and_numbers(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT, "experiment=q10", "seed=3") == 0
    assert row(only_run(tmp_path)) == {
        "question": "q10",
        "model": "combined",
        "hidden_sizes": "256-128-192",
        "width": 256.0,
        "depth": 3.0,
        "activation": "relu-tanh-sigmoid",
        "optimizer": "Adam",
        "lr": 0.0005,
        "batch": 25.0,
        "epochs": 1.0,
        "protocol": "disjoint",
        "seed": 3.0,
    }
    metrics = [metric.name.tag for metric in table(only_run(tmp_path)).metric_infos]
    assert metrics == ["accuracy/val", "test/accuracy", "loss/val", "test/loss", "time/seconds"]
    assert set(metrics) <= set(events(only_run(tmp_path)).Tags()["scalars"])


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["experiment=baseline"], "baseline"),
        (["experiment=q09_as_run"], "q09"),
        (["experiment=q05", "data=notebook"], "q05"),
        (["width=64"], "none"),
        (["-m", "question=q01", "width=64", "seed=0"], "q01"),
    ],
    ids=" ".join,
)
def test_a_run_is_filed_under_its_question(
    command: Command, tmp_path: Path, arguments: list[str], question: str
) -> None:
    assert command(*arguments, *SHORT) == 0
    if question == "baseline":  # cut short, it is not the baseline, and has its name
        question = "none"
    assert row(only_run(tmp_path))["question"] == question


@pytest.mark.slow
def test_a_sweep_of_20_runs_has_one_table_with_the_same_columns(command: Command, tmp_path: Path) -> None:
    experiments = "baseline,q02,q03,q04,q05,q06,q08,q09,q09_as_run,q10"
    assert command("-m", *SHORT, f"experiment={experiments}", "seed=0,1", "callbacks=light") == 0
    folders = sorted((tmp_path / "runs").glob("*/seed*"))
    assert len(folders) == 20
    (first, *others) = (table(folder) for folder in folders)
    assert all(other == first for other in others)
    assert [column.name for column in first.hparam_infos] == COLUMNS
    rows = [row(folder) for folder in folders]
    kinds = {name: {type(values[name]) for values in rows} for name in COLUMNS}
    assert all(len(kind) == 1 for kind in kinds.values())
    assert len({json.dumps(values, sort_keys=True) for values in rows}) == 20
    for folder in folders:
        scalars = events(folder).Tags()["scalars"]
        assert len(scalars) == len(OVER_EPOCHS) - 1 + len(OVER_STEPS) + len(AT_EPOCH_ENDS) + len(AT_THE_END)
        assert events(folder).Tags()["images"] == []
    assert len(list((tmp_path / "runs").glob("mean of 2 seeds/*"))) == 10


def test_a_variants_mean_over_seeds_is_a_run_of_its_own(command: Command, tmp_path: Path) -> None:
    sweep = ["-m", *SHORT, "epochs=2", "callbacks=light"]
    assert command(*sweep, "seed=0,1,2") == 0
    found = list(results(tmp_path / "runs").values())
    (variant,) = (tmp_path / "runs").glob("*/seed0/..")
    folder = tmp_path / "runs" / "mean of 3 seeds" / variant.resolve().name
    read = events(folder)
    for tag, values in {
        "accuracy/val": [result["epochs"][-1]["val_accuracy"] for result in found],
        "loss/train": [result["epochs"][-1]["train_loss"] for result in found],
        "test/accuracy": [result["test"]["accuracy"] for result in found],
    }.items():
        mean = sum(values) / 3
        half = stats.t.ppf(0.975, 2) * math.sqrt(sum((value - mean) ** 2 for value in values) / 2 / 3)
        assert points(read, tag)[-1] == (2, pytest.approx(mean))
        assert points(read, f"with_interval/{tag.replace('/', '_')}_mean")[-1] == (2, pytest.approx(mean))
        interval = [points(read, f"with_interval/{tag.replace('/', '_')}_{end}")[-1][1] for end in ("low", "high")]
        assert interval == pytest.approx([mean - half, mean + half])
    assert metadata.SESSION_START_INFO_TAG not in read.summary_metadata  # it is no row of HParams

    (written,) = folder.iterdir()
    assert command(*sweep, "seed=0,1") == 0
    assert list(folder.iterdir()) == [written]
    (variant / "mean").mkdir()  # as version 0.1.0 named it
    assert command(*sweep, "seed=3") == 0
    assert not folder.parent.exists()
    assert not (variant / "mean").exists()
    assert points(events(tmp_path / "runs" / "mean of 4 seeds" / folder.name), "accuracy/val")[0][0] == 1


def test_tensorboard_groups_the_tags_of_intervals_last(command: Command, tmp_path: Path) -> None:
    assert command("-m", "data.steps_per_epoch=2", "epochs=2", "trainer=cpu", "callbacks=full", "seed=0,1") == 0
    groups = {
        tag.partition("/")[0]
        for folder in (tmp_path / "runs").glob("[!.]*/*")
        for kind in ("scalars", "images", "histograms")
        for tag in events(folder).Tags()[kind]
    }
    assert max(groups) == "with_interval"


def test_a_mean_takes_two_seeds_and_a_tensorboard(command: Command, tmp_path: Path) -> None:
    assert command("-m", *SHORT, "seed=0", "lr=0.1,0.2") == 0
    assert command("-m", *SHORT, "seed=0,1", "logger=csv") == 0
    assert list((tmp_path / "runs").glob("mean*")) == []


def test_everything_is_shown_of_the_first_and_the_last_epoch(command: Command, tmp_path: Path) -> None:
    assert command("data.steps_per_epoch=2", "epochs=3", "trainer=cpu", "callbacks=full", "experiment=q05") == 0
    read = events(only_run(tmp_path))
    tags = read.Tags()
    pictures = ["confusion_matrix/test", "mistakes/test", "weights/first_layer"]
    assert sorted(tags["images"]) == pictures
    for tag in pictures:
        assert [image.step for image in read.Images(tag)] == [1, 3]
    layers = [f"{kind}/layer_{number}" for kind in ("weights", "gradients") for number in (1, 2, 3)]
    histograms = sorted([*layers, "activations/layer_1", "activations/layer_2"])
    assert sorted(tags["histograms"]) == histograms
    for tag in histograms:
        assert [histogram.step for histogram in read.Histograms(tag)] == [1, 3]
    counts = read.Histograms("weights/layer_1")[0].histogram_value
    assert counts.num == 784 * 200
    curves = [f"test/digit_{digit}" for digit in range(10)]
    texts = ["configuration/text_summary", "question/text_summary"]
    assert set(curves + texts) <= set(tags["tensors"])
    assert [event.step for event in read.Tensors("test/digit_7")] == [1, 3]
    (configuration,), (question,) = (read.Tensors(text)[0].tensor_proto.string_val for text in texts)
    assert yaml.safe_load(configuration.decode().strip("`").removeprefix("yaml"))["model"]["activation"][1] == "tanh"
    assert "Apply ReLU to the first hidden layer and tanh to the second." in question.decode()
    assert tags["graph"]


def test_without_a_last_layer_to_look_at_there_is_one_look(command: Command, tmp_path: Path) -> None:
    assert command(*SHORT) == 0
    assert [image.step for image in events(only_run(tmp_path)).Images("mistakes/test")] == [1]


def test_a_run_that_diverges_keeps_what_came_before(command: Command, tmp_path: Path) -> None:
    arguments = ["data.steps_per_epoch=30", "epochs=3", "trainer=cpu", "optimizer=sgd", "lr=1e12", "callbacks=full"]
    assert command(*arguments) == 0
    ((_, result),) = results(tmp_path / "runs").items()
    assert result["status"] == "diverged"
    read = events(only_run(tmp_path))
    assert row(only_run(tmp_path))["lr"] == 1e12
    for tag in read.Tags()["scalars"]:
        assert all(math.isfinite(value) for _, value in points(read, tag))
