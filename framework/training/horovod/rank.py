"""What one Horovod rank does: it meets the others, runs the loop, and tells how that ended."""

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import horovod.torch as hvd
import ray
from horovod.common.exceptions import HorovodInternalError, HostsUpdatedInterrupt
from horovod.torch import elastic

from cluster.address import interface
from framework.training.horovod.crew import HorovodCrew, Kept
from framework.training.state_shelf import StateShelf

CYCLE_MILLISECONDS = "3"  # between two looks of Horovod's thread at what it has to do; its own 1 costs 3 % of a core


class Mailbox:
    """The actor where rank 0 leaves its reports and the launcher collects them."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, dict[str, float]]] = []
        self.remarks: list[str] = []

    def add(self, step: int, metrics: dict[str, float]) -> None:
        self.waiting.append((step, metrics))

    def note(self, remark: str) -> None:
        self.remarks.append(remark)

    def drain(self) -> tuple[list[tuple[int, dict[str, float]]], list[str]]:
        """Reports and remarks since the last call."""
        drained, self.waiting, self.remarks = (self.waiting, self.remarks), [], []
        return drained


@dataclass(frozen=True)
class Ended:
    """How a rank's loop ended. error: what the loop raised; None: it returned `result`. rank: its number then."""

    rank: int
    result: Any
    error: Exception | None = None
    lost: bool = False  # the error is Horovod's: another rank went away


@dataclass(frozen=True)
class Work:
    """What every rank is given. facts: a reference to them in Ray's object store; mailbox: a Mailbox's handle."""

    loop: Callable[[Any, Any], Any]
    facts: Any
    checkpoints: str | None
    mailbox: Any
    gpus: float
    elastic: bool

    @property
    def way_on(self) -> str:
        """What a person can do after a loss."""
        if self.checkpoints is None:
            return "Train again, with checkpoints to go on from next time."
        return f"Train again with the checkpoints in {self.checkpoints}: it goes on from the newest."

    def __call__(self, executable: object = None) -> Ended:
        """Runs in the rank's process; Horovod's settings are in its environment."""
        if (name := interface()) is not None:  # Horovod's launcher takes one name for all nodes
            os.environ["HOROVOD_GLOO_IFACE"] = os.environ["NCCL_SOCKET_IFNAME"] = name
        os.environ.setdefault("HOROVOD_CYCLE_TIME", CYCLE_MILLISECONDS)
        hvd.init()
        try:
            facts = ray.get(self.facts)
            if self.elastic:
                return elastic.run(lambda kept: self._pass(facts, kept))(Kept())  # type: ignore[no-any-return]
            return self._pass(facts, None)
        except HorovodInternalError as error:
            return Ended(hvd.rank() if hvd.is_initialized() else -1, None, error, lost=True)
        finally:
            hvd.shutdown()

    def _pass(self, facts: Any, kept: Kept | None) -> Ended:
        """The loop once: elastic Horovod calls this again after each change of ranks."""
        box = self.mailbox
        shelf = StateShelf(self.checkpoints) if self.checkpoints is not None else None
        crew = HorovodCrew(shelf, hear=box.add.remote, tell=box.note.remote, gpus=self.gpus, kept=kept)
        try:
            result = self.loop(crew, facts)
            return Ended(crew.rank, result if crew.rank == 0 else None)
        except (HorovodInternalError, HostsUpdatedInterrupt):
            raise
        except Exception as error:  # the border between the loop and its launcher: an exception is an end like another
            error.add_note("".join(traceback.format_exception(error)))
            return Ended(crew.rank, None, error)
