"""Optimizer steps as replays of a captured CUDA graph."""

from collections.abc import Callable

import torch
from torch.optim import Optimizer

from mnist_mlp.classifier import MNISTClassifier
from mnist_mlp.data import Chunk
from mnist_mlp.fast import kernel
from mnist_mlp.fast.eager import Eager, options
from mnist_mlp.fast.kernel import Steps


class Graph(Eager):
    """Takes the steps by replaying one that was captured as a CUDA graph: one launch a step, and no waiting.

    Args:
        classifier: gives loss and right answers.
        optimizer: of its parameters; its state begins with zeros.

    Raises:
        Unavailable: the optimizer is not one of which that is known.
    """

    title = "CUDA graph"

    def __init__(self, classifier: MNISTClassifier, optimizer: Optimizer) -> None:
        kernel.kind_of(optimizer)
        super().__init__(classifier, optimizer)
        self.replay: Callable[[], None] | None = None

    def __call__(self, chunk: Chunk, rates: list[float]) -> Steps:
        """Take the steps, all at the graph's rate; a smaller batch at the end is taken without the graph."""
        whole, rest = divmod(len(chunk.rows), chunk.size)
        if whole:
            if self.replay is None:
                self._capture(chunk)
            self.rows[: whole * chunk.size] = chunk.rows[: whole * chunk.size]
            self.position.zero_()
            for _ in range(whole):
                self.replay()
        losses = [self.losses[:whole].clone()] if whole else []
        correct = [self.correct[:whole].clone()] if whole else []
        if rest:
            loss, right = self.step(chunk, chunk.rows[-rest:])
            losses.append(loss.unsqueeze(0))
            correct.append(right.unsqueeze(0))
        return Steps(torch.cat(losses), torch.cat(correct))

    def _capture(self, chunk: Chunk) -> None:
        # The first chunk of an epoch is the longest. Capturing needs some real steps, which are taken back.
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
        with options(self.optimizer, capturable=True):
            self.replay = captured(step)
        with torch.no_grad():
            for parameter, values, states in zip(parameters, before, state_before, strict=True):
                parameter.copy_(values)
                for name, value in self.optimizer.state.get(parameter, {}).items():
                    value.copy_(states.get(name, torch.zeros_like(value)))


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """Take some steps to warm up, as CUDA graphs need it, and give a replay of one."""
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
