"""What `mnist-mlp draw` does: `python scripts/draw.py --help` says what."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("draw")
