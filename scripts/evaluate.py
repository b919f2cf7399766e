"""The same command as `mnist-mlp evaluate`."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("evaluate")
