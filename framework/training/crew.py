"""The processes that train one net together, as the training loop sees them from inside one of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

    from framework.training.state_shelf import StateShelf

State = dict[str, Any]  # tensors and plain data: what `torch.load(weights_only=True)` opens


class Crew(Protocol):
    """One of `size` ranks. Every rank makes the same calls in the same order: each is a meeting of them all."""

    rank: int
    size: int
    device: "torch.device"

    def join(
        self, net: "torch.nn.Module", optimizer: "torch.optim.Optimizer"
    ) -> tuple["torch.nn.Module", "torch.optim.Optimizer"]:
        """The same net and optimizer, made so that `step` follows the mean gradient of all ranks.

        All ranks leave with the weights of rank 0. The net that comes back is the one to call; its parameters are
        those of the net given.
        """
        ...

    def average(self, optimizer: "torch.optim.Optimizer") -> None:
        """Waits until the gradients are the ranks' mean: before they are clipped, or looked at."""
        ...

    def alone(self, net: "torch.nn.Module") -> Any:
        """A context manager in which `backward` only adds up this rank's gradients (accumulation)."""
        ...

    def total(self, values: "torch.Tensor") -> "torch.Tensor":
        """The sum over all ranks, the same on each; shape kept."""
        ...

    def report(self, step: int, metrics: dict[str, float], state: Callable[[], State] | None) -> None:
        """Tells how far the training is, and keeps a checkpoint of `state()` where one is given.

        `state` is called on rank 0 alone.
        """
        ...

    def resume(self) -> State | None:
        """The newest sound checkpoint of this run, the same on every rank; None for a fresh start."""
        ...


class Alone:
    """A crew of one: the loop bare in this process, as unit tests, small fits and GPU measurements call it."""

    rank = 0
    size = 1

    def __init__(
        self,
        device: "torch.device | str" = "cpu",
        hear: Callable[[int, dict[str, float]], None] | None = None,
        *,
        shelf: "StateShelf | None" = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """hear: told of every report. shelf: for checkpoints; None keeps none. tell: of what was found there."""
        import torch

        self.device = torch.device(device)
        self.hear, self.shelf, self.tell = hear, shelf, tell

    def join(
        self, net: "torch.nn.Module", optimizer: "torch.optim.Optimizer"
    ) -> tuple["torch.nn.Module", "torch.optim.Optimizer"]:
        return net, optimizer

    def average(self, optimizer: "torch.optim.Optimizer") -> None:
        return None

    def alone(self, net: "torch.nn.Module") -> Any:
        from contextlib import nullcontext

        return nullcontext()

    def total(self, values: "torch.Tensor") -> "torch.Tensor":
        return values

    def report(self, step: int, metrics: dict[str, float], state: Callable[[], State] | None) -> None:
        if self.shelf is not None and state is not None:
            from framework.training.state_shelf import pack_state

            self.shelf.write(pack_state(state()))
        if self.hear is not None:
            self.hear(step, metrics)

    def resume(self) -> State | None:
        if self.shelf is None:
            return None
        from framework.training.state_shelf import unpack_state

        packed = self.shelf.newest(self.tell or (lambda remark: None))
        return unpack_state(packed) if packed else None
