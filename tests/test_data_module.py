"""The data module serves any LightningModule, and code without a trainer."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch.nn import functional

from mnist_mlp.data import MNISTDataModule
from mnist_mlp.errors import Problem

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


class Linear(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(784, 10)
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images)

    def training_step(self, batch: Any) -> torch.Tensor:
        images, labels = batch
        self.seen.append(labels)
        return functional.cross_entropy(self(images), labels)

    def validation_step(self, batch: Any) -> None:
        images, labels = batch
        self.log("accuracy", (self(images).argmax(dim=1) == labels).float().mean())

    test_step = validation_step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters())


def trainer(folder: Path, epochs: int = 2, **arguments: Any) -> lightning.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return lightning.Trainer(max_epochs=epochs, default_root_dir=folder, **quiet, **arguments)


def orders(data: MNISTDataModule, *epochs: int) -> torch.Tensor:
    return torch.cat([labels for epoch in epochs for _, labels in data.training_batches(epoch)])


def test_a_plain_module_is_trained_validated_and_tested(tmp_path: Path) -> None:
    model, data, plain = Linear(), MNISTDataModule(batch=500, steps_per_epoch=30, seed=3), trainer(tmp_path)
    plain.fit(model, data)
    assert plain.global_step == 60
    assert plain.callback_metrics["accuracy"] > 0.7
    (validated,) = plain.validate(model, data, verbose=False)
    (tested,) = plain.test(model, data, verbose=False)
    assert 0.7 < validated["accuracy"] != tested["accuracy"] > 0.7


def test_each_epoch_of_a_plain_trainer_has_its_own_order(tmp_path: Path) -> None:
    model, data = Linear(), MNISTDataModule(steps_per_epoch=2, seed=3)
    trainer(tmp_path).fit(model, data)
    assert torch.equal(torch.cat(model.seen), orders(data, 0, 1))
    assert not torch.equal(orders(data, 0), orders(data, 1))


def test_a_resumed_fit_of_a_plain_trainer_goes_on_with_the_next_order(tmp_path: Path) -> None:
    data = MNISTDataModule(steps_per_epoch=2, seed=3)
    trainer(tmp_path, epochs=1).fit(Linear(), data)
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    model = Linear()
    trainer(tmp_path, epochs=3).fit(model, data, ckpt_path=checkpoint, weights_only=True)
    assert torch.equal(torch.cat(model.seen), orders(data, 1, 2))


def test_overfitting_sees_the_same_batches_in_each_epoch(tmp_path: Path) -> None:
    model, data = Linear(), MNISTDataModule(seed=3)
    trainer(tmp_path, overfit_batches=2).fit(model, data)
    assert torch.equal(torch.cat(model.seen), orders(data, 0)[:200].repeat(2))


def test_prediction_gets_the_test_images(tmp_path: Path) -> None:
    data = MNISTDataModule()
    (logits,) = trainer(tmp_path).predict(Linear(), data) or ()
    assert logits.shape == (10_000, 10)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ({"protocol": "notebok"}, "protocol=notebok: protocol is one of disjoint, notebook; did you mean notebook?"),
        ({"dataset": "kmnits"}, "dataset=kmnits: dataset is one of mnist, fashion, kmnist, "),
        ({"batch": 0}, "batch=0: batch is "),
    ],
)
def test_what_the_data_module_cannot_be_made_of_is_told(argument: dict[str, Any], said: str) -> None:
    with pytest.raises(Problem) as problem:
        MNISTDataModule(**argument)
    assert str(problem.value).startswith(said)


def test_each_seed_has_a_split_of_its_own_unless_one_is_given() -> None:
    def validation(**keys: int) -> list[int]:
        data = MNISTDataModule(**keys)
        data.setup("fit")
        return list(data.protocol.validation())

    assert validation(seed=1) != validation(seed=2)
    assert validation(seed=1, split_seed=0) == validation(seed=2, split_seed=0) == validation()


def test_without_a_trainer_each_pass_has_the_order_of_the_next_epoch() -> None:
    data = MNISTDataModule(steps_per_epoch=2)
    data.prepare_data()
    data.setup()
    images, labels = next(iter(data.train_dataloader()))
    assert (images.shape, images.dtype, labels.shape) == ((100, 784), torch.float32, (100,))
    passes = [torch.cat([labels for _, labels in data.train_dataloader()]) for _ in range(2)]
    assert torch.equal(torch.cat(passes), orders(data, 1, 2))


@pytest.mark.parametrize(("batch", "steps_per_epoch", "chunk"), [(100, None, None), (7_000, None, 3), (20, 5, 2)])
def test_the_loader_knows_the_sizes_of_its_steps(batch: int, steps_per_epoch: int | None, chunk: int | None) -> None:
    data = MNISTDataModule(batch=batch, steps_per_epoch=steps_per_epoch, steps_per_execution=chunk)
    data.setup("fit")
    loader = data.train_dataloader()
    sizes = [len(labels) for _, labels in data.training_batches(0)]
    assert [loader.size_of(step) for step in range(loader.steps)] == sizes
    assert loader.samples == sum(sizes)
    assert len(list(loader)) == len(loader)
    assert all(size == batch for size, _ in pairwise(sizes))
