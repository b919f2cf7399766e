"""Ten questions about a multilayer perceptron on MNIST, with PyTorch Lightning and Hydra."""
