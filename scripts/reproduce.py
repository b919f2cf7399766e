"""The same command as `mnist-mlp reproduce`."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("reproduce")
