"""A run's identity, a hash of everything that can change its numbers, and its label. Free of torch."""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from omegaconf import MISSING

from mnist_mlp import image_folder
from mnist_mlp.activation import one_per_layer
from mnist_mlp.config.schema import Config, DataConfig
from mnist_mlp.config.valid import LIGHTNING

WINDOWS = 60
LABEL_LENGTH = WINDOWS if os.name == "nt" else 150
"""Bytes: a file system takes names of 255, Windows paths of 259. The identity tells cut labels apart."""


NOT_IN_NAMES = r'[<>:"/\\|?*\x00-\x1f]'
"""The characters that no file's name has on Windows, where runs may be handed on."""


ONLY_LOOK_ON = frozenset(
    {
        "detect_anomaly",
        "enable_autolog_hparams",
        "enable_model_summary",
        "enable_progress_bar",
        "limit_predict_batches",
        "log_every_n_steps",
        "model_registry",
        "profiler",
    }
)
"""Arguments of `lightning.Trainer` that cannot change a run's numbers."""


OF_THE_USER = frozenset({"author", "language", "margin"})
"""Keys that cannot change a run's numbers, though they have a default."""


OBSERVERS = frozenset(
    {
        "mnist_mlp.tracking.curves.Curves",
        # Where version 0.1.0 had these three.
        "mnist_mlp.curves.Curves",
        "mnist_mlp.hyperparameters.Hyperparameters",
        "mnist_mlp.snapshots.Snapshots",
        "mnist_mlp.tracking.hparams.Hyperparameters",
        "mnist_mlp.tracking.noise_scale.NoiseScale",
        "mnist_mlp.tracking.snapshots.Snapshots",
        *(
            f"lightning.pytorch.callbacks.{name}"
            for name in (
                "BasePredictionWriter",
                "DeviceStatsMonitor",
                "LearningRateMonitor",
                "ModelCheckpoint",
                "ModelSummary",
                "RichModelSummary",
                "RichProgressBar",
                "ThroughputMonitor",
                "TQDMProgressBar",
            )
        ),
    }
)
"""Callbacks that cannot change a run's numbers, by their `_target_`; all others count in its identity."""


def what_counts(config: Config) -> dict[str, Any]:
    """Return everything in a configuration that can change a run's numbers, except the seed."""
    return {
        "model": config.network
        or {
            "hidden_sizes": config.model.hidden_sizes,
            "activation": one_per_layer(config.model.activation, len(config.model.hidden_sizes)),
            "init": config.model.init,
        },
        "optimizer": {name: _as_float(value) for name, value in config.optimizer.items()},
        "data": {
            **_what_is_seen(config.data),
            "protocol": config.data.protocol,
            "batch": config.data.batch,
            "split_seed": config.data.split_seed,
            "steps_per_epoch": config.data.steps_per_epoch,
            **({} if config.data.seed == config.seed else {"order_seed": config.data.seed}),
        },
        "epochs": config.epochs,
        "precision": config.trainer["precision"],
        "test": config.test,
        **_what_is_on(config),
        **_what_is_added(config),
    }


def _what_is_seen(data: DataConfig) -> dict[str, str]:
    # Not the folder of the images, but what is in it: the same images count as the same wherever they are.
    if data.dataset != "folder":
        return {} if data.dataset == "mnist" else {"dataset": data.dataset}
    assert data.dir is not None, "checked by mnist_mlp.config.checks"
    return {"dataset": "folder", "content": data.content or image_folder.read(data.dir).content}


def is_observer(callback: dict[str, Any]) -> bool:
    """Whether a callback of the configuration cannot change a run's numbers."""
    return callback["_target_"] in OBSERVERS


def further_arguments(config: Config) -> dict[str, Any]:
    """Return the arguments of `lightning.Trainer` that were added to those of the group trainer."""
    return {name: value for name, value in config.trainer.items() if name in LIGHTNING and value is not None}


def _what_is_added(config: Config) -> dict[str, Any]:
    callbacks = [callback for callback in config.callbacks.values() if not is_observer(callback)]
    arguments = {name: value for name, value in further_arguments(config).items() if name not in ONLY_LOOK_ON}
    return {name: added for name, added in (("callbacks", callbacks), ("trainer", arguments)) if added}


def _what_is_on(config: Config) -> dict[str, Any]:
    # Features that are off are left out, so that adding one to the project changes no identity.
    declared = [(part, each) for part in (config.model, config) for each in fields(part)]
    on = {
        each.name: getattr(part, each.name)
        for part, each in declared
        if each.default not in (MISSING, dataclasses.MISSING)
        and each.name not in OF_THE_USER
        and getattr(part, each.name) != each.default
    }
    for name in ("scheduler", "augmentation"):
        if group := getattr(config, name):
            on[name] = {parameter: _as_float(value) for parameter, value in group.items()}
    return on


def _as_float(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_float(element) for element in value]
    return float(value) if type(value) is int else value


def identity(config: Config) -> str:
    """Hash everything that can change a run's numbers, except the seed, to 8 hexadecimal digits."""
    text = json.dumps(what_counts(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def differences(config: Config, reference: Config) -> dict[str, str]:
    """Return what counts and differs from a reference, by the last word of its key."""
    usual = _by_word(reference)
    return {word: value for word, value in _by_word(config).items() if value != usual.get(word)}


def _by_word(config: Config) -> dict[str, str]:
    counts = what_counts(config)
    optimizer = counts.pop("optimizer")
    model = dict(counts.pop("model"))
    if "_target_" in model:
        model = {"model": model["_target_"].rsplit(".", 1)[-1], **{k: v for k, v in model.items() if k[0] != "_"}}
    words = {
        **model,
        "optimizer": optimizer.pop("_target_").rsplit(".", 1)[-1],
        **{parameter: value for parameter, value in optimizer.items() if parameter != "_partial_"},
        **counts.pop("data"),
    }
    for group in ("scheduler", "augmentation"):
        parameters = counts.pop(group, {})
        if parameters:
            words[group] = parameters.pop("_target_").rsplit(".", 1)[-1]
        words |= {parameter: value for parameter, value in parameters.items() if parameter != "_partial_"}
    words |= counts.pop("trainer", {})
    if callbacks := counts.pop("callbacks", []):
        words["callbacks"] = [callback["_target_"].rsplit(".", 1)[-1] for callback in callbacks]
    words |= counts
    if not config.network and len(set(words["activation"])) == 1:
        words["activation"] = words["activation"][0]
    return {
        word: "-".join(str(element) for element in value) if isinstance(value, list) else str(value)
        for word, value in words.items()
    }


def label(name: str | None, changes: Mapping[str, str]) -> str:
    """Name a run readably: the name it was given, or "baseline", with what differs.

    Args:
        name: of an experiment, or the user's own.
        changes: values by key.
    """
    changed = [f"{key}={value}" for key, value in changes.items()]
    text = re.sub(NOT_IN_NAMES, "_", ",".join([name, *changed] if name else changed)) or "baseline"
    return text.encode()[:LABEL_LENGTH].decode(errors="ignore")
