"""What --help says: groups, plain keys and questions, as the configuration files have them. Free of torch."""

from pathlib import Path
from textwrap import TextWrapper

from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.types import RunMode
from omegaconf import OmegaConf

from mnist_mlp.config import keys

TEMPLATE = """\
Trains a multilayer perceptron on MNIST.

{examples}

Groups
{groups}

Plain keys
{keys}

Questions
{questions}

--cfg job prints the configuration instead of running it; keys within a group are set as in model.init=torch.
--hydra-help lists Hydra's own flags.
"""

EXAMPLES = {
    "": "the baseline: 784-200-200-10, ReLU, Adam, batch 100, 5 epochs",
    "model=deep5 batch=1": "groups and plain keys, freely combined",
    "experiment=q10": "one named configuration",
    "question=q07": "one whole question: its variants and the baseline, times seeds",
    "-m batch=1,25 seed=0,1": "any sweep",
}


def text(loader: ConfigLoader, questions_folder: Path, program: str) -> str:
    """Write a program's help from what the loader finds, and from the header of each question's file."""
    command = "mnist-mlp" if Path(program).stem == "mnist-mlp" else "python train.py"
    examples = {f"{command} {arguments}".strip(): meaning for arguments, meaning in EXAMPLES.items()}
    groups = {
        group: " ".join(loader.get_group_options(group, ObjectType.CONFIG))
        for group in loader.list_groups("")
        if group not in ("hydra", "question", "search")
    }
    defaults = loader.load_configuration("config", [], RunMode.RUN, from_shell=False)
    plain = {
        f"{name}={'null' if defaults[name] is None else defaults[name]}": declared.metadata["help"]
        for name, declared in keys()
        if "." not in name and not OmegaConf.is_config(defaults[name])
    }
    questions = {
        path.stem: path.read_text(encoding="utf-8").splitlines()[1].removeprefix("# ")
        for path in sorted(questions_folder.iterdir())
    }
    return TEMPLATE.format(
        examples=_table(examples), groups=_table(groups), keys=_table(plain), questions=_table(questions)
    )


def _table(rows: dict[str, str]) -> str:
    width = max(len(name) for name in rows) + 2
    return "\n".join(
        TextWrapper(110, initial_indent=f"    {name:<{width}}", subsequent_indent=" " * (width + 4)).fill(meaning)
        for name, meaning in rows.items()
    )
