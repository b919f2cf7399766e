"""What `mnist-mlp search` does: `python scripts/search.py --help` says what."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("search")
