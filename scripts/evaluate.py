"""What `mnist-mlp evaluate` does: `python scripts/evaluate.py --help` says what."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("evaluate")
