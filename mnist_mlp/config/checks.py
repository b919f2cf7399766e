"""Checks of a configuration, each problem in one line. Free of torch."""

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from mnist_mlp import image_folder
from mnist_mlp.activation import one_per_layer
from mnist_mlp.config.schema import Config, DataConfig, keys
from mnist_mlp.config.valid import (
    AUGMENTATION,
    LIGHTNING,
    OPTIMIZER,
    SCHEDULER,
    SET_ELSEWHERE,
    TRAINER,
    TRAINING,
    Valid,
    nearest,
    problem_of,
)
from mnist_mlp.errors import Problem
from mnist_mlp.language import _, figure


def describe(declared: "Field[Any]") -> str:
    """Describe the values that a key takes."""
    if "dict" in str(declared.type):
        kind = _("a group of keys")
    else:
        kind = _("true or false") if declared.type is bool else _("text")
    return str(declared.metadata["valid"] or kind)


def smallest_batch(config: Config) -> int:
    """Return the size of the smallest batch of an epoch: the last one, unless the batch size divides the images."""
    data = config.data
    images = training_images(data)
    samples = min(images, images if data.steps_per_epoch is None else data.steps_per_epoch * data.batch)
    return samples % data.batch or data.batch


def training_images(data: DataConfig) -> int:
    """Return the number of images that train, those of the validation aside.

    Raises:
        Problem: a folder of images is not as it should be.
    """
    if data.dataset != "folder" or data.dir is None:
        return TRAINING
    return image_folder.read(data.dir).trained


def problem_of_images(data: DataConfig) -> str | None:
    """Explain what is wrong with a folder of images, if anything is."""
    if data.dataset != "folder":
        return None if data.content is None else _("data.content: only data=folder has one; leave it out")
    if data.dir is None:
        return _("data=folder: the folder of the images is missing; write data.dir=FOLDER")
    try:
        folder = image_folder.read(data.dir)
    except Problem as problem:
        return str(problem)
    if data.content not in (None, folder.content):
        said = _("data.content={given}: the images in {folder} have the hash {hash}")
        return said.format(given=data.content, folder=data.dir, hash=folder.content)
    if data.batch > folder.trained:
        said = _("batch={batch}: {folder} has {images} training images; choose a smaller batch")
        return said.format(batch=data.batch, folder=data.dir, images=figure(folder.trained, ","))
    return None


def problem_of_trainer(name: str) -> str:
    """Explain what is wrong with an argument that `lightning.Trainer` does not have, or that another key sets."""
    if name in SET_ELSEWHERE:
        return f"trainer.{name}: {_(SET_ELSEWHERE[name])}"
    return _("trainer.{name}: lightning.Trainer has no such argument{hint}").format(
        name=name, hint=nearest(name, [*TRAINER, *LIGHTNING])
    )


def problems(config: Config) -> list[str]:
    """List what is wrong with a composed configuration, each in one line."""
    found: dict[str, str] = {}
    for name, declared in keys():
        value: Any = config
        for part in name.split("."):
            value = getattr(value, part)
        if value is None and "None" in str(declared.type):
            continue
        problem = problem_of(name, value, declared.metadata["valid"])
        if problem and declared.metadata["mirrors"] not in found:
            found[name] = problem
    found |= {
        f"trainer.{name}": _("{name} is missing").format(name=f"trainer.{name}")
        for name in TRAINER.keys() - config.trainer.keys()
    }
    groups: tuple[tuple[str, Mapping[str, Valid | None]], ...] = (
        ("trainer", TRAINER),
        ("trainer", LIGHTNING),
        ("optimizer", OPTIMIZER),
        ("scheduler", SCHEDULER),
        ("augmentation", AUGMENTATION),
    )
    for group, valid in groups:
        for parameter, value in getattr(config, group).items():
            if valid is LIGHTNING and value is None:  # not set
                continue
            problem = problem_of(f"{group}.{parameter}", value, valid.get(parameter))
            if problem and parameter not in found:
                found[f"{group}.{parameter}"] = problem
    for name in config.trainer.keys() - TRAINER.keys() - LIGHTNING.keys():
        found[f"trainer.{name}"] = problem_of_trainer(str(name))
    if problem := problem_of_images(config.data):
        found["data.dir"] = problem
    elif config.model.normalization == "batch" and (smallest := smallest_batch(config)) == 1:
        every = smallest == config.data.batch
        found["model.normalization"] = _(
            "model.normalization=batch: {batch} has a single sample, whose variance is 0; choose another batch, or "
            "model.normalization=layer"
        ).format(batch=f"batch={config.data.batch}" if every else _("the last batch of an epoch"))
    if config.trainer.get("limit_val_batches") == 0 and (config.test == "best" or config.patience is not None):
        wanted = "test=best" if config.test == "best" else "patience"
        found["trainer.limit_val_batches"] = _("trainer.limit_val_batches=0: {key} needs a validation").format(
            key=wanted
        )
    if not isinstance(config.optimizer.get("_target_"), str):
        found["optimizer._target_"] = _("optimizer._target_ is the name of a class, as in torch.optim.Adam")
    for group, option in (("scheduler", "cosine"), ("augmentation", "affine")):
        values = getattr(config, group)
        if values and not isinstance(values.get("_target_"), str):
            found[f"{group}._target_"] = _("{group} has no _target_; choose one, as in {group}={option}").format(
                group=group, option=option
            )
    for group in ("logger", "callbacks"):
        for name, part in getattr(config, group).items():
            if not isinstance(part, dict) or not isinstance(part.get("_target_"), str):
                found[f"{group}.{name}"] = _("{key} is the name of a class").format(key=f"{group}.{name}._target_")
    if "model.activation" in found:
        return list(found.values())
    try:
        one_per_layer(config.model.activation, len(config.model.hidden_sizes))
    except ValueError as error:
        found["activation"] = str(error)
    return list(found.values())
