"""The text of --help: groups with their options, plain keys, or one group with its options' values. Free of torch."""

from pathlib import Path
from textwrap import TextWrapper, indent

from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from mnist_mlp.config.compose import compose, loader
from mnist_mlp.config.options import OPTIONS
from mnist_mlp.config.schema import keys
from mnist_mlp.config.valid import shown

WIDTH = 80
INTRODUCTION = "Trains a multilayer perceptron on MNIST."
EXAMPLES = {
    "": "the baseline",
    "model=deep5 batch=1": "options of groups and plain keys, freely combined",
    "experiment=q10": "one named configuration",
    "question=q07": "a question's variants and the baseline, times seeds",
    "-m batch=1,25 seed=0,1": "any sweep",
    "--help model": "a group's options with their values",
}
NOTES = """\
* marks a default. Keys within a group are set as in model.init=torch; several
options of regularization, logger or callbacks as in 'logger=[tensorboard,csv]'.
--cfg job prints the configuration instead of running it. --hydra-help lists
Hydra's own flags, and --version tells the version."""
VERBS = """\
mnist-mlp VERB --help, for draw, evaluate, export, predict, report, reproduce,
search and table: what is done with what was trained."""


def text(program: str) -> str:
    """Write the help of a program."""
    command = "python train.py" if Path(program).name == "train.py" else "mnist-mlp"
    defaults = compose([])
    chosen = defaults.hydra.runtime.choices
    groups = []
    for group in (*OPTIONS, *(name for name in loader().list_groups("") if name not in {*OPTIONS, "hydra", "search"})):
        words, options = OPTIONS.get(group, {}), loader().get_group_options(group, ObjectType.CONFIG)
        rows = {
            f"{'*' if chosen.get(group) == option else ' '} {option}": words.get(option, "")
            for option in [*words, *(option for option in options if option not in words)]
        }
        groups.append(f"{group}=\n{_table(rows, 2)}")
    plain = {
        f"{name}={shown(defaults[name])}": declared.metadata["help"]
        for name, declared in keys()
        if "." not in name and not OmegaConf.is_config(defaults[name])
    }
    examples = {f"{command} {arguments}".strip(): meaning for arguments, meaning in EXAMPLES.items()}
    parts = [INTRODUCTION, _table(examples), *groups, f"Plain keys\n{_table(plain)}", NOTES, VERBS]
    return "\n\n".join(parts) + "\n"


def of_group(group: str) -> str:
    """Write the options of a group with their values, as their files have them."""
    words = OPTIONS.get(group, {})
    parts = []
    for option in loader().get_group_options(group, ObjectType.CONFIG):
        result = loader().repository.load_config(f"{group}/{option}")  # type: ignore[attr-defined] # of Hydra's loader
        values = OmegaConf.to_yaml(result.config).strip()
        heading = f"{group}={option}" + (f": {words[option]}" if option in words else "")
        parts.append(f"{heading}\n{indent(values, '    ')}" if values != "{}" else heading)
    return "\n\n".join(parts) + "\n"


def _table(rows: dict[str, str], margin: int = 4) -> str:
    width = max(len(name) for name in rows) + 2
    if width > WIDTH // 2:  # a long example has a line of its own
        width = WIDTH // 2
    lines = []
    for name, meaning in rows.items():
        first = " " * margin + f"{name:<{width}}"
        wrapper = TextWrapper(WIDTH - 1, initial_indent=first, subsequent_indent=" " * (margin + width))
        lines.append(wrapper.fill(meaning) if meaning else first.rstrip())
    return "\n".join(lines)
