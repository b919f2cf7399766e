"""A look into a network: gradients, their norm and activations are those of the network."""

import math

import pytest
import torch

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.tracking import probe

OPTIMIZER = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1}


@pytest.fixture
def classifier() -> MNISTClassifier:
    torch.manual_seed(0)
    return MNISTClassifier({"hidden_sizes": [5, 3], "activation": ["tanh", "relu"]}, OPTIMIZER)


def test_gradients_are_those_of_the_mean_loss_and_leave_the_training_alone(classifier: MNISTClassifier) -> None:
    images, labels = torch.rand(4, 784), torch.tensor([1, 2, 3, 3])
    found = probe.gradients(classifier, images, labels)
    parameters = dict(classifier.network.named_parameters())
    assert all(parameter.grad is None for parameter in parameters.values())
    torch.nn.functional.cross_entropy(classifier(images), labels).backward()
    assert found.keys() == parameters.keys()
    for name, parameter in parameters.items():
        torch.testing.assert_close(found[name], parameter.grad)
    together = torch.cat([gradient.flatten() for gradient in found.values()])
    assert probe.norm(found) == pytest.approx(math.sqrt(float((together**2).sum())))


def test_gradients_can_be_had_where_the_test_runs(classifier: MNISTClassifier) -> None:
    images, labels = torch.rand(4, 784), torch.tensor([1, 2, 3, 3])
    with torch.inference_mode():
        assert probe.norm(probe.gradients(classifier, images, labels)) > 0


def test_activations_are_what_the_hidden_layers_put_out(classifier: MNISTClassifier) -> None:
    images = torch.rand(4, 784)
    first, second = probe.activations(classifier, images)
    one, two, out = classifier.network.linear_layers()
    torch.testing.assert_close(first, one(images).tanh())
    torch.testing.assert_close(second, two(first).relu())
    torch.testing.assert_close(out(second), classifier(images))
