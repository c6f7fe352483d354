"""A table told back to itself: what a row has that the others have not, and a start for an MLP.

Anomalies by the error of reconstruction: Hawkins, He, Williams, Baxter 2002, "Outlier Detection Using Replicator
Neural Networks", https://doi.org/10.1007/3-540-46145-0_17. Hidden entries to be told, as a start for supervised
training: Rubachev, Alekberov, Gorishniy, Babenko 2022, "Revisiting Pretraining Objectives for Tabular Deep
Learning", https://arxiv.org/abs/2207.03208.
"""

from typing import Self

import numpy as np
import torch
from torch import nn

from framework.nets.embedded import Numbers
from framework.nets.mlp import Trunk, perceptron

FAR = 10.0  # standard deviations beyond which a number is no farther from the rest
BLOCK = 8192  # rows scored at once


class Autoencoder(nn.Module):  # type: ignore[misc]
    """Rows, shape (rows, columns), through a trunk and a narrow `code` and back to every column.

    The loss of a row is the mean over its known entries: (x̂ - x)² of standardised numbers, -log p̂(category) of codes.
    While it trains, a share `hidden` of the entries is hidden from the trunk and told nevertheless.
    """

    def __init__(
        self,
        *,
        cards: list[int],
        size: int = 8,
        width: int = 128,
        layers: int = 2,
        code: int = 8,
        hidden: float = 0.15,
        dropout: float = 0.0,
        numbers: Numbers = "periodic",
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.cards = [card for card in cards if card]
        self.count = cards.count(0)
        self.trunk = Trunk(cards, size=size, width=width, layers=layers, dropout=dropout, numbers=numbers)
        self.code = nn.Linear(width, code)
        self.decoder = perceptron(code, width, layers, dropout)
        self.told = nn.Linear(width, self.count + sum(self.cards))

    def learn(self, sample: np.ndarray) -> Self:
        """Fills the buffers that standardise from training rows, shape (rows, columns). Returns itself."""
        self.trunk.embedded.learn(sample)
        return self

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The loss of each row, shape (rows,): forward is all that DDP calls."""
        return self.loss(rows)

    def loss(self, rows: torch.Tensor) -> torch.Tensor:
        """The mean loss over the known entries of each row, shape (rows,); 0 where a row has none."""
        shown = rows
        if self.training and self.hidden:
            shown = torch.where(torch.rand_like(rows) < self.hidden, torch.nan, rows)
        numbers, *logits = self.told(self.decoder(self.code(self.trunk(shown)))).split([self.count, *self.cards], dim=1)
        columns = self.trunk.embedded.columns
        z, gaps = columns.standardised(rows)
        losses, known = (numbers - z.clamp(-FAR, FAR)) ** 2, 1 - gaps
        total, count = (losses * known).sum(dim=1), known.sum(dim=1)
        codes = columns.known(rows)
        for place, scores in enumerate(logits):
            there = codes[:, place] >= 0
            each = nn.functional.cross_entropy(scores, codes[:, place].clamp_min(0), reduction="none")
            total, count = total + each * there, count + there
        return total / count.clamp_min(1)

    def scores(self, rows: torch.Tensor) -> torch.Tensor:
        """How odd each row is, shape (rows,), larger is odder: its loss with nothing hidden, in eval mode."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                return torch.cat([self.loss(block) for block in rows.split(BLOCK)])
        finally:
            self.train(training)
