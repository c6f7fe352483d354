"""Numbers as waves: the PLR embedding.

Gorishniy, Rubachev, Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning", section 3.3,
https://arxiv.org/abs/2203.05556.
"""

import math

import torch
from torch import nn


class Periodic(nn.Module):  # type: ignore[misc]
    """Each number x of column j becomes ReLU(W_j [cos(2π c_j x), sin(2π c_j x)] + b_j): periodic, linear, ReLU.

    The frequencies c_j are learned; how large they start decides how wiggly a function is easy to learn.
    """

    undecayed = frozenset({"frequencies", "offset"})  # see training/optimizer.py

    def __init__(self, columns: int, size: int, *, frequencies: int = 48, scale: float = 0.01) -> None:
        """scale: standard deviation that frequencies start with, cut off at three of them."""
        super().__init__()
        self.frequencies = nn.Parameter(torch.empty(columns, frequencies))
        nn.init.trunc_normal_(self.frequencies, 0.0, scale, -3 * scale, 3 * scale)
        bound = (2 * frequencies) ** -0.5
        self.weight = nn.Parameter(torch.empty(columns, 2 * frequencies, size).uniform_(-bound, bound))
        self.offset = nn.Parameter(torch.empty(columns, size).uniform_(-bound, bound))

    def learn(self, numbers: torch.Tensor) -> None:
        """Nothing: all of it is trained."""

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Standardised, shape (rows, columns) → shape (rows, columns, size)."""
        angle = 2 * math.pi * self.frequencies * numbers[..., None]
        waves = torch.cat([torch.cos(angle), torch.sin(angle)], dim=-1)
        return torch.relu((waves.transpose(0, 1) @ self.weight).transpose(0, 1) + self.offset)
