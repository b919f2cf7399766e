"""The typed schema of the configuration, its checks and their messages, and a run's identity. Free of torch."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass
from difflib import SequenceMatcher
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from mnist_mlp.activation import ACTIVATIONS, one_per_layer


@dataclass(frozen=True)
class Numbers:
    """The numbers a key takes, `several` where it takes a list of them; `words` are other values it takes."""

    minimum: int | float = -math.inf
    maximum: int | float = math.inf
    above: int | float = -math.inf
    below: int | float = math.inf
    whole: bool = False
    several: bool = False
    words: tuple[str, ...] = ()

    def __contains__(self, value: object) -> bool:
        if isinstance(value, list):
            return self.several and all(not isinstance(element, list) and element in self for element in value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value in self.words
        return (
            math.isfinite(value)
            and (isinstance(value, int) or not self.whole)
            and self.minimum <= value <= self.maximum
            and self.above < value < self.below
        )

    def __str__(self) -> str:
        text = "a whole number" if self.whole else "a number"
        if self.minimum > -math.inf and self.maximum < math.inf:
            text += f" from {self.minimum:,} to {self.maximum:,}"
        elif self.minimum > -math.inf:
            text += f" of at least {self.minimum:,}"
        if self.above > -math.inf:
            text += f" above {self.above:,}"
        if self.below < math.inf:
            text += f" and below {self.below:,}"
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


def key(help: str, valid: Valid | None = None, mirrors: str | None = None) -> Any:
    """Declare a key: what it means, its valid values, and the plain key that it repeats if the user does not set it."""
    return field(default=MISSING, metadata={"help": help, "valid": valid, "mirrors": mirrors})


LABEL_LENGTH = 150
"""A file system takes names of 255 bytes; the identity tells cut labels apart."""

SEED = Numbers(0, 2**32 - 1, whole=True)
BATCH = Numbers(1, 54_000, whole=True)
UNITS = Numbers(1, 10_000, whole=True, several=True)


@dataclass
class ModelConfig:
    """The parameters of `mnist_mlp.mlp.MLP`."""

    hidden_sizes: list[int] = key("units of each hidden layer", UNITS, mirrors="width")
    activation: Any = key("one name for all hidden layers or one for each", Names(tuple(ACTIVATIONS)))
    init: str = key("first weights: Keras's glorot, or torch", Names(("glorot", "torch")))


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
class TrainerConfig:
    """Parameters of `lightning.Trainer`, the number of threads, and how optimizer steps are taken."""

    accelerator: str = key("where to train", Names(("auto", "cpu", "gpu", "cuda", "mps")))
    devices: Any = key("number of devices", Numbers(1, whole=True, words=("auto",)))
    strategy: str = key("how several devices work together", Names(("auto", "ddp")))
    precision: str = key("number format", Names(("32-true", "64-true", "bf16-mixed", "16-mixed")))
    threads: Any = key("threads on the CPU", Numbers(1, 1024, whole=True, words=("auto",)))
    steps_per_execution: Any = key(
        "optimizer steps in one training step; 1 is plain Lightning", Numbers(1, whole=True, words=("auto",))
    )


@dataclass
class Config:
    """The configuration of a run."""

    name: str | None = key("label of the run's folder; null labels it by what differs from the baseline")
    seed: int = key("determines first weights and order of the images", SEED)
    batch: int = key("samples an optimizer step", BATCH)
    epochs: int = key("passes over the training images", Numbers(1, whole=True))
    lr: float = key("learning rate", Numbers(above=0))
    width: int = key("units of a hidden layer, in the models that leave it open", UNITS)
    test: str = key("weights that are tested: the last, or those of the best validation", Names(("last", "best")))
    runs_dir: str = key("folder of the runs")
    overwrite: bool = key("train again what is finished")
    fail_fast: bool = key("end a sweep at the first job that fails")
    model: ModelConfig = key("the layers")
    optimizer: dict[str, Any] = key("a partial of a torch.optim class")
    data: DataConfig = key("the protocol")
    trainer: TrainerConfig = key("the device")
    logger: dict[str, Any] = key("where curves go")
    callbacks: dict[str, Any] = key("what happens beside training")
    chosen: dict[str, str] = field(default_factory=dict, metadata={"help": "options of groups, by name", "valid": None})
    """The options that were chosen from the groups `model` and `question`, for the columns of tables: set by itself."""


OPTIMIZER: dict[str, Valid] = {
    "lr": Numbers(above=0),
    "betas": Numbers(minimum=0, below=1, several=True),
    "eps": Numbers(minimum=0),
    "weight_decay": Numbers(minimum=0),
    "momentum": Numbers(minimum=0, below=1),
    "alpha": Numbers(minimum=0, below=1),
}
"""Valid values of the parameters that the optimizers share."""

ConfigStore.instance().store(name="schema", node=Config)


def keys(schema: type = Config, prefix: str = "") -> Iterator[tuple[str, "Field[Any]"]]:
    """Give the dotted name and the declaration of every key, those of groups within their group."""
    for declared in fields(schema):
        yield prefix + declared.name, declared
        if is_dataclass(declared.type) and isinstance(declared.type, type):
            yield from keys(declared.type, f"{prefix}{declared.name}.")


def describe(declared: "Field[Any]") -> str:
    """Say which values a key takes."""
    return str(declared.metadata["valid"] or ("true or false" if declared.type is bool else "text"))


def shown(value: object) -> str:
    """Write a value as one writes it on the command line."""
    if isinstance(value, list):
        return "[" + ",".join(shown(element) for element in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def nearest(word: object, names: Iterable[object]) -> str:
    """Say which of some names is meant, if one is near."""
    ratios = {str(name): SequenceMatcher(a=str(word), b=str(name)).ratio() for name in names}
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
    for parameter, value in config.optimizer.items():
        problem = problem_of(f"optimizer.{parameter}", value, OPTIMIZER.get(parameter))
        if problem and parameter not in found:
            found[f"optimizer.{parameter}"] = problem
    if not isinstance(config.optimizer.get("_target_"), str):
        found["optimizer._target_"] = "optimizer._target_ is the name of a class, as in torch.optim.Adam"
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
        "precision": config.trainer.precision,
        "test": config.test,
    }


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
        **counts,
    }
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
    return ",".join(changed).replace("/", "_")[:LABEL_LENGTH] or "baseline"
