"""The gradient noise scale: its value is that of brute force, and measuring it changes nothing in a run."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.compose import compose_run, composing
from mnist_mlp.config.identity import identity
from mnist_mlp.tracking import probe
from mnist_mlp.tracking.noise_scale import COLUMNS, Estimate, NoiseScale, estimate, write

RUN = ["data.steps_per_epoch=5", "epochs=2", "width=8", "trainer=cpu", "logger=csv", "model.dropout=0.5"]
MEASURED = ["callbacks=[light,noise_scale]", "callbacks.noise_scale.samples=300", "callbacks.noise_scale.batch=10"]
OPTIMIZER = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}
IMAGES = 4_000


@pytest.fixture(scope="module")
def gradients() -> Tensor:
    """The gradient of each of some images, of a small network at its start, whose noise scale is about 7."""
    torch.manual_seed(0)
    model = MNISTClassifier({"hidden_sizes": [4], "activation": "tanh"}, OPTIMIZER)
    images, labels = torch.zeros(IMAGES, 784), torch.randint(10, (IMAGES,)).clamp(max=6)
    images[:, :20] = torch.rand(IMAGES, 20)  # so that most gradients are zero, and can be left out

    def loss(parameters: dict[str, Tensor], image: Tensor, label: Tensor) -> Tensor:
        logits = torch.func.functional_call(model.network, parameters, (image.unsqueeze(0),))
        return functional.cross_entropy(logits, label.unsqueeze(0))

    parameters = {name: each.detach() for name, each in model.network.named_parameters()}
    of_each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, images, labels)
    flat = torch.cat([each.flatten(1) for each in of_each.values()], dim=1)
    torch.testing.assert_close(flat.mean(dim=0), together(model, images, labels), rtol=1e-3, atol=1e-6)
    return flat[:, flat.any(dim=0)].double()


def together(model: MNISTClassifier, images: Tensor, labels: Tensor) -> Tensor:
    return torch.cat([each.flatten() for each in probe.gradients(model, images, labels).values()])


def by_brute_force(gradients: Tensor, small: int, big: int, draws: int = 2_000) -> float:
    """The noise scale from the squared norms of many drawn batches of two sizes."""
    random = torch.Generator().manual_seed(0)
    squares = []
    for size in (small, big):
        rows = torch.randint(len(gradients), (draws, size), generator=random)
        norms = [gradients[each].mean(dim=0).square().sum() for each in rows]
        squares.append(float(torch.stack(norms).mean()))
    # The squared norm is |G|² + variance / size: two sizes give both.
    variance = (squares[0] - squares[1]) / (1 / small - 1 / big)
    return variance / (squares[1] - variance / big)


def scale_of(gradients: Tensor, size: int) -> float:
    scale = estimate((part.mean(dim=0) for part in gradients.split(size)), size).scale
    assert scale is not None
    return scale


@pytest.mark.parametrize("size", [1, 10])
def test_the_scale_is_that_of_many_draws_of_two_sizes_within_five_percent(gradients: Tensor, size: int) -> None:
    assert scale_of(gradients, size) == pytest.approx(by_brute_force(gradients, 4, 64), rel=0.05)


def test_of_single_samples_it_is_the_variance_over_the_squared_mean_without_bias(gradients: Tensor) -> None:
    few = gradients[:50]
    mean, variance = few.mean(dim=0), few.var(dim=0).sum()
    found = estimate(few, 1)
    assert found.variance == pytest.approx(float(variance))
    assert found.squared_norm == pytest.approx(float(mean.square().sum() - variance / 50))


def test_the_estimates_of_few_samples_are_right_on_average(gradients: Tensor) -> None:
    random = torch.Generator().manual_seed(0)
    draws = [gradients[torch.randint(IMAGES, (40,), generator=random)] for _ in range(1_000)]
    found = [estimate((part.mean(dim=0) for part in draw.split(4)), 4) for draw in draws]
    everything = estimate(gradients, 1)
    for name in ("squared_norm", "variance"):
        mean = sum(getattr(each, name) for each in found) / len(found)
        assert mean == pytest.approx(getattr(everything, name), rel=0.03)


def test_noise_that_hides_the_mean_has_no_scale(tmp_path: Path) -> None:
    hidden = Estimate(-0.1, 2.0)
    assert hidden.scale is None
    write(tmp_path / "noise_scale.csv", 1, hidden)
    assert rows(tmp_path) == [{"epoch": "1", "noise_scale": "", "squared_norm": "-0.1", "variance": "2.0"}]


def test_an_epoch_that_a_resumed_run_repeats_stands_there_once(tmp_path: Path) -> None:
    for epoch, variance in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 4.0)):
        write(tmp_path / "noise_scale.csv", epoch, Estimate(1.0, variance))
    assert [(row["epoch"], row["noise_scale"]) for row in rows(tmp_path)] == [("1", "1.0"), ("2", "4.0")]


def rows(folder: Path, name: str = "noise_scale.csv") -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


def test_a_run_logs_it_and_has_the_same_identity_and_weights_as_without_it(
    command: Callable[..., int], tmp_path: Path
) -> None:
    with composing():
        assert identity(compose_run([*RUN, *MEASURED])) == identity(compose_run(RUN))
    assert command(*RUN, "callbacks=light") == 0
    (folder,) = (tmp_path / "runs").glob("*/seed0")
    without = weights(folder)
    assert command(*RUN, *MEASURED, "overwrite=true") == 0
    assert all(torch.equal(each, weights(folder)[name]) for name, each in without.items())
    found = rows(folder)
    assert tuple(found[0]) == COLUMNS
    assert [row["epoch"] for row in found] == ["1", "2"]
    logged = [row for row in rows(folder, "metrics.csv") if row["optimizer/noise_scale"]]
    assert [(row["step"], row["optimizer/noise_scale"]) for row in logged] == [
        (row["epoch"], row["noise_scale"]) for row in found if row["noise_scale"]
    ]
    assert logged


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"batch": 0}, "batch=0: batch is a whole number of at least 1"),
        ({"samples": 1}, "samples=1: samples is a whole number of at least 2"),
        ({"samples": 2.5}, "samples=2.5: samples is a whole number of at least 2"),
    ],
)
def test_too_few_samples_are_an_error(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        NoiseScale(**values)
