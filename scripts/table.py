"""What `mnist-mlp table` does: `python scripts/table.py --help` says what."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("table")
