"""The command mnist-mlp, as `python -m mnist_mlp`."""

from mnist_mlp.cli.verbs import main

if __name__ == "__main__":
    main()
