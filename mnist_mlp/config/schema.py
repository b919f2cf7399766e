"""The typed schema of the configuration. Free of torch."""

from collections.abc import Iterator
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp.activation import ACTIVATIONS
from mnist_mlp.config.valid import BATCH, DATASETS, PART, SEED, UNITS, Names, Numbers, Valid
from mnist_mlp.language import LANGUAGES, N_


def key(help: str, valid: Valid | None = None, mirrors: str | None = None, default: Any = MISSING) -> Any:
    """Declare a key: what it means, its valid values, and the plain key that it repeats if the user does not set it.

    What it means is translated when it is shown.

    The keys with a default here, rather than in conf/, belong to opt-in features.
    """
    return field(default=default, metadata={"help": help, "valid": valid, "mirrors": mirrors})


@dataclass
class ModelConfig:
    """The parameters of `mnist_mlp.mlp.MLP`."""

    hidden_sizes: list[int] = key("units of each hidden layer", replace(UNITS, several="[300,100]"), mirrors="width")
    activation: Any = key("one name for all hidden layers or one for each", Names(tuple(ACTIVATIONS)))
    init: str = key(
        "initial weights: Keras's glorot, glorot_sigmoid with four times its range before a sigmoid, or torch",
        Names(("glorot", "glorot_sigmoid", "torch")),
    )
    normalization: str = key("before each activation", Names(("none", "batch", "layer")), default="none")
    noise: float = key("standard deviation of noise on the pixels and before each activation", Numbers(0), default=0.0)
    dropout: float = key("fraction of the hidden units dropped", PART, default=0.0)
    input_dropout: float = key("fraction of the pixels dropped", PART, default=0.0)


@dataclass
class DataConfig:
    """The parameters of `mnist_mlp.data.MNISTDataModule`."""

    protocol: str = key("split and shuffle", Names(("disjoint", "notebook")))
    dir: str | None = key("directory of the files, null a per-user cache directory; of data=folder, the images")
    batch: int = key("samples per optimizer step", BATCH, mirrors="batch")
    split_seed: int | None = key("determines the validation images; null: data.seed does", SEED)
    seed: int = key("determines the order of the training images", SEED, mirrors="seed")
    steps_per_epoch: int | None = key("optimizer steps per epoch; null uses all images", Numbers(1, integer=True))
    dataset: str = key("images and their classes", Names(DATASETS), default="mnist")
    content: str | None = key("hash that the images of data=folder must have; null takes what they have", default=None)


@dataclass
class Config:
    """The configuration of a run."""

    name: str | None = key("label of the run's folder; null: what differs from the baseline")
    seed: int = key("determines initial weights and order of the images", SEED)
    batch: int = key("samples per optimizer step", BATCH)
    epochs: int = key("passes over the training images", Numbers(1, integer=True))
    lr: float = key("learning rate", Numbers(above=0))
    width: int = key("units of each hidden layer, in models of variable width", UNITS)
    test: str = key("weights to test: the last, those of the best validation, or none", Names(("last", "best", "none")))
    runs_dir: str = key("folder of the runs")
    overwrite: bool = key("train again even if finished")
    fail_fast: bool = key("stop a sweep at the first failing job")
    language: str | None = key("en or es; null: that of the environment, as in LANG", Names(LANGUAGES), default=None)
    author: str | None = key("who trains, for the record; by default the variable MNIST_MLP_AUTHOR", default=None)
    margin: float = key(
        "points within which a question's answer counts accuracies as the same", Numbers(above=0), default=0.2
    )
    model: ModelConfig = key("the layers")
    network: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": N_("a network of your own, which model._target_ sets"), "valid": None, "mirrors": None},
    )
    """The class of a network in the place of `model`'s, under `_target_`, with the parameters of its constructor.

    `_source_` is a hash of its source, and `_state_`, of an instance, one of its initial weights and attributes.
    """
    optimizer: dict[str, Any] = key("a partial of a torch.optim class")
    scheduler: dict[str, Any] = key("learning rate schedule, a partial of a function of mnist_mlp.scheduler")
    label_smoothing: float = key("fraction of a label spread over all digits", PART, default=0.0)
    gradient_clip: float | None = key(
        "maximum norm of the gradient; null does not clip", Numbers(above=0), default=None
    )
    ema: float | None = key(
        "decay of the exponential moving average of the weights that is tested; null takes none", PART, default=None
    )
    patience: int | None = key(
        "epochs without better validation accuracy before training stops early; null never stops",
        Numbers(1, integer=True),
        default=None,
    )
    data: DataConfig = key("the protocol")
    augmentation: dict[str, Any] = key(
        "random deformations of the training images, for mnist_mlp.augmentation.Deformation"
    )
    trainer: dict[str, Any] = key("arguments of lightning.Trainer, threads, and how optimizer steps are taken")
    logger: dict[str, Any] = key("loggers of the curves")
    callbacks: dict[str, Any] = key("callbacks of the training")
    chosen: dict[str, str] = field(default_factory=dict, metadata={"help": "options of groups, by name", "valid": None})
    """The options that were chosen from the groups `model`, `experiment` and `question`, for records and tables.

    The question is that of the experiment, where its file names one, or the one that was launched, which a question's
    file names as `launched`.
    """


ConfigStore.instance().store(name="schema", node=Config)


def recorded_config(values: Any) -> Config:
    """Read the configuration of a record.

    Raises:
        ValueError: it is none of this version's; the reason is in one line.
    """
    try:
        return cast(Config, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), values)))
    except (OmegaConfBaseException, TypeError, ValueError) as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error


def keys(schema: type = Config, prefix: str = "") -> Iterator[tuple[str, "Field[Any]"]]:
    """Return the dotted name and the declaration of every key, those of groups within their group."""
    for declared in fields(schema):
        yield prefix + declared.name, declared
        if is_dataclass(declared.type) and isinstance(declared.type, type):
            yield from keys(declared.type, f"{prefix}{declared.name}.")
