"""Isolation of a run: its seeds, threads, ranks and signal handlers are restored afterwards."""

import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only

from mnist_mlp.config.schema import Config
from mnist_mlp.runs import machine, ranks


@contextmanager
def isolated(config: Config, first_process: bool = True) -> Iterator[None]:
    """Seed everything and set the threads for one run; restore everything afterwards.

    Args:
        config: of the run.
        first_process: whether this is the run's only process, or the one that starts the others.
    """
    python, numpy, threads = random.getstate(), np.random.get_state(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    in_main_thread = threading.current_thread() is threading.main_thread()
    interrupt = signal.getsignal(signal.SIGINT)  # Lightning ignores Ctrl-C after the first
    of_threads = threading.excepthook
    gpus = [] if config.trainer["accelerator"] == "cpu" else list(range(torch.cuda.device_count()))
    leading = ranks.leading(config.trainer.get("num_nodes", 1)) if first_process else nullcontext()
    with leading, torch.random.fork_rng(devices=gpus), warnings.catch_warnings():
        if first_process:
            rank_zero_only.rank = 0  # type: ignore[attr-defined] # Lightning has read a scheduler's variables when it was imported
        # Of Lightning 2.6 with torch 2.14; a user could do nothing about them.
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")  # as it should
        warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
        warnings.filterwarnings("ignore", message=r"`ModelCheckpoint\(monitor='val_accuracy'\)` could not find")
        warnings.filterwarnings("ignore", message="It is recommended to use `self.log")  # they are means already
        warnings.filterwarnings("ignore", message="The `srun` command is available on your system but is not used")
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        torch.manual_seed(config.seed)
        np.random.seed(config.seed)
        random.seed(config.seed)
        # What torch takes by itself is less where jobs of a sweep share the cores.
        own = min(threads, machine.cores())
        torch.set_num_threads(own if config.trainer["threads"] == "auto" else config.trainer["threads"])
        threading.excepthook = _without_disks(of_threads)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
            torch.backends.cudnn.benchmark = benchmark
            threading.excepthook = of_threads
            if in_main_thread:
                signal.signal(signal.SIGINT, interrupt)


def _without_disks(of_threads: Callable[[Any], object]) -> Callable[[Any], object]:
    # A full disk stops TensorBoard's writer thread, which also reports it to the main thread.
    return lambda failed: None if issubclass(failed.exc_type, OSError) else of_threads(failed)
