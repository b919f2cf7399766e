"""The valid values of keys, and how values are written. Free of torch."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from mnist_mlp.language import N_, _, figure


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
    integer: bool = False
    several: str = ""
    words: tuple[str, ...] = ()

    def __contains__(self, value: object) -> bool:
        if self.several:
            return isinstance(value, list) and all(element in replace(self, several="") for element in value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value in self.words
        return (
            math.isfinite(value)
            and (isinstance(value, int) or not self.integer)
            and self.minimum <= value <= self.maximum
            and self.above < value < self.below
        )

    def __str__(self) -> str:
        if self.several:
            text = _("a list of whole numbers") if self.integer else _("a list of numbers")
        else:
            text = _("a whole number") if self.integer else _("a number")
        if self.minimum > -math.inf and self.maximum < math.inf:
            text += _(" from {low} to {high}").format(low=figure(self.minimum, ","), high=figure(self.maximum, ","))
        elif self.minimum > -math.inf:
            text += _(" of at least {low}").format(low=figure(self.minimum, ","))
        if self.above > -math.inf:
            text += _(" above {low}").format(low=figure(self.above, ","))
        if self.below < math.inf:
            text += _(" and below {high}").format(high=figure(self.below, ","))
        text += _(", as in {example}").format(example=self.several) if self.several else ""
        return _(" or ").join([text, *self.words])


@dataclass(frozen=True)
class Names:
    """The names a key takes, of which a list may hold several."""

    names: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        if isinstance(value, list):
            return all(element in self.names for element in value)
        return value in self.names

    def __str__(self) -> str:
        return _("one of {names}").format(names=", ".join(self.names))


Valid = Numbers | Names


SEED = Numbers(0, 2**32 - 1, integer=True)


TRAINING = 54_000
"""Training images."""


DATASETS = ("mnist", "fashion", "kmnist", "emnist_digits", "folder")


BATCH = Numbers(1, TRAINING, integer=True)


UNITS = Numbers(1, 10_000, integer=True)


PART = Numbers(0, below=1)


TRAINER: dict[str, Valid] = {
    "accelerator": Names(("auto", "cpu", "gpu", "cuda", "mps")),
    "devices": Numbers(1, integer=True, words=("auto",)),
    "strategy": Names(("auto", "ddp")),
    "precision": Names(("32-true", "64-true", "bf16-mixed", "16-mixed")),
    "threads": Numbers(1, 1024, integer=True, words=("auto",)),
    "steps_per_execution": Numbers(1, integer=True, words=("auto",)),
}
"""Valid values of the keys that every option of the group trainer has.

The last two are not `lightning.Trainer`'s: the threads on the CPU, and the optimizer steps in one training step, of
which 1 is plain Lightning.
"""


LIGHTNING: dict[str, Valid | None] = {
    "accumulate_grad_batches": Numbers(1, integer=True),
    "barebones": None,
    "benchmark": None,
    "check_val_every_n_epoch": Numbers(1, integer=True),
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
    "log_every_n_steps": Numbers(0, integer=True),
    "max_steps": Numbers(-1, integer=True),
    "max_time": None,
    "min_epochs": Numbers(0, integer=True),
    "min_steps": Numbers(0, integer=True),
    "model_registry": None,
    "num_nodes": Numbers(1, integer=True),
    "num_sanity_val_steps": Numbers(-1, integer=True),
    "overfit_batches": Numbers(0),
    "plugins": None,
    "profiler": None,
    "sync_batchnorm": None,
    "use_distributed_sampler": None,
    "val_check_interval": None,
}
"""The further arguments of `lightning.Trainer`, which `+trainer.NAME=VALUE` adds; None leaves their check to it."""


SET_ELSEWHERE = {
    "max_epochs": N_("write epochs=10"),
    "logger": N_("choose from the group, as in logger=csv"),
    "callbacks": N_("choose from the group, as in callbacks=full, or add one, as in +callbacks.NAME._target_=CLASS"),
    "default_root_dir": N_("write runs_dir=FOLDER"),
    "reload_dataloaders_every_n_epochs": N_("each epoch has an order of its own without it"),
}
"""The arguments of `lightning.Trainer` that other keys set."""


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
    "patience": Numbers(minimum=0, integer=True),
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


def formatted(value: object) -> str:
    """Write a value as on the command line."""
    if isinstance(value, list):
        return "[" + ",".join(formatted(element) for element in value) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def one_line(text: str) -> str:
    """Join the lines of an exception's text, without those that OmegaConf adds."""
    lines = [line.strip() for line in text.splitlines()]
    words = "; ".join(line for line in lines if not line.startswith(("full_key", "object_type", "reference_type")))
    return words.replace(":; ", ": ").strip("; ")


def closest(word: object, names: Iterable[object]) -> str | None:
    """Return the name closest to a word, if one is close.

    q01 is close to q1, and q01_width to q01; but q10 is not to q11, which is another number and no slip.
    """

    def unpadded(text: str) -> str:
        return re.sub(r"(?<![\d.])0+(?=\d)", "", text)

    def shape(text: str) -> str:
        return re.sub(r"\d", "0", text)

    word, known = str(word).lower(), [str(name) for name in names]
    begun = [name for name in known if unpadded(name) == unpadded(word) or re.split(r"[_.-]", name)[0] == word]
    others = [name for name in known if shape(name) != shape(word)]
    return next(iter(begun or get_close_matches(word, others, n=1, cutoff=0.5)), None)


def nearest(word: object, names: Iterable[object]) -> str:
    """Suggest the name closest to a word, if one is close."""
    name = closest(word, names)
    return _("; did you mean {name}?").format(name=name) if name else ""


def problem_of(name: str, value: object, valid: Valid | None) -> str | None:
    """Explain in one line what is wrong with a key's value, if anything is."""
    if valid is None or value in valid:
        return None
    hint = ""
    if isinstance(valid, Names):
        wrong = [element for element in (value if isinstance(value, list) else [value]) if element not in valid.names]
        hint = "".join(nearest(element, valid.names) for element in wrong[:1])
    return _("{name}={value}: {name} is {valid}{hint}").format(
        name=name, value=formatted(value), valid=valid, hint=hint
    )
