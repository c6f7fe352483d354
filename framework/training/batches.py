"""What a rank learns from, step by step: its part of each batch, the same batches however many ranks there are."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from framework.training.ahead import ahead, sent
from framework.training.rows import Part, Rows

if TYPE_CHECKING:
    import torch

    from framework.data import frame
    from framework.training.crew import Crew

LANES = 12  # equal stretches of a stream that are read side by side: a multiple of the usual numbers of ranks
BUFFER_ROWS = 65_536  # of a rank, in which a stream is shuffled


class Batches(Protocol):
    """`steps` batches an epoch, on every rank."""

    steps: int

    def epoch(self, number: int, *, first: int = 0) -> Iterator[Part]:
        """The parts of epoch `number` (from 0), from step `first` on; the same in any process, however many ranks."""
        ...


class Shuffled:
    """Rows in memory, in a new order every epoch. Where they lie on the crew's device already, nothing is copied."""

    def __init__(self, rows: Rows, *, batch: int, seed: int, crew: "Crew") -> None:
        self.rows, self.batch, self.seed, self.crew = rows, batch, seed, crew
        self.steps = -(-len(rows) // batch)

    def epoch(self, number: int, *, first: int = 0) -> Iterator[Part]:
        import torch

        draw = torch.Generator().manual_seed(self.seed)
        for _ in range(number):
            torch.randperm(len(self.rows), generator=draw)  # cheap: 15 ms for a million rows
        order = torch.randperm(len(self.rows), generator=draw).to(self.rows.inputs.device)
        parts = (self._part(batch) for batch in order.split(self.batch)[first:])
        resident = self.rows.inputs.device.type == self.crew.device.type  # "cuda" is "cuda:0", and compares unequal
        return parts if resident else sent(parts, self.crew.device)

    def _part(self, batch: "torch.Tensor") -> Part:
        rank, size = self.crew.rank, self.crew.size
        mine = batch[len(batch) * rank // size : len(batch) * (rank + 1) // size]
        total = self.rows.weights[batch].sum()
        rows = self.rows.take(mine) if len(mine) else idle(self.rows.take(batch[:1]))
        return Part(rows, total, len(batch))


class Streamed:
    """Rows that are read as they are needed: the memory taken does not grow with them.

    The rows are cut into `lanes` equal stretches, fixed for a run; a rank reads some of them side by side and mixes
    the rows within a buffer. A batch takes the same rows of each lane, whoever reads it.
    """

    def __init__(
        self,
        source: "frame.Rows",
        encode: "Callable[[frame.Frame], Rows]",
        *,
        batch: int,
        seed: int,
        crew: "Crew",
        weight: float = 1.0,
        lanes: int = LANES,
    ) -> None:
        """encode: a block of rows → tensors on the CPU. weight: mean of the rows' weights. lanes: ≥ the ranks."""
        if lanes < crew.size:
            raise ValueError(f"{crew.size} ranks cannot share {lanes} lanes; pass more lanes")
        self.source, self.encode, self.batch, self.seed, self.crew = source, encode, batch, seed, crew
        self.weight, self.lanes = weight, lanes
        self.steps = max(1, len(source) // batch)

    def epoch(self, number: int, *, first: int = 0) -> Iterator[Part]:
        return sent(ahead(self._parts(number, first)), self.crew.device)

    def _parts(self, number: int, first: int) -> Iterator[Part]:
        mine = range(self.crew.rank, self.lanes, self.crew.size)
        readers = {lane: _Lane(self, number, lane, first=self._upto(lane, first), sharers=len(mine)) for lane in mine}
        for step in range(first, self.steps):
            counts = [self._upto(lane, step + 1) - self._upto(lane, step) for lane in range(self.lanes)]
            rows = stacked([piece for lane in mine for piece in readers[lane].take(counts[lane])])
            rows = rows if rows is not None else idle(readers[self.crew.rank].spare())
            yield Part(rows, sum(counts) * self.weight, sum(counts))

    def _upto(self, lane: int, step: int) -> int:
        """How many rows of a lane the first `step` batches have taken."""
        rows = len(self.source) * (lane + 1) // self.lanes - len(self.source) * lane // self.lanes
        return rows * step // self.steps


class _Lane:
    """One stretch of a stream, its blocks shuffled."""

    def __init__(self, stream: Streamed, epoch: int, lane: int, *, first: int, sharers: int) -> None:
        self.stream, self.epoch, self.lane, self.skip = stream, epoch, lane, first
        # The lane's block must not depend on the number of ranks: the order of rows would.
        block = max(1, BUFFER_ROWS // LANES)
        self.blocks = enumerate(stream.source.blocks(lane, stream.lanes, rows=block))
        self.held: Rows | None = None

    def take(self, rows: int) -> list[Rows]:
        """The next rows, in pieces."""
        taken: list[Rows] = []
        while rows:
            if self.held is None or not len(self.held):
                self._read()
            assert self.held is not None
            piece = self.held.take(slice(0, rows))
            self.held = self.held.take(slice(len(piece), None))
            rows -= len(piece)
            taken.append(piece)
        return taken

    def spare(self) -> Rows:
        """Any one row."""
        if self.held is None or not len(self.held):
            self._read()
        assert self.held is not None
        return self.held.take(slice(0, 1))

    def _read(self) -> None:
        import torch

        number, block = next(self.blocks)
        while self.skip >= len(block):
            self.skip -= len(block)
            number, block = next(self.blocks)
        rows = self.stream.encode(block)
        key = hash((self.stream.seed, self.epoch, self.lane, number)) & (2**62 - 1)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(key))
        self.held = rows.take(order[self.skip :])
        self.skip = 0


def idle(rows: Rows) -> Rows:
    """The same without weight: a rank with nothing to learn must still take its step with the others."""
    return Rows(rows.inputs, rows.answers, rows.weights * 0)


def stacked(parts: list[Rows]) -> Rows | None:
    """The parts one under the other; None where there are none."""
    import torch

    full = [part for part in parts if len(part)]
    if len(full) < 2:
        return full[0] if full else None
    names = ("inputs", "answers", "weights")
    return Rows(*(torch.cat([getattr(part, name) for part in full]) for name in names))
