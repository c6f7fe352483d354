"""A multilayer perceptron on embedded columns: MLP-PLR.

Gorishniy, Rubachev, Babenko 2022, "On Embeddings for Numerical Features in Tabular Deep Learning",
https://arxiv.org/abs/2203.05556.
"""

from typing import Any, Self

import numpy as np
import torch
from torch import nn

from framework.nets.columns import Columns
from framework.nets.embedded import Embedded, Numbers


class Trunk(nn.Module):  # type: ignore[misc]
    """Rows, shape (rows, columns) → hidden, shape (rows, width): columns embedded and flattened, then
    h_l = dropout(ReLU(W_l h_{l-1} + b_l)). What an MLP and an autoencoder have in common."""

    def __init__(
        self, cards: list[int], *, size: int, width: int, layers: int, dropout: float, numbers: Numbers
    ) -> None:
        super().__init__()
        self.embedded = Embedded(cards, size, numbers=numbers)
        self.layers = perceptron(len(cards) * size, width, layers, dropout)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layers(self.embedded(rows).flatten(1))


class MLP(nn.Module):  # type: ignore[misc]
    """Rows, shape (rows, columns) → shape (rows, 1, outputs): a trunk and a linear head.

    size: of each column's vector. numbers: "periodic" (PLR), "piecewise" or "linear".
    """

    def __init__(
        self,
        *,
        cards: list[int],
        outputs: int,
        size: int = 24,
        width: int = 384,
        layers: int = 3,
        dropout: float = 0.1,
        numbers: Numbers = "periodic",
    ) -> None:
        super().__init__()
        self.trunk = Trunk(cards, size=size, width=width, layers=layers, dropout=dropout, numbers=numbers)
        self.head = nn.Linear(width, outputs)

    @property
    def columns(self) -> Columns:
        """What standardises the rows, without a weight."""
        return self.trunk.embedded.columns

    def learn(self, sample: np.ndarray) -> Self:
        """Fills the buffers that standardise from training rows, shape (rows, columns). Returns itself."""
        self.trunk.embedded.learn(sample)
        return self

    def start_from(self, trunk: Trunk) -> Self:
        """Takes over the weights and buffers of a trained trunk, an autoencoder's for one; the head stays as it is.

        Raises RuntimeError (torch's, naming the part) where the shapes differ.
        """
        self.trunk.load_state_dict(trunk.state_dict())
        return self

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.head(self.trunk(rows))[:, None]


def perceptron(inputs: int, width: int, layers: int, dropout: float) -> nn.Sequential:
    """Layers of linear, ReLU, dropout: shape (rows, inputs) → shape (rows, width)."""
    body: list[Any] = []
    for layer in range(layers):
        body += [nn.Linear(width if layer else inputs, width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*body)
