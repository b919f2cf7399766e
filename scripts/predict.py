"""What `mnist-mlp predict` does: `python scripts/predict.py --help` says what."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("predict")
