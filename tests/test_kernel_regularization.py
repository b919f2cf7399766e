"""The kernel's dropout, noise, label smoothing, clipping and average, beside PyTorch's in 64-bit numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_engine import chunk, flat, kernel_of, take
from torch import Tensor
from torch.nn import functional

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.fast import kernel

SIZES = [50, 33]
RATE = 0.5
SGD = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": RATE}
DROPOUT, NOISE = 0, 1
SEED = 1 << 40 | 12345
RANDOM = {"dropout": 0.3, "input_dropout": 0.1, "noise": 0.2}


def words(seed: int, sample: int, stream: int, count: int) -> NDArray[np.uint64]:
    """Philox4x32-10 of Salmon et al. 2011; a counter is the first of four units, 0, the sample and the stream."""
    blocks = -(-count // 4)
    full = np.uint64(0xFFFFFFFF)
    a, b, c, d = (np.zeros(blocks, np.uint64) + np.uint64(start) for start in (0, 0, sample, stream))
    a += np.arange(0, count, 4, dtype=np.uint64)
    k, m = np.uint64(seed) & full, np.uint64(seed >> 32)
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c
        a, b, c, d = (q >> np.uint64(32)) ^ b ^ k, q & full, (p >> np.uint64(32)) ^ d ^ m, p & full
        k, m = (k + np.uint64(0x9E3779B9)) & full, (m + np.uint64(0xBB67AE85)) & full
    return np.stack([a, b, c, d], axis=1).reshape(-1)[:count]


def test_the_words_are_those_of_the_published_generator() -> None:
    # Random123's known answers for a counter and a key of zeros.
    assert [f"{word:08x}" for word in words(0, 0, 0, 4)] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]


def factors(probability: float, layer: int, first: int, samples: int, units: int) -> Tensor:
    drawn = np.stack([words(SEED, first + sample, layer << 1 | DROPOUT, units) for sample in range(samples)])
    return torch.from_numpy(np.where(drawn < np.uint64(probability * 2**32), 0, 1 / (1 - probability)))


def noise(deviation: float, layer: int, first: int, samples: int, units: int) -> Tensor:
    padded = -(-units // 4) * 4
    drawn = np.stack([words(SEED, first + sample, layer << 1 | NOISE, padded) for sample in range(samples)])
    radius = np.sqrt(-2 * np.log(((drawn[:, ::2] >> np.uint64(8)) + np.uint64(1)) / 2**24))
    angle = 2 * np.pi * (drawn[:, 1::2] >> np.uint64(8)) / 2**24
    return deviation * torch.from_numpy(
        np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2).reshape(samples, -1)[:, :units]
    )


def expected(model: MNISTClassifier, samples: Any, first: int) -> list[float]:
    """Take the steps in PyTorch, with the kernel's random numbers; return the sums of the losses."""
    parameters, losses = model.hparams["model"], []
    dropout, input_dropout, deviation = (parameters.get(name, 0) for name in ("dropout", "input_dropout", "noise"))
    layers, normalizations = model.network.linear_layers(), kernel.normalizations_of(model.network)
    for rows in torch.split(samples.rows, samples.size):
        values = samples.records.images[rows].double() / 255
        count = len(rows)
        if input_dropout:
            values = values * factors(input_dropout, 0, first, count, 784)
        if deviation:
            values = values + noise(deviation, 0, first, count, 784)
        for number, layer in enumerate(layers[:-1], start=1):
            values = layer(values)
            if normalizations:
                values = normalizations[number - 1](values)
            if deviation:
                values = values + noise(deviation, number, first, count, layer.out_features)
            values = torch.tanh(values)
            if dropout:
                values = values * factors(dropout, number, first, count, layer.out_features)
        labels = samples.records.labels[rows]
        loss = functional.cross_entropy(
            layers[-1](values), labels, reduction="sum", label_smoothing=model.label_smoothing
        )
        model.zero_grad()
        (loss / count).backward()  # type: ignore[no-untyped-call]
        model.clip_gradient()
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter -= RATE * parameter.grad
        losses.append(loss.item())
        first += count
    return losses


@pytest.mark.parametrize("batch", [2, 7, 300])
@pytest.mark.parametrize(
    ("of_network", "of_classifier"),
    [
        ({"dropout": 0.5}, {}),
        ({"input_dropout": 0.2}, {}),
        ({"noise": 0.3}, {}),
        ({}, {"label_smoothing": 0.1}),
        ({}, {"gradient_clip": 0.05}),
        ({"normalization": "batch"}, {}),
        ({"normalization": "layer"}, {}),
        ({"normalization": "batch", **RANDOM}, {"label_smoothing": 0.2, "gradient_clip": 0.5}),
        ({"normalization": "layer", **RANDOM}, {"label_smoothing": 0.2, "gradient_clip": 0.5}),
    ],
    ids=["dropout", "input dropout", "noise", "smoothing", "clipping", "batch", "layer", "all, batch", "all, layer"],
)
def test_the_kernel_takes_the_regularized_steps_of_torch(
    of_network: dict[str, Any], of_classifier: dict[str, float], batch: int
) -> None:
    hyperparameters = {"hidden_sizes": SIZES, "activation": "tanh", **of_network}
    torch.manual_seed(0)
    model, exact = (MNISTClassifier(hyperparameters, SGD, **of_classifier) for _ in range(2))  # type: ignore[arg-type]
    for normalization in kernel.normalizations_of(model.network):
        torch.nn.init.normal_(normalization.weight, 1, 0.3)
        torch.nn.init.normal_(normalization.bias, 0, 0.3)
    exact.load_state_dict(model.state_dict())
    exact.double()
    samples = chunk(batch, 3)._replace(before=1000)
    torch.manual_seed(SEED)
    taken = take(kernel_of(model), samples)
    losses = expected(exact, samples, 1000)
    assert taken.losses.tolist() == pytest.approx(losses, rel=1e-4)
    for name, values in exact.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name].to(values.dtype), values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
@pytest.mark.parametrize("batch", [2, 7, 300])
def test_regularized_steps_give_the_same_bits_with_any_number_of_threads(
    batch: int, normalization: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "WORK_OF_A_THREAD", 1)
    outcomes = []
    for threads in (1, 2, 3, 8):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        torch.manual_seed(0)
        model = MNISTClassifier({"hidden_sizes": SIZES, "normalization": normalization, **RANDOM}, SGD, None, 0.2, 0.5)
        taken = take(kernel_of(model), chunk(batch, 3))
        outcomes.append(torch.cat([flat(model).double(), taken.losses]))
    assert all(torch.equal(outcome, outcomes[0]) for outcome in outcomes[1:])


def test_the_steps_do_not_depend_on_how_an_epoch_is_cut_into_chunks() -> None:
    outcomes = []
    for cuts in ([40], [20, 20], [5, 35]):
        torch.manual_seed(0)
        model = MNISTClassifier({"hidden_sizes": SIZES, "dropout": 0.3, "noise": 0.2}, SGD)
        take_steps, before = kernel_of(model), 0
        for samples in cuts:
            take(take_steps, chunk(5, samples // 5, before)._replace(before=before))
            before += samples
        outcomes.append(flat(model))
    assert all(torch.equal(outcome, outcomes[0]) for outcome in outcomes[1:])
