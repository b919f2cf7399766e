"""What `mnist-mlp export` does: `python scripts/export.py --help` says what."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("export")
