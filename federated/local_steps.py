"""The steps that a silo's net makes: its rows in batches, a gradient of each, and what a strategy adds to it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cluster.wire import Arrays
from federated.engine import Engine

if TYPE_CHECKING:
    import torch

    from framework.training.rows import Rows

BLOCK = 4096  # rows that are laid out for the net at once, however small a batch is


class LocalSteps:
    """g ← clip(∇ Σ v_i l_i / Σ v_i) + μ (w - anchor) + along, over the rows i of a batch with weights v; then the
    engine's step.

    clip: the norm that a gradient is held to, 0: none. pull: μ. towards: the anchor, by parameter. along: by parameter.
    """

    def __init__(
        self,
        net: "torch.nn.Module",
        loss: "Callable[[torch.Tensor, torch.Tensor], torch.Tensor]",
        engine: Engine,
        *,
        clip: float,
        pull: float = 0.0,
        towards: Arrays | None = None,
        along: Arrays | None = None,
    ) -> None:
        self._net, self._loss, self._engine = net, loss, engine
        self._clip, self._pull = clip, pull
        self._parameters = list(net.parameters())
        names = [name for name, _ in net.named_parameters()]
        self._anchors = _tensors(towards, names) if pull and towards else []
        self._added = _tensors(along, names) if along else []

    def make(self, batches: "Iterable[Rows]") -> int:
        """A step for each batch, and their number."""
        import torch

        steps = 0
        for part in batches:
            for parameter in self._parameters:
                parameter.grad = None
            error = (self._loss(self._net(part.inputs), part.answers) * part.weights).sum() / part.weights.sum()
            error.backward()
            if self._clip:
                torch.nn.utils.clip_grad_norm_(self._parameters, self._clip, foreach=True)
            if self._anchors or self._added:
                self._bend()
            self._engine.step()
            steps += 1
        return steps

    def _bend(self) -> None:
        """Adds to the gradients what no row tells."""
        import torch

        learning = [place for place, part in enumerate(self._parameters) if part.grad is not None]
        gradients: Any = [self._parameters[place].grad for place in learning]
        with torch.no_grad():
            if self._anchors:
                here = [self._parameters[place] for place in learning]
                apart = torch._foreach_sub(here, [self._anchors[place] for place in learning])
                torch._foreach_add_(gradients, apart, alpha=self._pull)
            if self._added:
                torch._foreach_add_(gradients, [self._added[place] for place in learning])


def shuffled(net: "torch.nn.Module", rows: "Rows", order: np.random.Generator, batch: int) -> "Iterator[Rows]":
    """All rows once, in an order that is drawn, batch by batch; what the net makes of them without a weight is made of
    a whole block."""
    import torch

    places = torch.from_numpy(order.permutation(len(rows)))
    for block in places.split(batch * -(-BLOCK // batch)):
        part = rows.take(block)
        yield from replace(part, inputs=net.columns.placed(part.inputs)).split(batch)


def _tensors(arrays: Arrays, names: list[str]) -> "list[torch.Tensor]":
    import torch

    return [torch.from_numpy(np.array(arrays[name], dtype=np.float32)) for name in names]
