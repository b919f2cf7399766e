import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mnist_mlp import mnist
from mnist_mlp.data import PROTOCOLS, Batches, Disjoint, MNISTDataModule, Notebook, streaming_shuffle


@pytest.fixture(scope="module")
def data() -> MNISTDataModule:
    data = MNISTDataModule()
    data.setup()
    return data


def test_images_are_784_floats_from_0_to_1_and_equal_to_the_bytes_divided_by_255(data: MNISTDataModule) -> None:
    batch = next(iter(data.training_batches(0)))
    rows = data.training_batches(0).rows[:100]
    raw = mnist.load(mnist.default_directory(), train=True).images[rows]
    assert batch.images.dtype == torch.float32
    assert np.array_equal(batch.images.numpy(), raw.numpy().astype(np.float32) / np.float32(255))
    assert (batch.images.min(), batch.images.max()) == (0, 1)


def test_validation_and_test_are_one_batch_each(data: MNISTDataModule) -> None:
    assert [len(batch.labels) for batch in data.val_dataloader()] == [6_000]
    assert [len(batch.labels) for batch in data.test_dataloader()] == [10_000]


@pytest.mark.parametrize(("size", "batches", "last"), [(10_000, 6, 4_000), (100, 540, 100), (7_000, 8, 5_000)])
def test_the_last_smaller_batch_is_kept(data: MNISTDataModule, size: int, batches: int, last: int) -> None:
    data.batch = size
    sizes = [len(batch.labels) for batch in data.training_batches(0)]
    data.batch = 100
    assert len(sizes) == batches
    assert sizes[-1] == last
    assert sum(sizes) == 54_000


def test_an_epoch_can_be_cut_after_some_optimizer_steps() -> None:
    data = MNISTDataModule(batch=32, steps_per_epoch=3)
    data.setup("fit")
    assert [len(batch.labels) for batch in data.training_batches(0)] == [32, 32, 32]


def test_the_disjoint_split_covers_all_records_once_in_every_epoch() -> None:
    protocol = Disjoint(split_seed=0)
    for epoch in range(2):
        rows = np.concatenate([protocol.validation(), protocol.training(0, epoch)])
        assert np.array_equal(np.sort(rows), np.arange(60_000))


def test_the_disjoint_split_is_independent_of_the_seed_and_changes_with_the_split_seed() -> None:
    assert np.array_equal(Disjoint(0).validation(), Disjoint(0).validation())
    assert len(np.intersect1d(Disjoint(0).validation(), Disjoint(1).validation())) < 1_000


@pytest.mark.parametrize("protocol", PROTOCOLS.values())
def test_the_order_depends_on_seed_and_epoch_alone(protocol: type[Disjoint]) -> None:
    later = protocol(0)
    for epoch in range(3):
        later.training(5, epoch)
    assert np.array_equal(later.training(3, 4), protocol(0).training(3, 4))
    orders = {protocol(0).training(seed, epoch).tobytes() for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_the_streaming_shuffle_does_what_a_loop_over_a_buffer_does() -> None:
    shuffled = streaming_shuffle(np.random.default_rng(0), records=500, buffer=60)
    random = np.random.default_rng(0)
    buffer, expected = list(range(60)), []
    for arriving, slot in zip(range(60, 500), random.integers(60, size=440), strict=True):
        expected.append(buffer[slot])
        buffer[slot] = arriving
    assert shuffled.tolist() == expected + random.permutation(buffer).tolist()


@given(st.integers(1, 300), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_the_streaming_shuffle_emits_every_record_once_and_none_before_it_is_read(
    buffer: int, more: int, seed: int
) -> None:
    shuffled = streaming_shuffle(np.random.default_rng(seed), buffer + more, buffer)
    assert np.array_equal(np.sort(shuffled), np.arange(buffer + more))
    assert (shuffled <= np.arange(buffer + more) + buffer - 1).all()


def test_the_notebooks_validation_images_leak_into_training() -> None:
    shares_of_one, shares_of_five = [], []
    for seed in range(3):
        protocol = Notebook(split_seed=seed)
        seen = [np.isin(protocol.validation(), protocol.training(seed, epoch)) for epoch in range(5)]
        shares_of_one += [share.mean() for share in seen]
        shares_of_five.append(np.any(seen, axis=0).mean())
    assert np.mean(shares_of_one) == pytest.approx(0.58, abs=0.01)
    assert np.mean(shares_of_five) == pytest.approx(0.985, abs=0.005)


def test_the_notebooks_validation_images_come_from_the_first_records() -> None:
    last = [Notebook(split_seed=seed).validation().max() for seed in range(5)]
    assert 15_500 < np.mean(last) < 15_999
    assert max(last) < 16_000  # 10,000 in the buffer and 6,000 read meanwhile


def test_the_notebooks_batches_are_correlated_with_the_order_of_the_records() -> None:
    rows = Notebook(split_seed=0).training(0, 0)
    assert np.corrcoef(np.arange(len(rows)), rows)[0, 1] == pytest.approx(0.84, abs=0.02)
    rows = Disjoint(split_seed=0).training(0, 0)
    assert abs(np.corrcoef(np.arange(len(rows)), rows)[0, 1]) < 0.02


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 100))
def test_the_processes_share_every_batch(processes: int, size: int, samples: int) -> None:
    records = mnist.Records(
        torch.arange(100, dtype=torch.uint8)[:, None].expand(100, 784), torch.arange(100, dtype=torch.int64)
    )
    rows = np.random.default_rng(samples).permutation(samples)
    alone = list(Batches(records, rows, size))
    shared = [list(Batches(records, rows, size, rank, processes)) for rank in range(processes)]
    for step, whole in enumerate(alone):
        shares = [batches[step] for batches in shared]
        assert sorted(torch.cat([share.labels for share in shares]).tolist()) == sorted(whole.labels.tolist())
