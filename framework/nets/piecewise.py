"""Numbers as how far they have come through quantile bins: the piecewise linear embedding.

Gorishniy, Rubachev, Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning", section 3.2,
https://arxiv.org/abs/2203.05556; with the linear part beside it that TabM uses ("version B" of
rtdl_num_embeddings).
"""

import numpy as np
import torch
from torch import nn


class Piecewise(nn.Module):  # type: ignore[misc]
    """Each number x of column j becomes x · u_j + v_j + Σ_t W_jt e_t(x), e_t(x) = (x - b_t) / (b_{t+1} - b_t) held
    within 0 and 1; the first bin goes on below, the last above. b: the column's quantiles.

    W starts at 0: a plain linear embedding at first. A bin without width (a value that many rows share) tells nothing.
    """

    undecayed = frozenset({"slope", "offset"})  # see training/optimizer.py

    def __init__(self, columns: int, size: int, *, bins: int = 48) -> None:
        super().__init__()
        self.register_buffer("edges", torch.linspace(-1, 1, bins + 1).repeat(columns, 1))
        low, high = torch.zeros(bins), torch.ones(bins)
        low[0], high[-1] = -torch.inf, torch.inf
        self.register_buffer("low", low, persistent=False)
        self.register_buffer("high", high, persistent=False)
        bound = size**-0.5
        self.slope = nn.Parameter(torch.empty(columns, size).uniform_(-bound, bound))
        self.offset = nn.Parameter(torch.empty(columns, size).uniform_(-bound, bound))
        self.weight = nn.Parameter(torch.zeros(columns, bins, size))

    def learn(self, numbers: torch.Tensor) -> None:
        """Takes the edges from standardised training rows, shape (rows, columns); nan for gaps."""
        bins = self.edges.shape[1]
        for place, column in enumerate(numbers.double().T):
            known = column[~column.isnan()]
            if len(known):
                quantiles = torch.from_numpy(np.quantile(known.numpy(), np.linspace(0, 1, bins)))
                self.edges[place] = quantiles.to(self.edges.dtype)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Standardised, shape (rows, columns) → shape (rows, columns, size)."""
        widths = self.edges.diff(dim=1)
        come = (numbers[..., None] - self.edges[:, :-1]) / widths.clamp_min(1e-6)
        come = torch.where(widths > 0, torch.minimum(torch.maximum(come, self.low), self.high), 0.0)
        bent = (come.transpose(0, 1) @ self.weight).transpose(0, 1)
        return numbers[..., None] * self.slope + self.offset + bent
