"""The same command as `mnist-mlp table`."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("table")
