"""The data module and the two protocols: how the records are split, shuffled and put into batches."""

import math
from collections.abc import Iterator
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple, Protocol, runtime_checkable

import lightning
import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mnist_mlp import datasets, mnist
from mnist_mlp.augmentation import Deformation
from mnist_mlp.config.valid import BATCH, DATASETS, Names, problem_of
from mnist_mlp.errors import Problem

RECORDS = 60_000
PART = 10
"""One record in so many validates."""
BUFFER = 10_000


class Stream(IntEnum):
    """The random streams of a run: the first word of each one's seed, as numpy takes [0] and [0, 0] for the same."""

    SPLIT = 0
    ORDER = 1
    AUGMENTATION = 2
    DROPOUT = 3  # and noise


Rows = np.ndarray[tuple[int], np.dtype[np.int64]]
"""Numbers of records, in the order in which they are used."""


class Batch(NamedTuple):
    """The input of one training, validation or test step.

    Attributes:
        images: float32 in [0, 1].
        labels: the digits.
    """

    images: Float[Tensor, "samples 784"]
    labels: Int64[Tensor, " samples"]


class Chunk(NamedTuple):
    """The samples of several optimizer steps.

    Attributes:
        records: the images and labels.
        rows: the numbers of the records, in order.
        size: the samples of one optimizer step; the last step has the remaining ones.
        before: the samples of the epoch before these.
    """

    records: mnist.Records
    rows: Int64[Tensor, " samples"]
    size: int
    before: int = 0


@runtime_checkable
class SplitAndShuffle(Protocol):
    """A protocol: which of the records validate, and which train in which order."""

    def validation(self) -> Rows:
        """Return the validation rows, 6,000 of 60,000."""
        ...

    def training(self, seed: int, epoch: int) -> Rows:
        """Return the training rows of an epoch, in order; they depend on `seed` and `epoch` alone."""
        ...


class Disjoint:
    """The disjoint protocol: validation and training never share a record, and each epoch is a full reshuffle.

    Args:
        split_seed: determines the split.
        records: their number.
    """

    def __init__(self, split_seed: int, records: int = RECORDS) -> None:
        rows = np.random.default_rng([Stream.SPLIT, split_seed]).permutation(records)
        self._validation, self._training = rows[: records // PART], rows[records // PART :]

    def validation(self) -> Rows:
        """Return the validation rows."""
        return self._validation

    def training(self, seed: int, epoch: int) -> Rows:
        """Return the training rows of an epoch."""
        return np.random.default_rng([Stream.ORDER, seed, epoch]).permutation(self._training)


class Notebook:
    """The notebook's protocol: tf.data's `shuffle(10_000)` of the 60,000 records, then `take(6_000)`, `skip(6_000)`.

    tf.data shuffles anew at every pass. The validation images were drawn once, but `skip(6_000)` leaves out other
    records in each epoch: about 58% of the validation images are trained on in one epoch and 98.5% within five, so
    that the validation accuracy is close to a training accuracy. The buffer also keeps the records near their places
    (Pearson correlation of position and record about 0.84): validation images come from the first 15,900 records or
    so, and the batches of an epoch wander through the file. Use it to compare with the notebook's figures only.

    Args:
        split_seed: determines the validation images.
        records: their number.
    """

    def __init__(self, split_seed: int, records: int = RECORDS) -> None:
        self._records = records
        rows = streaming_shuffle(np.random.default_rng([Stream.SPLIT, split_seed]), records)
        self._validation = rows[: records // PART]

    def validation(self) -> Rows:
        """Return the validation rows."""
        return self._validation

    def training(self, seed: int, epoch: int) -> Rows:
        """Return the training rows of an epoch."""
        rows = streaming_shuffle(np.random.default_rng([Stream.ORDER, seed, epoch]), self._records)
        return rows[self._records // PART :]


PROTOCOLS: dict[str, type[Disjoint] | type[Notebook]] = {"disjoint": Disjoint, "notebook": Notebook}


def streaming_shuffle(random: np.random.Generator, records: int = RECORDS, buffer: int = BUFFER) -> Rows:
    """Shuffle as tf.data does: emit a random slot of the buffer, refill it with the next record, empty it at the end.

    A drawn slot holds the record that refilled it at its previous draw, or its initial one. Sorting the draws by slot
    finds the previous draw of each at once, without a loop over the records.
    """
    buffer = min(buffer, records)
    draws = np.arange(records - buffer)
    slots = random.integers(buffer, size=len(draws))
    by_slot = np.argsort(slots, kind="stable")
    first_of_slot = np.diff(slots[by_slot], prepend=-1) != 0
    content = np.empty_like(draws)
    content[by_slot] = np.where(first_of_slot, slots[by_slot], buffer + np.roll(by_slot, 1))
    last_in_slot = np.arange(buffer)
    last_in_slot[slots] = buffer + draws
    return np.concatenate([content, random.permutation(last_in_slot)])


class Batches:
    """The batches of some rows of the records, an iterable that serves Lightning as a data loader.

    Args:
        records: the images and labels that the rows are numbers of.
        rows: the samples in order.
        size: the samples of one optimizer step; the last batch is smaller where they do not divide the rows.
        rank: the number of this process among the `processes`; it gets its share of each batch.
    """

    def __init__(self, records: mnist.Records, rows: Rows, size: int, rank: int = 0, processes: int = 1) -> None:
        self.records = records
        self.rows = rows
        self.size = size
        self.rank = rank
        self.processes = processes

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.size)

    def __iter__(self) -> Iterator[Batch]:
        rows = torch.as_tensor(self.rows, device=self.records.images.device)
        for batch in torch.split(rows, self.size):
            share = batch[self.rank :: self.processes]
            images = self.records.images.index_select(0, share).float().div_(255)
            yield Batch(images, self.records.labels.index_select(0, share))

    def chunks(self, steps: int) -> Iterator[Chunk]:
        """Yield the same batches, several at a time and still as bytes.

        Args:
            steps: the optimizer steps of a chunk; the last chunk has the remaining ones.
        """
        rows = torch.as_tensor(self.rows, device=self.records.images.device)
        samples = steps * self.size
        for number, chunk in enumerate(torch.split(rows, samples)):
            yield Chunk(self.records, chunk, self.size, number * samples)


class Images:
    """The images of batches without their labels, which `LightningModule.predict_step` gives to `forward`.

    Args:
        batches: of images and labels.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Float[Tensor, "samples 784"]]:
        for batch in self.batches:
            yield batch.images


class TrainingBatches:
    """The training batches, which serve Lightning as a data loader: each pass has the order of the epoch it is in.

    Args:
        data: whose training images these are.
    """

    def __init__(self, data: "MNISTDataModule") -> None:
        self.data = data

    @property
    def samples(self) -> int:
        """The number of samples of an epoch, over all processes."""
        assert self.data.training_records is not None, "setup() comes first"
        records, steps = len(self.data.training_records.labels), self.data.steps_per_epoch
        training = records - records // PART
        return training if steps is None else min(training, steps * self.data.batch)

    @property
    def steps(self) -> int:
        """The number of optimizer steps of an epoch."""
        return math.ceil(self.samples / self.data.batch)

    def size_of(self, step: int) -> int:
        """Return the samples of an optimizer step, the first being 0, over all processes."""
        return min(self.data.batch, self.samples - step * self.data.batch)

    def __len__(self) -> int:
        return math.ceil(self.steps / (self.data.steps_per_execution or 1))

    def __iter__(self) -> Iterator[Batch | Chunk]:
        batches = self.data.training_batches(self.data.next_epoch())
        steps = self.data.steps_per_execution
        yield from batches if steps is None else batches.chunks(steps)


class MNISTDataModule(lightning.LightningDataModule):
    """MNIST, or data of its form, in 54,000 training, 6,000 validation and 10,000 test images, on the training device.

    It serves any LightningModule: its batches are pairs of images (float32 in [0, 1], samples × 784) and labels.
    Without a trainer, call `prepare_data()` and `setup()` first.

    Args:
        protocol: a name of `PROTOCOLS`.
        dir: of the files, in torchvision's layout; None is a per-user cache directory. For a folder of images, that.
        batch: the samples of one optimizer step (over all processes, where there are several).
        split_seed: determines the validation images; None takes `seed`.
        seed: determines, with the epoch, the order of the training images.
        steps_per_epoch: optimizer steps after which each epoch ends; None trains on all images.
        augmentation: deforms the training images of each epoch anew.
        steps_per_execution: optimizer steps whose training batches come together, as a `Chunk`; None yields each as a
            `Batch`.
        dataset: a name of `datasets.source`.
        content: the hash that a folder of images must have; None takes what it has.

    Raises:
        Problem: a name is unknown, the batch size is no positive whole number, or a folder of images is not as it
            should be.
    """

    def __init__(
        self,
        protocol: str = "disjoint",
        dir: str | None = None,
        batch: int = 100,
        split_seed: int | None = None,
        seed: int = 0,
        steps_per_epoch: int | None = None,
        augmentation: Deformation | None = None,
        steps_per_execution: int | None = None,
        dataset: str = "mnist",
        content: str | None = None,
    ) -> None:
        super().__init__()
        for name, value, valid in (
            ("protocol", protocol, Names(tuple(PROTOCOLS))),
            ("dataset", dataset, Names(DATASETS)),
            ("batch", batch, BATCH),
        ):
            if problem := problem_of(name, value, valid):
                raise Problem(problem)
        self.source = datasets.source(dataset, dir, content)
        self.kind_of_protocol, self.split_seed = PROTOCOLS[protocol], seed if split_seed is None else split_seed
        self.batch = batch
        self.seed = seed
        self.steps_per_epoch = steps_per_epoch
        self.augmentation = augmentation
        self.steps_per_execution = steps_per_execution
        self.training_records: mnist.Records | None = None
        self.test_records: mnist.Records | None = None
        self._passes = 0

    def prepare_data(self) -> None:
        """Unpack, fetch or read the files, and verify them."""
        self.source.prepare()

    @cached_property
    def protocol(self) -> SplitAndShuffle:
        """The split and the order of the training records, which are loaded."""
        assert self.training_records is not None, "setup() comes first"
        return self.kind_of_protocol(self.split_seed, len(self.training_records.labels))

    def setup(self, stage: str | None = None) -> None:
        """Load a stage's records ("fit", "validate", "test" or "predict"; None is all) onto the training device."""
        if stage in ("fit", "validate", None) and self.training_records is None:
            self.training_records = self._on_device(self.source.load(train=True))
        if stage in ("test", "predict", None) and self.test_records is None:
            self.test_records = self._on_device(self.source.load(train=False))

    def _on_device(self, records: mnist.Records) -> mnist.Records:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return mnist.Records(records.images.to(device), records.labels.to(device))

    def next_epoch(self) -> int:
        """Return the epoch of the next pass over the training images, the first being 0.

        It is the trainer's, or always 0 if the trainer is to overfit some batches; without a trainer, passes count.
        """
        if self.trainer is None:
            self._passes += 1
            return self._passes - 1
        return 0 if self.trainer.overfit_batches else self.trainer.current_epoch  # type: ignore[attr-defined] # Lightning sets it

    def training_batches(self, epoch: int) -> Batches:
        """Return the training batches of an epoch, the first being 0."""
        assert self.training_records is not None, "setup() comes first"
        rows = self.protocol.training(self.seed, epoch)
        if self.steps_per_epoch is not None:
            rows = rows[: self.steps_per_epoch * self.batch]
        if self.augmentation is None:
            return self._batches(self.training_records, rows, self.batch)
        images, labels = (values[rows] for values in self.training_records)
        seeds = np.random.SeedSequence([Stream.AUGMENTATION, self.seed, epoch])
        deformed = mnist.Records(self.augmentation(images, int(seeds.generate_state(1)[0])), labels)
        return self._batches(deformed, np.arange(len(rows)), self.batch)

    def _batches(self, records: mnist.Records, rows: Rows, size: int) -> Batches:
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return Batches(records, rows, size, rank, processes)

    def train_dataloader(self) -> TrainingBatches:
        """Return the training batches."""
        return TrainingBatches(self)

    def val_dataloader(self) -> Batches:
        """Return the validation images as one batch, unless the trainer limits the batches."""
        assert self.training_records is not None, "setup() comes first"
        whole = self.trainer is None or self.trainer.limit_val_batches == 1.0
        rows = self.protocol.validation()
        return self._batches(self.training_records, rows, len(rows) if whole else self.batch)

    def test_dataloader(self) -> Batches:
        """Return the test images as one batch, unless the trainer limits the batches."""
        assert self.test_records is not None, "setup() comes first"
        rows = np.arange(len(self.test_records.labels))
        whole = self.trainer is None or self.trainer.limit_test_batches == 1.0
        return self._batches(self.test_records, rows, len(rows) if whole else self.batch)

    def predict_dataloader(self) -> "Images":
        """Return the test images."""
        return Images(self.test_dataloader())
