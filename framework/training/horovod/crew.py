"""Horovod's ranks, as the training loop sees them from inside one of them. Needs the wheel of `make horovod`."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import horovod.torch as hvd
import torch
from horovod.common.elastic import ObjectState

from framework.training.crew import State
from framework.training.state_shelf import StateShelf, pack_state, unpack_state

NAP_SECONDS = 0.0003


class Kept(ObjectState):  # type: ignore[misc]
    """What elastic Horovod carries over when ranks come and go: the last checkpoint, packed, alike on every rank.

    It lives in the ranks' memory, so that a rank on another node can go on where no folder is shared.
    """

    packed: bytes

    def __init__(self) -> None:
        super().__init__(bcast_object=hvd.broadcast_object, get_rank=hvd.rank, packed=b"")


class HorovodCrew:
    """One Horovod rank; `hvd.init()` has been called.

    Gradients are averaged by Horovod while `backward` still runs. Every meeting has a name of its own: Horovod's own
    counted names differ between ranks that survived and ranks that came later.
    """

    def __init__(
        self,
        shelf: StateShelf | None,
        *,
        hear: Callable[[int, dict[str, float]], None],
        tell: Callable[[str], None],
        gpus: float = 0.0,
        kept: Kept | None = None,
    ) -> None:
        """shelf: for checkpoints; None keeps none. hear: of rank 0's reports; tell: of its remarks.
        kept: where ranks may come and go."""
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.device = torch.device("cuda" if gpus else "cpu")  # Ray shows each rank no GPU but its own
        self._shelf, self._hear, self._tell, self._kept = shelf, hear, tell, kept
        self._joined: Any = None

    def join(
        self, net: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        if self.size == 1:
            return net, optimizer
        hvd.broadcast_parameters(net.state_dict(), root_rank=0)
        joined = hvd.DistributedOptimizer(optimizer, named_parameters=net.named_parameters())
        joined.state = optimizer.state  # Horovod takes over the groups and forgets what was loaded
        clear = joined.zero_grad
        joined.zero_grad = lambda set_to_none=True: clear()  # torch's has that argument, Horovod's none
        self._joined = joined
        return net, joined

    def average(self, optimizer: torch.optim.Optimizer) -> None:
        if self._joined is None:
            return
        wait(handle for handle, _ in self._joined._handles.values())
        self._joined.synchronize()
        self._joined._should_synchronize = False  # `step` shall take them as they are then: clipped, perhaps

    @contextmanager
    def alone(self, net: torch.nn.Module) -> Iterator[None]:
        # A gradient travels at the backward that brings its count to nought: this one shall not be it.
        for parameter in [] if self._joined is None else self._joined._allreduce_delay:
            self._joined._allreduce_delay[parameter] += 1
        yield

    def total(self, values: torch.Tensor) -> torch.Tensor:
        if self.size == 1:
            return values
        name = f"total {values.dtype} {tuple(values.shape)}"  # Horovod remembers what a name stands for
        handle = hvd.allreduce_async(values, op=hvd.Sum, name=name)
        wait([handle])
        summed: torch.Tensor = hvd.synchronize(handle)
        return summed

    def report(self, step: int, metrics: dict[str, float], state: Callable[[], State] | None) -> None:
        """As Crew has it. Where ranks may come and go this is where the running ranks let new ones in: it leaves the
        loop by Horovod's HostsUpdatedInterrupt, and the loop is called again."""
        kept = self._kept if state is not None else None
        packed = b""
        if state is not None and self.rank == 0 and (kept is not None or self._shelf is not None):
            packed = pack_state(state())
            if self._shelf is not None:
                self._shelf.write(packed)
        if kept is not None:
            kept.packed = hvd.broadcast_object(packed, name="checkpoint")
        told = {name: value for name, value in metrics.items() if name != "step"}  # the step is told beside them
        if self.rank == 0 and told:
            self._hear(step, told)
        if kept is not None:
            kept.commit()

    def resume(self) -> State | None:
        packed = self._kept.packed if self._kept is not None else b""
        if not packed and self._shelf is not None:
            packed = hvd.broadcast_object(self._shelf.newest(self._tell) if self.rank == 0 else b"", name="resume")
        return unpack_state(packed) if packed else None


def wait(handles: Iterable[Any]) -> None:
    """Sleeps until what Horovod's thread is at is done: `hvd.synchronize` alone spins, on the core that it needs."""
    for handle in handles:
        while isinstance(handle, int) and not hvd.poll(handle):
            time.sleep(NAP_SECONDS)
