"""What `mnist-mlp report` does: `python scripts/report.py --help` says what."""

from mnist_mlp.cli.verbs import run

if __name__ == "__main__":
    run("report")
