"""The identities of the published configurations stay: their runs are found again, in folders that exist."""

import pandas as pd
import pytest
from conftest import ROOT

from mnist_mlp.config.compose import compose, composing, to_config
from mnist_mlp.config.identity import identity
from mnist_mlp.config.schema import Config

RESULTS = ROOT / "docs" / "results"


def config(*overrides: str) -> Config:
    with composing():
        return to_config(compose(list(overrides)))


@pytest.mark.parametrize(
    ("experiment", "published"),
    [("baseline", "acf8c16a"), ("q10_best", "6ecf0e62"), ("beyond", "829aaf0a"), ("beyond_augmented", "d5a2bb13")],
)
def test_the_experiments_have_their_published_identities(experiment: str, published: str) -> None:
    assert identity(config(f"experiment={experiment}", "data.split_seed=0")) == published


def test_every_published_run_of_the_lab_has_its_identity() -> None:
    runs = pd.read_csv(RESULTS / "results.csv", dtype=str)[["variant", "protocol", "folder"]].drop_duplicates()
    for variant, protocol, folder in runs.itertuples(index=False):
        width = variant.removeprefix("hidden_sizes=").partition("-")[0]
        chosen = f"width={width}" if "=" in variant else f"experiment={variant}"
        assert identity(config(chosen, f"data.protocol={protocol}")) == folder, (variant, protocol)


def test_every_published_run_of_how_far_it_goes_has_its_identity() -> None:
    for command, folder in pd.read_csv(RESULTS / "beyond.csv")[["command", "folder"]].drop_duplicates().to_numpy():
        assert identity(config(*command.split()[2:])) == folder, command
