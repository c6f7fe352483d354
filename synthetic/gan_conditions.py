"""The conditional vectors that a GAN is trained by, and real rows that meet them (Xu et al. 2019, 4.3)."""

from typing import TYPE_CHECKING

import numpy as np

from synthetic.gan_modes import Modes
from synthetic.synthesizer import Learned, shares

if TYPE_CHECKING:
    import torch


class Conditions:
    """Conditional vectors, and real rows that meet them. shares: part → each token's share, but of numbers."""

    def __init__(self, rows: Learned, modes: Modes) -> None:
        tokens = rows.tokens
        self.parts = [at for at, span in enumerate(modes.spans) if not span.distance and span.choices > 1]
        self.shares = {at: shares(tokens[:, at], int(rows.cards[at]), 0.0) for at in self.parts}
        self.logs = {at: np.log1p(len(rows) * share) for at, share in self.shares.items()}
        self.begins = dict(zip(self.parts, np.cumsum([0, *(len(self.shares[at]) for at in self.parts)]), strict=False))
        self.width = sum(len(share) for share in self.shares.values())
        self.rows = {at: np.argsort(tokens[:, at], kind="stable") for at in self.parts}
        self.ends = {at: np.bincount(tokens[:, at], minlength=int(rows.cards[at])).cumsum() for at in self.parts}
        self.tokens = tokens

    def draw(
        self, batch: int, random: np.random.Generator, *, even: bool = True
    ) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]":
        """Each row's part and token, the vectors, and rows that meet them. even: by the logarithm of their counts."""
        import torch

        vector = np.zeros((batch, self.width), dtype=np.float32)
        token = np.zeros(batch, dtype=np.int64)
        matching = random.integers(0, len(self.tokens), batch)
        part = random.choice(self.parts, batch) if self.parts else np.zeros(batch, dtype=np.int64)
        for at in self.parts:
            mine = np.flatnonzero(part == at)
            chances = self.logs[at] if even else self.shares[at]
            picked = random.choice(len(chances), len(mine), p=chances / chances.sum())
            vector[mine, self.begins[at] + picked], token[mine] = 1, picked
            first = np.where(picked > 0, self.ends[at][picked - 1], 0)
            spot = first + (random.random(len(mine)) * (self.ends[at][picked] - first)).astype(np.int64)
            matching[mine] = self.rows[at][spot]
        return torch.from_numpy(part), torch.from_numpy(token), torch.from_numpy(vector), torch.from_numpy(matching)

    @property
    def weights(self) -> np.ndarray:
        """How likely `draw` takes each row, shape (rows,), summing to 1."""
        if not self.parts:
            return np.full(len(self.tokens), 1 / len(self.tokens))
        told = np.zeros(len(self.tokens))
        for at in self.parts:
            counts = np.maximum(np.diff(self.ends[at], prepend=0), 1)
            told += (self.logs[at] / self.logs[at].sum() / counts)[self.tokens[:, at]]
        return np.asarray(told / len(self.parts))
