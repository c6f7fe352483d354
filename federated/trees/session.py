"""What silos add up while they grow trees together: one collective after the other, each of all silos or of none."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from federated.trees import wide

TYPES: dict[int, np.dtype[Any]] = {  # as XGBoost's protocol numbers them
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    4: np.dtype("<i1"),
    5: np.dtype("<i2"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    8: np.dtype("<u1"),
    9: np.dtype("<u2"),
    10: np.dtype("<u4"),
    11: np.dtype("<u8"),
}
WIDE = 32  # not XGBoost's: integers modulo 2^128, see `federated.trees.wide`
SUM = 2
OPERATIONS: dict[int, np.ufunc] = {
    0: np.maximum,
    1: np.minimum,
    SUM: np.add,
    3: np.bitwise_and,
    4: np.bitwise_or,
    5: np.bitwise_xor,
}
LARGEST = 2**28  # bytes of one call; a level of 64 nodes with 1,000 columns of 256 bins takes as many


class BrokenError(RuntimeError):
    """A session that cannot go on; the text says why, and names no value."""


@dataclass(frozen=True)
class Call:
    """One silo's part of a collective. kind: the protocol's name of it; extra: its type or its root; operation: how."""

    kind: str
    rank: int
    number: int
    data: bytes = field(repr=False)
    extra: int = 0
    operation: int = 0

    @property
    def question(self) -> tuple[str, int, int]:
        """What all silos must agree on."""
        return self.kind, self.extra, self.operation


@dataclass
class Meeting:
    """A collective on its way: the parts that have come, by rank, and what all wait for."""

    told: "asyncio.Future[bytes]"
    parts: dict[int, Call] = field(default_factory=dict)


class Session:
    """names: of the silos, in the order of their ranks. Used from one event loop.

    received: bytes of each silo, by rank. calls: of all silos, by the protocol's name.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.broken = ""
        self.received = [0] * len(self.names)
        self.calls: dict[str, int] = {}
        self._next = [0] * len(self.names)
        self._meetings: dict[int, Meeting] = {}

    async def take(self, call: Call) -> bytes:
        """What the collective comes to, once all silos have told their part. Raises BrokenError where one is lost,
        begins anew, or asks for something else than the others."""
        self._check(call)
        self._next[call.rank] += 1
        self.received[call.rank] += len(call.data)
        self.calls[call.kind] = self.calls.get(call.kind, 0) + 1
        meeting = self._meetings.setdefault(call.number, Meeting(asyncio.get_running_loop().create_future()))
        meeting.parts[call.rank] = call
        if len(meeting.parts) == len(self.names):
            del self._meetings[call.number]
            try:
                meeting.told.set_result(combined([meeting.parts[rank] for rank in range(len(self.names))], self.names))
            except BrokenError as error:
                self._meetings[call.number] = meeting
                self.stop(str(error))
        try:
            return await asyncio.shield(meeting.told)
        except asyncio.CancelledError:
            self.stop(f"silo {self.names[call.rank]!r} has gone")
            raise

    def stop(self, why: str) -> None:
        """Ends all that waits, and whatever is asked from now on, with BrokenError. The first reason stands."""
        self.broken = self.broken or why
        for meeting in self._meetings.values():
            if not meeting.told.done():
                meeting.told.set_exception(BrokenError(self.broken))
                meeting.told.exception()  # it may be that nobody waits for it any more
        self._meetings.clear()

    def _check(self, call: Call) -> None:
        if not self.broken:
            name = self.names[call.rank]
            others = self._meetings.get(call.number)
            if call.number != self._next[call.rank]:
                self.stop(f"silo {name!r} has begun anew")
            elif call.kind == "AllgatherV":
                # Sketches of columns go this way, and they hold values of single rows: bins are agreed before.
                self.stop(f"silo {name!r} sent what no silo may")
            elif len(call.data) > LARGEST:
                self.stop(f"silo {name!r} sent {len(call.data)} bytes at once")
            elif others and next(iter(others.parts.values())).question != call.question:
                self.stop(f"silo {name!r} asked for something else than the others")
        if self.broken:
            raise BrokenError(self.broken)


def combined(calls: Sequence[Call], names: Sequence[str]) -> bytes:
    """What the parts of all ranks, in order, come to. Raises BrokenError naming a silo whose part does not fit."""
    first = calls[0]
    if first.kind == "Broadcast":
        return calls[first.extra].data if 0 <= first.extra < len(calls) else _misfit(names[0])
    if first.kind == "Allgather":
        for call in calls:
            if len(call.data) != len(first.data):
                _misfit(names[call.rank])
        return b"".join(call.data for call in calls)
    if (first.extra, first.operation) == (WIDE, SUM):
        return _added(calls, names)
    kind, operation = TYPES.get(first.extra), OPERATIONS.get(first.operation)
    if kind is None or operation is None:
        return _misfit(names[0])
    total: Any = None
    for call in calls:
        if len(call.data) % kind.itemsize or len(call.data) != len(first.data):
            _misfit(names[call.rank])
        part = np.frombuffer(call.data, dtype=kind)
        if kind.kind == "f" and first.operation == SUM and not np.isfinite(part).all():
            raise BrokenError(f"silo {names[call.rank]!r} sent sums that are not finite")
        total = part if total is None else operation(total, part)
    return bytes(total.tobytes())


def _added(calls: Sequence[Call], names: Sequence[str]) -> bytes:
    """Sums that are masked: of no part can be said whether it is finite."""
    total: Any = None
    for call in calls:
        if len(call.data) % (2 * wide.WORDS.itemsize) or len(call.data) != len(calls[0].data):
            _misfit(names[call.rank])
        part = np.frombuffer(call.data, dtype=wide.WORDS).reshape(2, -1)
        if total is None:
            total = part.copy()
        else:
            wide.add(total, part)
    return bytes(total.tobytes())


def _misfit(name: str) -> bytes:
    raise BrokenError(f"silo {name!r} sent a part that does not fit those of the others")
