"""What `mnist-mlp reproduce` does: `python scripts/reproduce.py --help` says what."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("reproduce")
