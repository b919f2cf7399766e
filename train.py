"""Train a multilayer perceptron on MNIST: `python train.py --help` says what can be chosen."""

from mnist_mlp.cli.train import main

if __name__ == "__main__":
    main()
