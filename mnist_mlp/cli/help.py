"""The text of --help: all groups and plain keys, or the options of one group with their values. Free of torch."""

from pathlib import Path
from textwrap import TextWrapper, fill, indent

from omegaconf import OmegaConf

from mnist_mlp.cli.verbs import VERBS
from mnist_mlp.config.compose import PACKAGES, compose, loader
from mnist_mlp.config.hydra_internals import file_of_option, options_of
from mnist_mlp.config.options import OPTIONS
from mnist_mlp.config.schema import keys
from mnist_mlp.config.valid import formatted
from mnist_mlp.language import N_, _

WIDTH = 80
EXAMPLES = {
    "": N_("the baseline"),
    "model=deep5 batch=1": N_("options of groups and plain keys, freely combined"),
    "experiment=q10": N_("one named configuration"),
    "question=q07": N_("a question: its variants and the baseline, with several seeds"),
    "-m batch=1,25 seed=0,1": N_("any sweep: all combinations of the values"),
    "--help model": N_("the options of a group with their values"),
}


def text(program: str) -> str:
    """Return the help of a program, `train.py` or `mnist-mlp`."""
    notes = _(
        "* marks a default. Set keys within a group as in model.init=torch, and several options of regularization, "
        'logger or callbacks as in "logger=[tensorboard,csv]". --cfg job prints the configuration instead of running '
        "it. --hydra-help lists Hydra's own flags. --version prints the version."
    )
    verbs = _("The other commands are mnist-mlp {verbs} and {last}; each has a --help.")
    command = "python train.py" if Path(program).name == "train.py" else "mnist-mlp"
    defaults = compose([])
    chosen = defaults.hydra.runtime.choices
    groups = []
    for group in (*OPTIONS, *(name for name in loader().list_groups("") if name not in {*OPTIONS, "hydra"})):
        words, options = OPTIONS.get(group, {}), options_of(group)
        rows = {
            f"{'*' if chosen.get(group) == option else ' '} {option}": _(words.get(option, ""))
            for option in [*words, *(option for option in options if option not in words)]
        }
        if rows:  # a folder may be empty
            groups.append(f"{group}=\n{_table(rows, 2)}")
    plain = {
        f"{name}={formatted(defaults[name])}": _(declared.metadata["help"])
        for name, declared in keys()
        if "." not in name and not OmegaConf.is_config(defaults[name])
    }
    examples = {f"{command} {arguments}".strip(): _(meaning) for arguments, meaning in EXAMPLES.items()}
    parts = [
        _("Train a multilayer perceptron on MNIST."),
        _table(examples),
        *groups,
        _("Plain keys") + f"\n{_table(plain)}",
        fill(notes, WIDTH, break_on_hyphens=False),
        fill(verbs.format(verbs=", ".join(VERBS[:-1]), last=VERBS[-1]), WIDTH),
    ]
    return "\n\n".join(parts) + "\n"


def of_group(group: str) -> str:
    """Return the options of a group with their values; of a group that sets keys elsewhere, with their files."""
    words = OPTIONS.get(group, {})
    parts = []
    for option in options_of(group):
        if group in PACKAGES:
            lines = file_of_option(group, option).read_text(encoding="utf-8").splitlines(keepends=True)
            values = "".join(line for line in lines if not line.startswith("#")).strip()
        else:
            composed = compose([f"{group}={option}"])
            part = "network" if group == "model" and composed.network else group.replace("/", ".")
            values = OmegaConf.to_yaml(OmegaConf.select(composed, part)).strip()
        heading = f"{group}={option}" + (f": {_(words[option])}" if option in words else "")
        parts.append(f"{heading}\n{indent(values, '    ')}" if values != "{}" else heading)
    return "\n\n".join(parts) + "\n"


def _table(rows: dict[str, str], margin: int = 4) -> str:
    width = min(max(map(len, rows)) + 2, WIDTH // 2)  # a longer name has a line of its own
    lines = []
    for name, meaning in rows.items():
        first = " " * margin + f"{name:<{width}}"
        wrapper = TextWrapper(WIDTH - 1, initial_indent=first, subsequent_indent=" " * (margin + width))
        lines.append(wrapper.fill(meaning) if meaning else first.rstrip())
    return "\n".join(lines)
