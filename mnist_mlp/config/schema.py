"""The typed schema of the configuration, its checks and their messages, and a run's identity. Free of torch."""

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.config.valid import BATCH, PART, SEED, UNITS, Names, Numbers, Valid


def key(help: str, valid: Valid | None = None, mirrors: str | None = None, default: Any = MISSING) -> Any:
    """Declare a key: what it means, its valid values, and the plain key that it repeats if the user does not set it.

    The keys with a default here, rather than in conf/, are those of what is off unless it is asked for.
    """
    return field(default=default, metadata={"help": help, "valid": valid, "mirrors": mirrors})


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


ConfigStore.instance().store(name="schema", node=Config)


def keys(schema: type = Config, prefix: str = "") -> Iterator[tuple[str, "Field[Any]"]]:
    """Give the dotted name and the declaration of every key, those of groups within their group."""
    for declared in fields(schema):
        yield prefix + declared.name, declared
        if is_dataclass(declared.type) and isinstance(declared.type, type):
            yield from keys(declared.type, f"{prefix}{declared.name}.")
