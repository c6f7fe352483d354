"""The parts of a net that parties hold: a bottom net each, and the top net of the target's owner.

Vepakomma, Gupta, Swedish, Raskar 2018, "Split learning for health", https://arxiv.org/abs/1812.00564, figure 2b:
vertically partitioned data.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import nn

from federated.vertical.plan import NetPlan
from framework.nets.mlp import Trunk


class Bottom(nn.Module):  # type: ignore[misc]
    """A party's columns, shape (rows, columns) → embeddings, shape (rows, embedding): a trunk and a linear layer."""

    def __init__(self, cards: list[int], plan: NetPlan) -> None:
        """cards: for each column how many categories it has, 0 for a number."""
        super().__init__()
        self.trunk = Trunk(
            cards, size=plan.size, width=plan.width, layers=plan.layers, dropout=plan.dropout, numbers="periodic"
        )
        self.out = nn.Linear(plan.width, plan.embedding)

    def learn(self, sample: np.ndarray) -> Self:
        """Fills the buffers that standardise from the party's own training rows. Returns itself."""
        self.trunk.embedded.learn(sample)
        return self

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.out(self.trunk(rows))


class Top(nn.Module):  # type: ignore[misc]
    """All parties' embeddings, each shape (rows, embedding) → shape (rows, 1, outputs)."""

    def __init__(self, parties: int, outputs: int, plan: NetPlan) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(parties * plan.embedding, plan.width), nn.ReLU(), nn.Linear(plan.width, outputs)
        )

    def forward(self, embeddings: Sequence[torch.Tensor]) -> torch.Tensor:
        return self.layers(torch.cat(list(embeddings), dim=1))[:, None]
