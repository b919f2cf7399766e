"""The same command as `mnist-mlp report`."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("report")
