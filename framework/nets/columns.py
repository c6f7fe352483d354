"""The columns of a table on their way into a net: numbers standardised, categories as places in one table."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import nn

SOFT = 3.0  # standard deviations that a number approaches and never passes
FARTHEST = 1e6  # standard deviations; infinity is held here before it is clipped


@dataclass(frozen=True)
class Placed:
    """Rows as `Columns` tells them, kept so that they pass it once and not in every step. What a net takes of rows it
    takes of these too.

    numbers, gaps: shape (rows, numbers); places: shape (rows, categories).
    """

    numbers: torch.Tensor
    gaps: torch.Tensor
    places: torch.Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, places: "torch.Tensor | slice") -> "Placed":
        return Placed(self.numbers[places], self.gaps[places], self.places[places])

    def split(self, rows: int) -> "list[Placed]":
        """In blocks of so many rows, as a tensor is split."""
        parts = (part.split(rows) for part in (self.numbers, self.gaps, self.places))
        return [Placed(*each) for each in zip(*parts, strict=True)]


class Columns(nn.Module):  # type: ignore[misc]
    """What is learned of the columns before any training: each number's centre and spread, kept in buffers.

    A row is float32: numbers with nan for gaps; codes from 0, and nan, -1 or anything else for missing and unseen.
    The categories of all columns share one numbering, so that one lookup serves them all: place 0 of each column's
    stretch is for the unseen, then one place for each of its categories.
    """

    def __init__(self, cards: list[int]) -> None:
        """cards: for each column how many categories it has, 0 for a number. Raises ValueError for no column."""
        super().__init__()
        if not cards:
            raise ValueError("a net needs at least one column, and cards is empty")
        numbers = [place for place, card in enumerate(cards) if not card]
        codes = [place for place, card in enumerate(cards) if card]
        known = np.array([cards[place] for place in codes], dtype=np.int64)
        self.places = int((known + 1).sum())
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64), persistent=False)
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.int64), persistent=False)
        self.register_buffer("cards", torch.from_numpy(known), persistent=False)
        self.register_buffer("starts", torch.from_numpy(np.cumsum(known + 1) - (known + 1)), persistent=False)
        self.register_buffer("centre", torch.zeros(len(numbers)))
        self.register_buffer("spread", torch.ones(len(numbers)))

    def learn(self, sample: np.ndarray) -> Self:
        """Takes the median and the interquartile range of each number from training rows, shape (rows, columns)."""
        for place, column in enumerate(self.numbers.tolist()):
            values = sample[:, column].astype(np.float64)
            known = values[np.isfinite(values)]
            if not len(known):
                continue
            low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
            self.centre[place] = float(middle)
            self.spread[place] = float((high - low) / 1.35 or known.std() or 1.0)
        return self

    def placed(self, rows: torch.Tensor) -> Placed:
        """Shape (rows, columns) → the same rows, for the net in their stead, until it is made to `learn` anew."""
        return Placed(*self(rows))

    def forward(self, rows: torch.Tensor | Placed) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Shape (rows, columns) → numbers and gaps, both shape (rows, numbers), and places, shape (rows, categories).

        numbers: softly clipped, 0 in a gap. gaps: 1.0 or 0.0. places: int64.
        """
        if isinstance(rows, Placed):
            return rows.numbers, rows.gaps, rows.places
        z, gaps = self.standardised(rows)
        return z / torch.sqrt(1 + (z / SOFT) ** 2), gaps, self.starts + self.known(rows) + 1

    def standardised(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(x - centre) / spread and the gaps, both shape (rows, numbers); 0 in a gap."""
        raw = rows[:, self.numbers]
        gaps = torch.isnan(raw)
        z = ((raw - self.centre) / self.spread).clamp(-FARTHEST, FARTHEST)
        return torch.where(gaps, 0.0, z), gaps.to(rows.dtype)

    def known(self, rows: torch.Tensor) -> torch.Tensor:
        """Codes, int64, shape (rows, categories); -1 for missing and unseen."""
        codes = rows[:, self.codes]
        inside = (codes >= 0) & (codes < self.cards)
        return torch.where(inside, codes, -1.0).long()
