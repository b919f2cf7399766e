"""Deformed images: what each parameter does, and that the seed and the epoch determine them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_training import results

from mnist_mlp.augmentation import Deformation
from mnist_mlp.data import MNISTDataModule

Command = Callable[..., int]


def a_bar(count: int = 200) -> torch.Tensor:
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    images[:, 6:22, 12:16] = 255
    return images.view(count, 784)


def centers(images: torch.Tensor) -> torch.Tensor:
    """Give the center of mass of each image, across and down, in pixels from its middle."""
    pixels = images.view(-1, 28, 28).double()
    places = torch.arange(28).double() - 13.5
    return torch.stack([(pixels.sum(1) @ places), (pixels.sum(2) @ places)], dim=1) / pixels.sum((1, 2)).unsqueeze(1)


def directions(images: torch.Tensor) -> torch.Tensor:
    """Give the angle of each image's long axis, in degrees from upright."""
    pixels = images.view(-1, 28, 28).double()
    places = torch.arange(28).double() - 13.5
    mass = pixels.sum((1, 2))
    x, y = centers(images).T
    xx = (pixels.sum(1) @ places**2) / mass - x * x
    yy = (pixels.sum(2) @ places**2) / mass - y * y
    xy = torch.einsum("nyx,y,x->n", pixels, places, places) / mass - x * y
    return torch.rad2deg(0.5 * torch.atan2(2 * xy, yy - xx))


def test_nothing_is_deformed_where_nothing_is_asked_for() -> None:
    assert torch.equal(Deformation()(a_bar(), 0), a_bar())


def test_rotations_go_evenly_to_both_sides_and_no_further() -> None:
    found = directions(Deformation(rotation=20)(a_bar(), 0))
    assert found.abs().max() < 21
    assert found.std().item() == pytest.approx(20 / 3**0.5, rel=0.15)
    assert abs(found.mean()) < 2.5


def test_translations_are_pixels() -> None:
    found = centers(Deformation(translation=3)(a_bar(), 0))
    assert found.abs().max() <= 3.01
    assert found.std(dim=0).tolist() == pytest.approx([3**0.5] * 2, rel=0.15)


def test_scaling_changes_width_and_height_each() -> None:
    images = Deformation(scaling=0.2)(a_bar(), 0).view(-1, 28, 28).double() / 255
    widths, heights = images[:, 14].sum(1), images[:, :, 14].sum(1)
    assert 4 * 0.79 < widths.min() < 4 * 0.88 < 4 * 1.12 < widths.max() < 4 * 1.27
    assert 16 * 0.79 < heights.min() < 16 * 0.88 < 16 * 1.12 < heights.max() < 16 * 1.27
    assert abs(np.corrcoef(widths, heights)[0, 1]) < 0.3


def test_a_shear_displaces_rows_in_proportion_to_their_distance_from_the_center() -> None:
    images = Deformation(shear=0.3)(a_bar(), 0).view(-1, 28, 28).double()
    places = torch.arange(28).double()
    by_row = (images @ places) / images.sum(2).clamp(min=1)
    slopes = (by_row[:, 20] - by_row[:, 8]) / 12
    assert slopes.abs().max() < 0.31
    assert slopes.std().item() == pytest.approx(0.3 / 3**0.5, rel=0.15)


def test_elastic_displacements_have_their_deviation_everywhere_and_are_as_smooth_as_filtered_noise() -> None:
    deformation = Deformation(elasticity=1.5, smoothness=3)
    still = Deformation()
    count = 4_000
    moved = deformation._places(count, torch.Generator().manual_seed(0))
    start = still._places(1, torch.Generator().manual_seed(0))
    pixels = (moved - start) * 14
    assert pixels.std(dim=0).flatten().tolist() == pytest.approx([1.5] * (28 * 28 * 2), rel=0.08)
    correlation = (pixels[:, 14, 10, 0] * pixels[:, 14, 14, 0]).mean() / 1.5**2
    assert correlation.item() == pytest.approx(np.exp(-(4**2) / (4 * 3**2)), abs=0.05)


def test_the_seed_determines_the_images() -> None:
    deformation = Deformation(rotation=10, elasticity=1)
    assert torch.equal(deformation(a_bar(), 1), deformation(a_bar(), 1))
    assert not torch.equal(deformation(a_bar(), 1), deformation(a_bar(), 2))


def test_each_epoch_has_its_own_deformations_and_validation_has_none() -> None:
    plain, deformed = (
        MNISTDataModule(steps_per_epoch=2, augmentation=augmentation) for augmentation in (None, Deformation(10))
    )
    for data in (plain, deformed):
        data.prepare_data()
        data.setup("fit")
    first, again, second = (next(iter(deformed.training_batches(epoch))) for epoch in (0, 0, 1))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, second.images)
    assert torch.equal(first.labels, next(iter(plain.training_batches(0))).labels)
    assert (first.images - next(iter(plain.training_batches(0))).images).abs().mean() < 0.1
    for batches in zip(plain.val_dataloader(), deformed.val_dataloader(), strict=True):
        assert torch.equal(batches[0].images, batches[1].images)


@pytest.mark.parametrize("option", ["affine", "elastic"])
def test_the_kernel_trains_on_deformed_images(option: str, command: Command, tmp_path: Path) -> None:
    line = [f"augmentation={option}", "batch=500", "epochs=2", "data.steps_per_epoch=4", "trainer=cpu"]
    losses = []
    for steps in ("auto", "1"):
        assert command(*line, f"trainer.steps_per_execution={steps}", "overwrite=true") == 0
        (result,) = results(tmp_path / "runs").values()
        losses.append([epoch["train_loss"] for epoch in result["epochs"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
