"""Each column of a table as a vector: what the MLP, TabM and the autoencoder start from."""

from typing import Literal, Self

import numpy as np
import torch
from torch import nn

from framework.nets.columns import Columns
from framework.nets.linear import Linear
from framework.nets.periodic import Periodic
from framework.nets.piecewise import Piecewise

Numbers = Literal["periodic", "piecewise", "linear"]
KINDS: dict[str, type[Periodic] | type[Piecewise] | type[Linear]] = {
    "periodic": Periodic,
    "piecewise": Piecewise,
    "linear": Linear,
}


class Embedded(nn.Module):  # type: ignore[misc]
    """Rows, shape (rows, columns) → shape (rows, columns, size): the numbers' vectors first, then the categories'.

    A gap adds a vector of its column to that of the median. That vector, and the one for unseen categories, start at
    0 and stay there where training rows have none: then a gap counts as the median.
    """

    undecayed = frozenset({"gaps"})  # see training/optimizer.py

    def __init__(self, cards: list[int], size: int, *, numbers: Numbers = "periodic") -> None:
        """numbers: how a number becomes a vector, see periodic.py, piecewise.py and linear.py."""
        super().__init__()
        if numbers not in KINDS:
            raise ValueError(f"numbers={numbers!r} is unknown; it is one of {', '.join(KINDS)}")
        self.columns = Columns(cards)
        count = cards.count(0)
        self.numbers = KINDS[numbers](count, size) if count else None
        self.gaps = nn.Parameter(torch.zeros(count, size)) if count else None
        self.table = vectors(self.columns, size) if count < len(cards) else None

    def learn(self, sample: np.ndarray) -> Self:
        """Takes centres, spreads and quantiles from training rows, shape (rows, columns)."""
        self.columns.learn(sample)
        if self.numbers is not None:
            z, gaps, _ = self.columns(torch.from_numpy(np.asarray(sample, dtype=np.float32)))
            self.numbers.learn(torch.where(gaps > 0, torch.nan, z))
        return self

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        z, gaps, places = self.columns(rows)
        parts = []
        if self.numbers is not None:
            parts.append(self.numbers(z) + gaps[..., None] * self.gaps)
        if self.table is not None:
            parts.append(self.table(places))
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]


def vectors(columns: Columns, size: int) -> nn.Embedding:
    """A table of one vector for each category of each column; the unseen one of each column at 0."""
    table = nn.Embedding(columns.places, size)
    bound = size**-0.5
    with torch.no_grad():
        table.weight.uniform_(-bound, bound)
        table.weight[columns.starts] = 0.0
    return table
