"""The ranks of a net that is trained on Ray Train by PyTorch's DistributedDataParallel."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.training import on_ray
from framework.training.checkpoint import read_state, write_state
from framework.training.crew import State

if TYPE_CHECKING:
    import torch


class RayCrew:
    """One Ray Train worker, as `framework.training.crew.Crew` has it: gloo between CPUs, NCCL between GPUs."""

    def __init__(self) -> None:
        import ray.train.torch
        import torch

        self.rank, self.size = on_ray.rank(), on_ray.size()
        self.device: torch.device = ray.train.torch.get_device()
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # of this thread: a worker sees all GPUs of its node

    def join(
        self, net: "torch.nn.Module", optimizer: "torch.optim.Optimizer"
    ) -> tuple["torch.nn.Module", "torch.optim.Optimizer"]:
        if self.size == 1:
            return net, optimizer
        from torch.nn.parallel import DistributedDataParallel

        devices = [self.device] if self.device.type == "cuda" else None
        # The buffers hold what was learned of the columns: equal on all ranks, and never changed.
        whole = DistributedDataParallel(net, devices, broadcast_buffers=False, gradient_as_bucket_view=True)
        return whole, optimizer

    def average(self, optimizer: "torch.optim.Optimizer") -> None:
        return None  # `backward` has done it

    def alone(self, net: "torch.nn.Module") -> Any:
        return net.no_sync() if self.size > 1 else nullcontext()

    def total(self, values: "torch.Tensor") -> "torch.Tensor":
        if self.size > 1:
            import torch.distributed

            torch.distributed.all_reduce(values)
        return values

    def report(self, step: int, metrics: dict[str, float], state: Callable[[], State] | None) -> None:
        def write(folder: Path) -> None:
            assert state is not None
            write_state(folder, state())

        on_ray.report({**metrics, "step": step}, write if state is not None else None)

    def resume(self) -> State | None:
        with on_ray.newest() as folder:
            return None if folder is None else read_state(folder)
