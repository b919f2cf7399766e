"""The published study, read from the published files alone: results.csv, epochs.csv, correct.npz and times.csv."""

from dataclasses import asdict, replace
from functools import cache
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from conftest import ROOT

from mnist_mlp.report import times
from mnist_mlp.report.study import Study, Variant, gather
from mnist_mlp.runs.record import SCHEMA, Epoch, Result, packed

RESULTS = ROOT / "docs" / "results"


@cache
def runs() -> pd.DataFrame:
    """The runs, those that several questions share once, in the order of the questions."""
    return pd.read_csv(RESULTS / "results.csv", dtype={"folder": str}).drop_duplicates(["folder", "seed"])


@cache
def study() -> Study:
    """The published study."""
    epochs = pd.read_csv(RESULTS / "epochs.csv", dtype={"folder": str})
    of_run = {
        key: [Epoch(*row[2:]) for row in rows.itertuples(index=False)]
        for key, rows in epochs.groupby(["folder", "seed"])
    }
    with np.load(RESULTS / "correct.npz") as kept:
        right = {
            (str(folder), int(seed)): np.unpackbits(bits, count=10_000).astype(bool)
            for folder, seed, bits in zip(kept["folder"], kept["seed"], kept["correct"], strict=True)
        }
    rows = {(row.folder, row.seed): row for row in runs().itertuples(index=False)}

    def result(variant: Variant, seed: int) -> Result:
        row, key = rows[variant.id, seed], (variant.id, seed)
        own = [replace(epoch, epoch=int(epoch.epoch)) for epoch in of_run[key]]
        own[-1] = replace(own[-1], val_accuracy=row.val_accuracy, val_loss=row.val_loss)  # of full precision
        return Result(
            schema=SCHEMA,
            id=variant.id,
            label=variant.name,
            status=row.status,
            reason=None,
            seed=seed,
            config=asdict(variant.config),
            epochs=own,
            test={"loss": row.test_loss, "accuracy": row.test_accuracy},
            fit_seconds=row.seconds,
            optimizer_steps=2700,
            parameters=199_210,
            hardware={},
            versions={},
            started="2026-11-24T00:00:00+00:00",
            git=None,
            correct=packed(right[key]),
        )

    def trained(variant: Variant) -> Variant:
        seeds = [seed for folder, seed in rows if folder == variant.id]
        return replace(variant, seeds=tuple(seeds), results={seed: result(variant, seed) for seed in seeds})

    protocols = list(dict.fromkeys(runs().protocol))
    with TemporaryDirectory() as empty:
        found = gather(list(dict.fromkeys(runs().question)), protocols, None, empty, why=True)
    kept_variants = [trained(variant) for variant in found.variants]
    return replace(
        found,
        variants=tuple(each for each in kept_variants if each.results or not each.explains),
        baselines={name: trained(variant) for name, variant in found.baselines.items()},
        timed=tuple(times.rows(str(RESULTS))),
    )
