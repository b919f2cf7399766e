from math import exp

import pytest
import torch
from torch import nn

from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.mlp import MLP, Gaussian, InvertedGaussian


def test_the_layers_are_those_asked_for_and_end_in_logits() -> None:
    network = MLP([30, 20], ["relu", "tanh"])
    assert [type(layer) for layer in network.layers] == [nn.Linear, nn.ReLU, nn.Linear, nn.Tanh, nn.Linear]
    assert [(layer.in_features, layer.out_features) for layer in network.linear_layers()] == [
        (784, 30),
        (30, 20),
        (20, 10),
    ]


@pytest.mark.parametrize("shape", [(3, 784), (3, 28, 28), (3, 1, 28, 28)])
def test_images_may_be_flat_or_not(shape: tuple[int, ...]) -> None:
    assert MLP([5])(torch.zeros(shape)).shape == (3, 10)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_gives_finite_logits(name: str) -> None:
    assert MLP([5], name)(torch.rand(2, 784)).isfinite().all()


def test_the_gaussian_is_the_bell_curve_of_its_input() -> None:
    values = torch.tensor([[0.0, 1.0, -2.0]])
    assert Gaussian()(values).tolist() == [pytest.approx([1, exp(-0.5), exp(-2)])]
    assert InvertedGaussian()(values).tolist() == [pytest.approx([0, 1 - exp(-0.5), 1 - exp(-2)])]


def test_glorot_weights_are_uniform_within_the_limit_and_biases_zero() -> None:
    for layer in MLP([200, 100]).linear_layers():
        limit = (6 / (layer.in_features + layer.out_features)) ** 0.5
        assert layer.weight.abs().max() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.05)
        assert not layer.bias.any()


def test_the_weights_before_a_sigmoid_have_four_times_the_range_where_that_is_asked_for() -> None:
    activations, networks = ["relu", "sigmoid"], []
    for init in ("glorot", "glorot_sigmoid"):
        torch.manual_seed(0)
        networks.append(MLP([20, 10], activations, init=init).linear_layers())
    for usual, wider, factor in zip(*networks, (1, 4, 1), strict=True):
        torch.testing.assert_close(wider.weight, factor * usual.weight)
        assert not wider.bias.any()


def test_torchs_own_weights_are_those_of_linear() -> None:
    torch.manual_seed(0)
    network = MLP([8], init="torch")
    torch.manual_seed(0)
    assert torch.equal(network.linear_layers()[0].weight, nn.Linear(784, 8).weight)


def test_a_list_of_the_wrong_length_is_an_error_that_names_both_lengths() -> None:
    with pytest.raises(ValueError, match=r"names 2 \(relu, tanh\), but hidden_sizes has 3"):
        MLP([5, 5, 5], ["relu", "tanh"])
