"""The same command as `mnist-mlp predict`."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("predict")
