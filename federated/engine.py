"""What moves a silo's net along a gradient: plain SGD or AdamW, and AdamW's moments on their way out and back."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cluster.wire import Arrays
from federated.job import LocalPlan

if TYPE_CHECKING:
    import torch


class Engine(Protocol):
    """state: parameter → what is kept of it from step to step, by name."""

    state: "dict[torch.nn.Parameter, dict[str, torch.Tensor]]"

    def step(self) -> Any:
        """Moves the parameters that have a gradient."""
        ...


class PlainSGD:
    """w ← w - η (g + λ w), and nothing is kept.

    Bit for bit what torch.optim.SGD makes of it. That one looks after much that is not asked for here: a fifth of a
    small net's step, and with the first one made in a process torch imports its compiler, for more than a second.
    """

    def __init__(self, parameters: "list[torch.nn.Parameter]", rate: float, weight_decay: float) -> None:
        self._parameters, self._rate, self._decay = parameters, rate, weight_decay
        self.state: dict[torch.nn.Parameter, dict[str, torch.Tensor]] = {}

    def step(self) -> None:
        import torch

        moved = [part for part in self._parameters if part.grad is not None]
        with torch.no_grad():
            gradients: Any = [part.grad for part in moved]
            if self._decay:
                gradients = torch._foreach_add(gradients, moved, alpha=self._decay)
            torch._foreach_add_(moved, gradients, alpha=-self._rate)


def engine(net: "torch.nn.Module", plan: LocalPlan) -> Engine:
    """The plan's, of all that the net learns."""
    if plan.optimizer == "sgd":
        return PlainSGD(list(net.parameters()), plan.rate, plan.weight_decay)
    made: Engine = optimizer(net, list(net.parameters()), plan)
    return made


def optimizer(net: "torch.nn.Module", parameters: "list[torch.nn.Parameter]", plan: LocalPlan) -> Any:
    """The plan's as one of torch's own, which is what others' code takes."""
    import torch

    if plan.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=plan.rate, weight_decay=plan.weight_decay)
    from framework.training.optimizer import groups

    return torch.optim.AdamW(groups(net, plan.weight_decay), lr=plan.rate)


def moments(made: Engine, net: "torch.nn.Module") -> dict[str, Arrays]:
    """A copy of what the engine keeps: name of it → name of the parameter → array."""
    told: dict[str, Arrays] = {}
    for name, parameter in net.named_parameters():
        for key, value in made.state.get(parameter, {}).items():
            told.setdefault(key, {})[name] = value.numpy().copy()
    return told


def recall(made: Engine, net: "torch.nn.Module", told: dict[str, Arrays]) -> None:
    """Gives the engine what `moments` told of another one."""
    import torch

    named = dict(net.named_parameters())
    for key, arrays in told.items():
        for name, array in arrays.items():
            made.state[named[name]][key] = torch.from_numpy(np.array(array))
