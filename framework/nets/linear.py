"""Numbers on a line: the plainest embedding, and the cheapest.

Gorishniy, Rubachev, Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning", section 3.1,
https://arxiv.org/abs/2203.05556.
"""

import torch
from torch import nn


class Linear(nn.Module):  # type: ignore[misc]
    """Each number x of column j becomes x · u_j + v_j. Behind it an MLP is the one of the textbooks."""

    undecayed = frozenset({"slope", "offset"})  # see training/optimizer.py

    def __init__(self, columns: int, size: int) -> None:
        super().__init__()
        bound = size**-0.5
        self.slope = nn.Parameter(torch.empty(columns, size).uniform_(-bound, bound))
        self.offset = nn.Parameter(torch.empty(columns, size).uniform_(-bound, bound))

    def learn(self, numbers: torch.Tensor) -> None:
        """Nothing: all of it is trained."""

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Standardised, shape (rows, columns) → shape (rows, columns, size)."""
        return numbers[..., None] * self.slope + self.offset
