"""The typed schema of the configuration, its checks and their messages, and a run's identity. Free of torch."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from mnist_mlp.activation import ACTIVATIONS, one_per_layer


@dataclass(frozen=True)
class Numbers:
    """The numbers a key takes.

    Attributes:
        several: an example of a list of them, if the key takes a list.
        words: other values that it takes.
    """

    minimum: int | float = -math.inf
    maximum: int | float = math.inf
    above: int | float = -math.inf
    below: int | float = math.inf
    whole: bool = False
    several: str = ""
    words: tuple[str, ...] = ()

    def __contains__(self, value: object) -> bool:
        if self.several:
            return isinstance(value, list) and all(element in replace(self, several="") for element in value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value in self.words
        return (
            math.isfinite(value)
            and (isinstance(value, int) or not self.whole)
            and self.minimum <= value <= self.maximum
            and self.above < value < self.below
        )

    def __str__(self) -> str:
        kind = "whole number" if self.whole else "number"
        text = f"a list of {kind}s" if self.several else f"a {kind}"
        if self.minimum > -math.inf and self.maximum < math.inf:
            text += f" from {self.minimum:,} to {self.maximum:,}"
        elif self.minimum > -math.inf:
            text += f" of at least {self.minimum:,}"
        if self.above > -math.inf:
            text += f" above {self.above:,}"
        if self.below < math.inf:
            text += f" and below {self.below:,}"
        text += f", as in {self.several}" if self.several else ""
        return " or ".join([text, *self.words])


@dataclass(frozen=True)
class Names:
    """The names a key takes, of which a list may hold several."""

    names: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        if isinstance(value, list):
            return all(element in self.names for element in value)
        return value in self.names

    def __str__(self) -> str:
        return "one of " + ", ".join(self.names)


Valid = Numbers | Names


def key(help: str, valid: Valid | None = None, mirrors: str | None = None, default: Any = MISSING) -> Any:
    """Declare a key: what it means, its valid values, and the plain key that it repeats if the user does not set it.

    The keys with a default here, rather than in conf/, are those of what is off unless it is asked for.
    """
    return field(default=default, metadata={"help": help, "valid": valid, "mirrors": mirrors})


LABEL_LENGTH = 150
"""Bytes: a file system takes names of 255. The identity tells cut labels apart."""

SEED = Numbers(0, 2**32 - 1, whole=True)
TRAINING = 54_000
"""Training images."""
BATCH = Numbers(1, TRAINING, whole=True)
UNITS = Numbers(1, 10_000, whole=True)
PART = Numbers(0, below=1)


@dataclass
class ModelConfig:
    """The parameters of `mnist_mlp.mlp.MLP`."""

    hidden_sizes: list[int] = key("units of each hidden layer", replace(UNITS, several="[300,100]"), mirrors="width")
    activation: Any = key("one name for all hidden layers or one for each", Names(tuple(ACTIVATIONS)))
    init: str = key("first weights: Keras's glorot, or torch", Names(("glorot", "torch")))
    normalization: str = key("before each activation", Names(("none", "batch", "layer")), default="none")
    noise: float = key("deviation of noise on the pixels and before each activation", Numbers(0), default=0.0)
    dropout: float = key("part of the hidden units that is left out", PART, default=0.0)
    input_dropout: float = key("part of the pixels that is left out", PART, default=0.0)


@dataclass
class DataConfig:
    """The parameters of `mnist_mlp.data.MNISTDataModule`."""

    protocol: str = key("split and shuffle", Names(("disjoint", "notebook")))
    dir: str | None = key("directory of the MNIST files; null is a per-user cache directory")
    batch: int = key("samples an optimizer step", BATCH, mirrors="batch")
    split_seed: int = key("determines the validation images", SEED)
    seed: int = key("determines the order of the training images", SEED, mirrors="seed")
    steps_per_epoch: int | None = key("optimizer steps an epoch; null uses all images", Numbers(1, whole=True))


@dataclass
class Config:
    """The configuration of a run."""

    name: str | None = key("label of the run's folder; null labels it by what differs from the baseline")
    seed: int = key("determines first weights and order of the images", SEED)
    batch: int = key("samples an optimizer step", BATCH)
    epochs: int = key("passes over the training images", Numbers(1, whole=True))
    lr: float = key("learning rate", Numbers(above=0))
    width: int = key("units of a hidden layer, in the models that leave it open", UNITS)
    test: str = key(
        "weights that are tested: the last, those of the best validation, or none", Names(("last", "best", "none"))
    )
    runs_dir: str = key("folder of the runs")
    overwrite: bool = key("train again what is finished")
    fail_fast: bool = key("end a sweep at the first job that fails")
    model: ModelConfig = key("the layers")
    optimizer: dict[str, Any] = key("a partial of a torch.optim class")
    scheduler: dict[str, Any] = key("how the learning rate changes, a partial of a function of mnist_mlp.scheduler")
    label_smoothing: float = key("part of a label that is spread over all digits", PART, default=0.0)
    gradient_clip: float | None = key(
        "norm that a gradient is brought down to; null leaves it", Numbers(above=0), default=None
    )
    ema: float | None = key(
        "decay of an average of the weights, which is what is tested; null takes the weights", PART, default=None
    )
    patience: int | None = key(
        "epochs without a better validation accuracy that training goes on for; null trains all epochs",
        Numbers(1, whole=True),
        default=None,
    )
    data: DataConfig = key("the protocol")
    augmentation: dict[str, Any] = key("how training images are deformed, for mnist_mlp.augmentation.Deformation")
    trainer: dict[str, Any] = key("arguments of lightning.Trainer, threads, and how optimizer steps are taken")
    logger: dict[str, Any] = key("where curves go")
    callbacks: dict[str, Any] = key("what happens beside training")
    chosen: dict[str, str] = field(default_factory=dict, metadata={"help": "options of groups, by name", "valid": None})
    """The options that were chosen from the groups `model` and `question`, for the columns of tables: set by itself."""


TRAINER: dict[str, Valid] = {
    "accelerator": Names(("auto", "cpu", "gpu", "cuda", "mps")),
    "devices": Numbers(1, whole=True, words=("auto",)),
    "strategy": Names(("auto", "ddp")),
    "precision": Names(("32-true", "64-true", "bf16-mixed", "16-mixed")),
    "threads": Numbers(1, 1024, whole=True, words=("auto",)),
    "steps_per_execution": Numbers(1, whole=True, words=("auto",)),
}
"""Valid values of the keys that every option of the group trainer has.

The last two are not `lightning.Trainer`'s: the threads on the CPU, and the optimizer steps in one training step, of
which 1 is plain Lightning.
"""

LIGHTNING: dict[str, Valid | None] = {
    "accumulate_grad_batches": Numbers(1, whole=True),
    "barebones": None,
    "benchmark": None,
    "check_val_every_n_epoch": Numbers(1, whole=True),
    "detect_anomaly": None,
    "deterministic": None,
    "enable_autolog_hparams": None,
    "enable_checkpointing": None,
    "enable_model_summary": None,
    "enable_progress_bar": None,
    "fast_dev_run": None,
    "gradient_clip_algorithm": Names(("norm", "value")),
    "gradient_clip_val": Numbers(0),
    "inference_mode": None,
    "limit_predict_batches": Numbers(0),
    "limit_test_batches": Numbers(0),
    "limit_train_batches": Numbers(0),
    "limit_val_batches": Numbers(0),
    "log_every_n_steps": Numbers(0, whole=True),
    "max_steps": Numbers(-1, whole=True),
    "max_time": None,
    "min_epochs": Numbers(0, whole=True),
    "min_steps": Numbers(0, whole=True),
    "model_registry": None,
    "num_nodes": Numbers(1, whole=True),
    "num_sanity_val_steps": Numbers(-1, whole=True),
    "overfit_batches": Numbers(0),
    "plugins": None,
    "profiler": None,
    "reload_dataloaders_every_n_epochs": Numbers(0, whole=True),
    "sync_batchnorm": None,
    "use_distributed_sampler": None,
    "val_check_interval": None,
}
"""The further arguments of `lightning.Trainer`, which `+trainer.NAME=VALUE` adds; None leaves their check to it."""

SET_ELSEWHERE = {
    "max_epochs": "write epochs=10",
    "logger": "choose from the group, as in logger=csv",
    "callbacks": "choose from the group, as in callbacks=full, or add one, as in +callbacks.NAME._target_=CLASS",
    "default_root_dir": "write runs_dir=FOLDER",
}
"""The arguments of `lightning.Trainer` that other keys set."""

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

OBSERVERS = frozenset(
    {
        "mnist_mlp.curves.Curves",
        "mnist_mlp.hyperparameters.Hyperparameters",
        "mnist_mlp.snapshots.Snapshots",
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

OPTIMIZER: dict[str, Valid] = {
    "lr": Numbers(above=0),
    "betas": Numbers(minimum=0, below=1, several="[0.9,0.999]"),
    "eps": Numbers(minimum=0),
    "weight_decay": Numbers(minimum=0),
    "momentum": Numbers(minimum=0, below=1),
    "alpha": Numbers(minimum=0, below=1),
}
"""Valid values of the parameters that the optimizers share."""

SCHEDULER: dict[str, Valid] = {
    "warm_up": PART,
    "hold": PART,
    "initial": Numbers(minimum=0, maximum=1),
    "final": Numbers(minimum=0, maximum=1),
    "factor": Numbers(above=0, below=1),
    "patience": Numbers(minimum=0, whole=True),
}
"""Valid values of the parameters of mnist_mlp.scheduler."""

AUGMENTATION: dict[str, Valid] = {
    "rotation": Numbers(minimum=0, maximum=180),
    "scaling": PART,
    "shear": Numbers(minimum=0, maximum=2),
    "translation": Numbers(minimum=0, maximum=28),
    "elasticity": Numbers(minimum=0, maximum=28),
    "smoothness": Numbers(minimum=1, maximum=28),
}
"""Valid values of the parameters of `mnist_mlp.augmentation.Deformation`."""

ConfigStore.instance().store(name="schema", node=Config)


def keys(schema: type = Config, prefix: str = "") -> Iterator[tuple[str, "Field[Any]"]]:
    """Give the dotted name and the declaration of every key, those of groups within their group."""
    for declared in fields(schema):
        yield prefix + declared.name, declared
        if is_dataclass(declared.type) and isinstance(declared.type, type):
            yield from keys(declared.type, f"{prefix}{declared.name}.")


def describe(declared: "Field[Any]") -> str:
    """Say which values a key takes."""
    kind = "a group of keys" if "dict" in str(declared.type) else "true or false" if declared.type is bool else "text"
    return str(declared.metadata["valid"] or kind)


def shown(value: object) -> str:
    """Write a value as one writes it on the command line."""
    if isinstance(value, list):
        return "[" + ",".join(shown(element) for element in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def one_line(text: str) -> str:
    """Join the lines of an exception's text, without what OmegaConf adds to it."""
    lines = [line.strip() for line in text.splitlines()]
    words = "; ".join(line for line in lines if not line.startswith(("full_key", "object_type", "reference_type")))
    return words.replace(":; ", ": ").strip("; ")


def nearest(word: object, names: Iterable[object]) -> str:
    """Say which of some names is meant, if one is near."""
    ratios = {str(name): SequenceMatcher(a=str(word).lower(), b=str(name)).ratio() for name in names}
    closest = max(ratios, key=lambda name: ratios[name], default="")
    return f"; did you mean {closest}?" if ratios.get(closest, 0) >= 0.5 else ""


def problem_of(name: str, value: object, valid: Valid | None) -> str | None:
    """Say in one line what is wrong with a key's value, if anything is."""
    if valid is None or value in valid:
        return None
    hint = ""
    if isinstance(valid, Names):
        wrong = [element for element in (value if isinstance(value, list) else [value]) if element not in valid.names]
        hint = "".join(nearest(element, valid.names) for element in wrong[:1])
    return f"{name}={shown(value)}: {name} is {valid}{hint}"


def smallest_batch(config: Config) -> int:
    """Give the samples of the smallest batch of an epoch, which is the last where they do not divide the images."""
    data = config.data
    samples = min(TRAINING, TRAINING if data.steps_per_epoch is None else data.steps_per_epoch * data.batch)
    return samples % data.batch or data.batch


def problem_of_trainer(name: str) -> str:
    """Say what is wrong with an argument that `lightning.Trainer` does not have, or that is set elsewhere."""
    if name in SET_ELSEWHERE:
        return f"trainer.{name}: {SET_ELSEWHERE[name]}"
    return f"trainer.{name}: lightning.Trainer has no such argument{nearest(name, [*TRAINER, *LIGHTNING])}"


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
    found |= {f"trainer.{name}": f"trainer.{name} is missing" for name in TRAINER.keys() - config.trainer.keys()}
    groups: tuple[tuple[str, Mapping[str, Valid | None]], ...] = (
        ("trainer", TRAINER),
        ("trainer", LIGHTNING),
        ("optimizer", OPTIMIZER),
        ("scheduler", SCHEDULER),
        ("augmentation", AUGMENTATION),
    )
    for group, valid in groups:
        for parameter, value in getattr(config, group).items():
            if valid is LIGHTNING and value is None:  # as if it were not given
                continue
            problem = problem_of(f"{group}.{parameter}", value, valid.get(parameter))
            if problem and parameter not in found:
                found[f"{group}.{parameter}"] = problem
    for name in config.trainer.keys() - TRAINER.keys() - LIGHTNING.keys():
        found[f"trainer.{name}"] = problem_of_trainer(str(name))
    if config.model.normalization == "batch" and (smallest := smallest_batch(config)) == 1:
        wrong = f"batch={config.data.batch}" if smallest == config.data.batch else "the last batch of an epoch"
        found["model.normalization"] = (
            f"model.normalization=batch: {wrong} has a single sample, whose variance is 0; choose another batch, or "
            "model.normalization=layer"
        )
    if config.trainer.get("limit_val_batches") == 0 and (config.test == "best" or config.patience is not None):
        wanted = "test=best" if config.test == "best" else "patience"
        found["trainer.limit_val_batches"] = f"trainer.limit_val_batches=0: {wanted} needs a validation"
    if not isinstance(config.optimizer.get("_target_"), str):
        found["optimizer._target_"] = "optimizer._target_ is the name of a class, as in torch.optim.Adam"
    for group, option in (("scheduler", "cosine"), ("augmentation", "affine")):
        values = getattr(config, group)
        if values and not isinstance(values.get("_target_"), str):
            found[f"{group}._target_"] = f"{group} has no _target_; choose one, as in {group}={option}"
    for group in ("logger", "callbacks"):
        for name, part in getattr(config, group).items():
            if not isinstance(part, dict) or not isinstance(part.get("_target_"), str):
                found[f"{group}.{name}"] = f"{group}.{name}._target_ is the name of a class"
    if "model.activation" in found:
        return list(found.values())
    try:
        one_per_layer(config.model.activation, len(config.model.hidden_sizes))
    except ValueError as error:
        found["activation"] = str(error)
    return list(found.values())


def what_counts(config: Config) -> dict[str, Any]:
    """Give everything of a configuration that can change a run's numbers, the seed aside."""
    return {
        "model": {
            "hidden_sizes": config.model.hidden_sizes,
            "activation": one_per_layer(config.model.activation, len(config.model.hidden_sizes)),
            "init": config.model.init,
        },
        "optimizer": {name: _as_float(value) for name, value in config.optimizer.items()},
        "data": {
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


def is_observer(callback: dict[str, Any]) -> bool:
    """Whether a callback of the configuration cannot change a run's numbers."""
    return callback["_target_"] in OBSERVERS


def further_arguments(config: Config) -> dict[str, Any]:
    """Give the arguments of `lightning.Trainer` that were added to those of the group trainer."""
    return {name: value for name, value in config.trainer.items() if name in LIGHTNING and value is not None}


def _what_is_added(config: Config) -> dict[str, Any]:
    callbacks = [callback for callback in config.callbacks.values() if not is_observer(callback)]
    arguments = {name: value for name, value in further_arguments(config).items() if name not in ONLY_LOOK_ON}
    return {name: added for name, added in (("callbacks", callbacks), ("trainer", arguments)) if added}


def _what_is_on(config: Config) -> dict[str, Any]:
    # What is off is not there, rather than there with a default: it cannot change a run's numbers.
    declared = [(part, each) for part in (config.model, config) for each in fields(part)]
    on = {
        each.name: getattr(part, each.name)
        for part, each in declared
        if each.default not in (MISSING, dataclasses.MISSING) and getattr(part, each.name) != each.default
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
    """Hash everything that can change a run's numbers, the seed aside, to 8 hexadecimal digits."""
    text = json.dumps(what_counts(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def differences(config: Config, reference: Config) -> list[str]:
    """List what counts and differs from a reference, as `key=value` with the last word of the key."""
    usual = _by_word(reference)
    return [f"{word}={value}" for word, value in _by_word(config).items() if value != usual.get(word)]


def _by_word(config: Config) -> dict[str, str]:
    counts = what_counts(config)
    optimizer = counts.pop("optimizer")
    words = {
        **counts.pop("model"),
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
    if len(set(words["activation"])) == 1:
        words["activation"] = words["activation"][0]
    return {
        word: "-".join(str(element) for element in value) if isinstance(value, list) else str(value)
        for word, value in words.items()
    }


def label(config: Config, reference: Config) -> str:
    """Name a run readably: the name it was given, or "baseline", with what differs from `reference`.

    Args:
        config: the run's configuration.
        reference: the experiment that the run is a variation of, or the baseline.
    """
    changed = differences(config, reference)
    if config.name:
        changed.insert(0, config.name)
    text = ",".join(changed).replace("/", "_") or "baseline"
    return text.encode()[:LABEL_LENGTH].decode(errors="ignore")
