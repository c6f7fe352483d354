"""Categories and gaps of series as Markov chains: each given itself a step before and what stands beside it."""

from dataclasses import dataclass
from typing import Self

import numpy as np

BACKING = 5.0  # steps' weight of the chain that leaves out what stands beside
MOST_BESIDE = 50  # tokens, up to which a column is told by the one before it
MOST_CELLS = 4_000_000  # of one chain


@dataclass(frozen=True)
class States:
    """Columns of tokens. The first is told by the slot of the cycle, each other by the column before it.

    chains: for each column the probabilities of its tokens, shape (beside, card + 1, card): the second axis is its
    token a step before, the last one of them the begin of a series. A move that was never seen is never made.
    """

    chains: tuple[np.ndarray, ...]

    @classmethod
    def learn(cls, tokens: np.ndarray, cards: list[int], slots: np.ndarray) -> Self:
        """tokens: int64, shape (series, longest, columns), -1 past the end. slots: shape (series, longest)."""
        chains, beside, wide = [], slots, int(slots.max(initial=0)) + 1
        for at, card in enumerate(cards):
            now = tokens[:, :, at]
            there = now >= 0
            before = np.concatenate([np.full((len(now), 1), card), now[:, :-1]], axis=1)
            if wide > MOST_BESIDE or wide * (card + 1) * card > MOST_CELLS:
                beside, wide = np.zeros_like(now), 1
            counts = np.zeros((wide, card + 1, card))
            np.add.at(counts, (beside[there], before[there], now[there]), 1.0)
            shares = counts.sum(axis=(0, 1)) / max(1.0, counts.sum())
            moves = counts.sum(axis=0)
            seen = moves.sum(axis=1, keepdims=True)
            moves = np.where(seen > 0, moves / np.maximum(seen, 1.0), shares)
            chains.append((counts + BACKING * moves) / (counts.sum(axis=2, keepdims=True) + BACKING))
            beside, wide = np.maximum(now, 0), card
        return cls(tuple(chains))

    def draw(self, slots: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Tokens, int64, shape (series, steps, columns). slots: shape (series, steps)."""
        series, steps = slots.shape
        made = np.zeros((series, steps, len(self.chains)), dtype=np.int64)
        before = [np.full(series, chain.shape[2]) for chain in self.chains]
        for step in range(steps):
            beside = slots[:, step]
            for at, chain in enumerate(self.chains):
                sums = chain[beside if chain.shape[0] > 1 else 0, before[at]].cumsum(axis=1)
                asked = random.random(series) * sums[:, -1]
                token = (asked[:, None] >= sums).sum(axis=1)
                made[:, step, at] = before[at] = beside = token
        return made
