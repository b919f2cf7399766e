"""Checks of overrides, each problem in one line. Free of torch."""

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mnist_mlp.config import synonyms
from mnist_mlp.config.checks import describe, problem_of_trainer, problems
from mnist_mlp.config.compose import CONF, OF_OURS, compose, loader, no_such_key, no_such_option, to_config
from mnist_mlp.config.hydra_internals import loads_own_network, options_of
from mnist_mlp.config.schema import keys
from mnist_mlp.config.valid import LIGHTNING, TRAINER, Numbers, formatted
from mnist_mlp.errors import Problem, not_installed
from mnist_mlp.language import _

EXTRAS = {"joblib": "parallel", "slurm": "slurm", "submitit_local": "slurm", "submitit_slurm": "slurm"}
"""The extra of this package that each launcher needs."""


def problems_of_dashes(arguments: list[str]) -> list[str]:
    """List the arguments that are keys with dashes before them, as in --epochs 10."""
    names = {name for name, declared in keys()} | {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}
    found = []
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        flag, value = (*argument.split("=", 1), "")[:2]
        name = flag.removeprefix("--").replace("-", "_")
        name = synonyms.KEYS.get(name, name)
        if flag.startswith("--") and name in names:
            value = value or following or _("VALUE")
            found.append(_("{flag}: keys have no dashes; write {key}={value}").format(flag=flag, key=name, value=value))
    return found


def problem_of_spaces(overrides: Sequence[str]) -> str | None:
    """Point out spaces around an equals sign, as in batch = 25, of which the shell makes several overrides."""
    for first, second, third in zip_longest(overrides, overrides[1:], overrides[2:], fillvalue=""):
        if second[:1] == "=" or (first[-1:] == "=" and second and "=" not in second):
            parts = [first, second, third] if second == "=" else [first, second]
            said = _("{line}: no spaces around the equals sign; write {override}")
            return said.format(line=" ".join(parts).rstrip(), override="".join(parts))
    return None


def problems_one_by_one(overrides: list[str]) -> list[str]:
    """List the values out of range, checking each override alone, for overrides that cannot be composed together."""
    found: list[str] = []
    of_folder = [text for text in overrides if text.startswith("data.dir=")]  # without which data=folder is wrong
    for override in OverridesParser.create(loader()).parse_overrides(overrides):
        texts = [override.input_line or ""]
        if override.is_sweep_override():
            texts = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        for text in texts:
            try:
                found += problems(to_config(compose([*of_folder, text])))
            except Problem:
                continue  # reported already
    return found


def parse(text: str) -> tuple[Any, str | None]:
    """Parse an override, or explain why it is not one."""
    cause: BaseException | None = None
    try:
        (override,) = OverridesParser.create(loader()).parse_overrides([text])
        if override.key_or_group:
            return override, None
    except HydraException as error:
        cause = error.__cause__  # of a function, as in range(1,x)
    except ValueError as error:  # a number of more digits than Python reads
        cause = error
    line, key = " ".join(text.split()), text.partition("=")[0]
    if cause:
        return None, f"{line}: {str(cause).splitlines()[0]}"
    if key and text.count("[") != text.count("]"):
        said = _('{line}: the brackets do not match; quote a list as a whole, as in "{key}=[a,b]"')
    elif key == "author":
        said = _("{line}: a name with spaces, accents or signs is quoted twice: \"author='{quoted}'\"")
    elif key and "=" in text:
        said = _("{line}: not a valid value; quote special characters, as in \"{key}='a=b'\"")
    else:
        said = _("{line}: not an override; write KEY=VALUE, as in batch=1")
    return None, said.format(line=line, key=key, quoted=line.partition("=")[2].replace("'", r"\'"))


def with_options(overrides: list[Override]) -> DictConfig:
    """Compose the chosen options of groups, the first of several, and the other keys if their values can be."""
    chosen, options, declared = [], [], dict(keys())
    own_network = loads_own_network(overrides)
    for override in overrides:
        name, changes = override.key_or_group, override.type == OverrideType.CHANGE
        line = override.input_line or ""
        if changes and name not in declared and options_of(name):
            option = next(iter(values_of(override)), None)
            if problem_of_options(name, [option]) is None:
                options.append(f"{name}={formatted(option)}")
                chosen.append(options[-1])
        elif name == "model._target_" and (named := values_of(override)):
            chosen.append(f"{name}={formatted(named[0])}")
        elif (
            (name in declared or not changes or (own_network and name.startswith("model.")))
            and not override.is_sweep_override()
            and "${" not in line
        ):
            chosen.append(line)  # so that this is the composition of the job, too; ${...} may refer to nothing
    for some in (chosen, options):
        try:
            return compose(some)
        except Problem:
            continue  # reported elsewhere
    return compose([])


def values_of(override: Override) -> list[Any]:
    """List the values of an override; a sweep may have none."""
    if not override.is_sweep_override():
        return [override.value()]
    try:
        return list(override.sweep_iterator())
    except ValueError:  # a range with steps of 0
        return []


def problem_of_override(override: Override, known: DictConfig) -> str | None:
    """Explain what is wrong with an override: an unknown key, or a value of the wrong type."""
    name = override.key_or_group
    if override.is_sweep_override() and not override.is_discrete_sweep():
        return _("{line}: a sweep lists its values, as in lr=0.1,0.01").format(line=override.input_line)
    values = values_of(override)
    if not values:
        return _("{line}: the sweep has no values").format(line=override.input_line)
    if override.is_delete():
        return None  # composing it shows whether it is right
    if options_of(name):
        if known.network and name == "activation":
            return _(OF_OURS).format(setting=override.input_line)
        return problem_of_options(name, values)
    if known.network and name == "width":
        return _(OF_OURS).format(setting=override.input_line)
    if known.network and name.startswith("model."):  # a parameter of its constructor, which is checked with its class
        return None
    *above, word = name.split(".")
    parent = ".".join(above)
    if override.is_add() or override.is_force_add():
        if parent == "trainer" and word not in {**TRAINER, **LIGHTNING}:
            return problem_of_trainer(word)
        open_groups = tuple(f"{key}." for key, declared in keys() if "dict" in str(declared.type))
        if name.startswith(open_groups):
            return None
        return _("{line}: no key can be added there").format(line=override.input_line)
    siblings = OmegaConf.select(known, parent) if parent else known
    if not isinstance(siblings, DictConfig) or word not in siblings:
        if name in synonyms.KEYS or name in synonyms.ANSWERS or (parent == "trainer" and word in LIGHTNING):
            instead = counterpart(name, override, known)
            return f"{override.input_line or name}: {no_such_key(name, ())}; {instead}"
        names = [*dict(keys()), *loader().list_groups("")]
        if isinstance(siblings, DictConfig):
            names += [f"{parent}.{sibling!s}" for sibling in siblings]
        return f"{override.input_line or name}: {no_such_key(name, names)}"
    declared = dict(keys()).get(name)
    if declared and (problem := problem_of_form(override, declared)):
        return problem
    for value in values:
        if OmegaConf.is_dict(siblings[word]) and not isinstance(value, dict):
            return _("{line}: {key} is a group of keys; set one of them, as in {key}.KEY=VALUE").format(
                line=override.input_line, key=name
            )
        if declared and name == "test" and isinstance(value, bool):
            answer = _(synonyms.ANSWERS["evaluate"])
            return _("{line}: {answer}; test is {valid}").format(
                line=override.input_line, answer=answer, valid=describe(declared)
            )
        try:
            OmegaConf.update(known.copy(), name, value)
        except (OmegaConfBaseException, AttributeError):  # the latter for keys within a null
            valid = describe(declared) if declared else _("of another type")
            return _("{name}={value}: {name} is {valid}{hint}").format(
                name=name, value=formatted(value), valid=valid, hint=""
            )
    return None


def counterpart(name: str, override: Override, known: DictConfig) -> str:
    """Name the key or command that stands for another tool's key."""
    if name in synonyms.ANSWERS:
        return _(synonyms.ANSWERS[name])
    key = synonyms.KEYS.get(name, name)
    added = "" if OmegaConf.select(known, key, default=MISSING) != MISSING else "+"
    value = (override.input_line or "").partition("=")[2] or _("VALUE")
    return _("write {override}").format(override=f"{added}{key}={value}")


def problem_of_form(override: Override, declared: Any) -> str | None:
    """Point out a decimal comma, or a list without brackets."""
    line, valid = override.input_line or "", declared.metadata["valid"]
    name, text = (*line.split("=", 1), "")[:2]
    if isinstance(valid, Numbers) and valid.several and re.fullmatch(r"\d+(,\d+)*", text):
        return _('{line}: {key} is a list; write "{key}=[{text}]"').format(line=line, key=name, text=text)
    if isinstance(valid, Numbers) and not valid.integer and re.fullmatch(r"-?0,\d+|-?\d+,0\d*", text):
        right = f"{name}={text.replace(',', '.')}"
        return _("{line}: use a decimal point; write {override}").format(line=line, override=right)
    return None


def problem_of_options(group: str, values: list[Any]) -> str | None:
    """Explain what is wrong with the options chosen from a group."""
    options = options_of(group)
    for value in values:
        if isinstance(value, list) and group == "activation":
            return _("{group}={value}: write a list as model.activation={value}").format(
                group=group, value=formatted(value)
            )
        several = isinstance(value, list) and group in ("logger", "callbacks", "regularization")
        for option in value if several else [value]:
            # conf/hydra/launcher/slurm.yaml is always there, what it extends only with the plugin.
            brought = "submitit_slurm" if option == "slurm" else str(option)
            if group == "hydra/launcher" and str(option) in EXTRAS and brought not in options:
                return not_installed(f"{group}={option}", EXTRAS[str(option)])
            if str(option) not in options:
                return no_such_option(group, formatted(option), options)
    return None
