"""The same command as `mnist-mlp collect`."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("collect")
