"""The same command as `mnist-mlp time`."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("time")
