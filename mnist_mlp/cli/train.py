"""The command line of train.py and mnist-mlp: check everything, then let Hydra run the jobs. Free of torch."""

import argparse
import logging
import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mnist_mlp.cli.arguments import Parser, clean_exit, in_its_language
from mnist_mlp.config.compose import compose, composing, in_one_line
from mnist_mlp.config.hydra_internals import Hydra, get_args_parser, options_of
from mnist_mlp.config.overrides import problems_of_dashes
from mnist_mlp.config.schema import keys
from mnist_mlp.config.valid import nearest
from mnist_mlp.errors import Problem
from mnist_mlp.interactive.jobs import run, run_sweep
from mnist_mlp.language import _
from mnist_mlp.runs.launch import check


@in_its_language()
def main() -> None:
    """Run the command line in `sys.argv`; exit with status 2 if it is wrong and 130 if it is interrupted."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # it was closed, as by >&-
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 # for as long as the process lives
    with clean_exit():
        if problems := problems_of_dashes(sys.argv[1:]):
            raise Problem("\n".join(problems))
        arguments = Parser(parents=[get_args_parser()], add_help=False).parse_intermixed_args()
        if problem := problem_of_flags(arguments):
            raise Problem(problem)
        with composing(arguments.config_dir) as hydra:
            status = follow(arguments, hydra)
    if status:
        sys.exit(status)


def problem_of_flags(arguments: argparse.Namespace) -> str | None:
    """Say what is wrong with Hydra's flags."""
    if arguments.config_path is not None or arguments.config_name is not None:
        return _("--config-path and --config-name are not supported; --config-dir adds a folder of your own files")
    if arguments.config_dir is not None and not Path(os.path.expanduser(arguments.config_dir)).is_dir():
        return _("{folder}: there is no such folder").format(folder=f"--config-dir {arguments.config_dir}")
    if arguments.experimental_rerun is not None:
        return _("--experimental-rerun is not supported; the same command resumes a run")
    if arguments.cfg is None and not arguments.help and (arguments.resolve or arguments.package is not None):
        return _("--resolve and --package go with --cfg, as in --cfg job --resolve")
    modes = ("run", "multirun", "cfg", "info", "shell_completion")
    chosen = [f"--{mode.replace('_', '-')}" for mode in modes if getattr(arguments, mode)]
    together = _("{flags} do not go together").format(flags=_(" and ").join(chosen))
    return together if len(chosen) > 1 else None


def follow(arguments: argparse.Namespace, hydra: Hydra) -> int:
    """Do what a command line asks for, and give the exit status."""
    overrides = arguments.overrides
    if arguments.help:
        from mnist_mlp.cli.help import of_group, text

        groups = [group for group in overrides if options_of(group)]
        print("\n".join(of_group(group) for group in groups) if groups else text(sys.argv[0]), end="")
        return 0
    if arguments.hydra_help or arguments.shell_completion:
        with in_one_line():
            if arguments.hydra_help:
                hydra.hydra_help("config", get_args_parser(), arguments)
            else:
                hydra.shell_completion("config", overrides)
        return 0
    if arguments.multirun:
        overrides = [*overrides, "hydra.mode=MULTIRUN"]
    launch = check(overrides)
    if launch.problems:
        raise Problem("\n".join(launch.problems))
    if arguments.package and (problem := problem_of_package(arguments.package, compose(overrides))):
        raise Problem(problem)
    if launch.sweeps and not (arguments.cfg or arguments.info):
        sweep = run_sweep(launch, hydra, overrides)
        for question in [text.partition("=")[2] for text in overrides if text.startswith("question=")][-1:]:
            from mnist_mlp.report.conclusion import conclusion  # which a single run does without

            print("\n".join(conclusion(question, launch.configs, overrides)))
        return 0 if sweep.complete else 1
    with in_one_line():
        if arguments.cfg:
            hydra.show_cfg("config", overrides, arguments.cfg, arguments.package, arguments.resolve)
        elif arguments.info:
            logging.raiseExceptions = False  # Hydra logs it, line by line, and the reader may be `head`
            hydra.show_info(arguments.info, "config", overrides)
        else:
            hydra.run("config", run, overrides)
    return 0


def problem_of_package(package: str, composed: DictConfig) -> str | None:
    """Say whether the part of the configuration that is to be printed is none."""
    with in_one_line():
        if package == "_global_" or OmegaConf.select(composed, package) is not None:
            return None
    said = _("--package {package}: the configuration has no such part{hint}")
    return said.format(package=package, hint=nearest(package, dict(keys())))
