"""A net's weights as silos exchange them: which parts of it travel, out of it and back into it."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cluster.wire import Arrays
from federated.job import Job
from federated.message import Message
from federated.preparation import Preparation

if TYPE_CHECKING:
    import torch

    Parts = list[tuple[str, torch.Tensor]]


def travelling(net: "torch.nn.Module") -> "Parts":
    """The parts of a net that silos learn and exchange: parameters, and the running figures of batch norms."""
    running = [(name, part) for name, part in net.named_buffers() if name.endswith(("running_mean", "running_var"))]
    return [*net.named_parameters(), *running]


def taken(parts: "Iterable[tuple[str, torch.Tensor]]") -> Arrays:
    """A copy of what they hold."""
    return {name: part.detach().numpy().copy() for name, part in parts}


def put(parts: "Parts", weights: Arrays) -> None:
    """Copies the weights into the parts of their names. Raises KeyError when one is missing."""
    for name, part in parts:
        np.copyto(part.detach().numpy(), weights[name], casting="same_kind")


def load(net: "torch.nn.Module", weights: Arrays) -> None:
    """Puts these weights into the net. Raises KeyError when one is missing."""
    put(travelling(net), weights)


@lru_cache(maxsize=1)
def shared_net(preparation: bytes, job: bytes) -> "torch.nn.Module":
    """One net for all silos of a process, by the messages that told of it: each loads its weights before it uses
    it."""
    asked = Message.from_bytes(preparation)
    return Preparation.from_message(asked.facts, asked.groups).net(Job.from_facts(Message.from_bytes(job).facts))


def fresh(job: Job, preparation: Preparation, seed: int) -> Arrays:
    """The weights that a net begins with, drawn by a seed."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = preparation.net(job)
    return taken(travelling(net))
