"""Optimizer steps as replays of a captured CUDA graph."""

import logging
from collections.abc import Callable

import torch
from torch.optim import Optimizer
from typing_extensions import override

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.config.valid import one_line
from mnist_mlp.data import Chunk
from mnist_mlp.fast import kernel
from mnist_mlp.fast.eager import Eager, options
from mnist_mlp.fast.kernel import Steps
from mnist_mlp.language import _

log = logging.getLogger(__name__)


class Graph(Eager):
    """Takes steps by replaying one that it has captured as a CUDA graph: a single launch a step, and no waiting.

    Args:
        classifier: computes the loss and the correct predictions.
        optimizer: of its parameters.

    Raises:
        Unavailable: it is not known whether the optimizer's state begins with zeros, to which capturing resets it.
    """

    title = "CUDA graph"

    def __init__(self, classifier: MNISTClassifier, optimizer: Optimizer) -> None:
        kernel.kind_of(optimizer)
        super().__init__(classifier, optimizer)
        self.replay: Callable[[], None] | None = None

    @override
    def __call__(self, chunk: Chunk, rates: list[float]) -> Steps:
        """Take the steps of a chunk, all at the captured learning rate; a smaller last batch without the graph."""
        full, rest = divmod(len(chunk.rows), chunk.size)
        if full and self.replay is None and self.title == Graph.title:
            self._capture(chunk)
        if self.title != Graph.title:
            return super().__call__(chunk, rates)
        if full:
            assert self.replay is not None
            self.rows[: full * chunk.size] = chunk.rows[: full * chunk.size]
            self.position.zero_()
            for _ in range(full):
                self.replay()
        losses = [self.losses[:full].clone()] if full else []
        correct = [self.correct[:full].clone()] if full else []
        if rest:
            loss, right = self.step(chunk, chunk.rows[-rest:])
            losses.append(loss.unsqueeze(0))
            correct.append(right.unsqueeze(0))
        return Steps(torch.cat(losses), torch.cat(correct))

    def _capture(self, chunk: Chunk) -> None:
        # The first chunk of an epoch is the longest. Capturing takes some real steps, which are undone below.
        device, steps = chunk.rows.device, len(chunk.rows) // chunk.size
        self.rows = chunk.rows[: steps * chunk.size].clone()
        self.position = torch.zeros((), dtype=torch.int64, device=device)
        self.losses = torch.zeros(steps, device=device)
        self.correct = torch.zeros(steps, dtype=torch.int64, device=device)
        samples = torch.arange(chunk.size, device=device)

        def step() -> None:
            place = self.position % steps
            rows = self.rows.index_select(0, samples + place * chunk.size)
            loss, right = self.step(chunk, rows)
            self.losses.index_copy_(0, place.unsqueeze(0), loss.unsqueeze(0))
            self.correct.index_copy_(0, place.unsqueeze(0), right.unsqueeze(0))
            self.position.add_(1)

        parameters = list(self.classifier.parameters())
        before = [parameter.detach().clone() for parameter in parameters]
        state_before = []
        for parameter in parameters:
            state = self.optimizer.state.get(parameter, {})
            state.update({name: value.to(device) for name, value in state.items()})  # a step count may be on the CPU
            state_before.append({name: value.clone() for name, value in state.items()})
        try:
            with options(self.optimizer, capturable=True):
                self.replay = captured(step)
        except RuntimeError as error:
            reason = _("the CUDA graph cannot be captured: {reason}").format(reason=one_line(str(error)))
            log.info(_("{reason}; PyTorch takes the steps, which is slower").format(reason=reason))
            self.title = Eager.title
        with torch.no_grad():
            for parameter, values, states in zip(parameters, before, state_before, strict=True):
                parameter.copy_(values)
                for name, value in self.optimizer.state.get(parameter, {}).items():
                    value.copy_(states.get(name, torch.zeros_like(value)))


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """Take some steps to warm up, which CUDA graphs require, and return the replay of a captured one."""
    others = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    others.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(others):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(others)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
