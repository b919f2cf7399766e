"""The rank of this process in a run, whatever a scheduler has set in the environment. Free of torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

LEADER = "MNIST_MLP_LEADER"
"""The environment variable in which a run's first process leaves its number to those that Lightning starts for it."""

OF_NODES = ("NODE_RANK", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
OF_PROCESSES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""The environment variables that Lightning reads ranks from."""


def is_follower(nodes: int) -> bool:
    """Whether this is not the run's first process.

    A rank in the environment counts only in a process that Lightning started for this run, or if the run has several
    nodes, each of which a person or a scheduler started.
    """
    started = os.environ.get(LEADER) == str(os.getppid()) and os.environ.get("LOCAL_RANK", "0") != "0"
    node = os.environ.get("NODE_RANK", os.environ.get("GROUP_RANK", "0"))
    return started or (nodes > 1 and node != "0")


@contextmanager
def leading(nodes: int) -> Iterator[None]:
    """Act as the first process of a run, or of its share on one of several nodes."""
    before = dict(os.environ)
    for name in (*OF_PROCESSES, *(OF_NODES if nodes == 1 else ())):
        os.environ.pop(name, None)
    os.environ[LEADER] = str(os.getpid())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
