"""Many perceptrons in one, which share nearly all their weights: TabM.

Gorishniy, Kotelnikov, Babenko 2025, "TabM: Advancing Tabular Deep Learning with Parameter-Efficient Ensembling",
https://arxiv.org/abs/2410.24210; its layer is BatchEnsemble's (Wen, Tran, Ba 2020, https://arxiv.org/abs/2002.06715).
"""

from typing import Literal, Self

import numpy as np
import torch
from torch import nn

from framework.nets.columns import Columns
from framework.nets.embedded import Embedded, Numbers

Adapters = Literal["full", "mini"]


class Shared(nn.Module):  # type: ignore[misc]
    """Member k: y_k = s_k ∘ (W (r_k ∘ x_k)) + b_k, with W of all members and r, s, b (R, S, B) of each.

    Shape (rows, members, inputs) → shape (rows, members, width). r and s start at 1, all b alike.
    """

    undecayed = frozenset({"r", "s", "b"})  # see training/optimizer.py

    def __init__(self, inputs: int, width: int, members: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(width, inputs).uniform_(-bound, bound))
        self.r = nn.Parameter(torch.ones(members, inputs))
        self.s = nn.Parameter(torch.ones(members, width))
        self.b = nn.Parameter(torch.empty(width).uniform_(-bound, bound).repeat(members, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return ((x * self.r) @ self.weight.T) * self.s + self.b


class Scaled(nn.Module):  # type: ignore[misc]
    """Member k: y_k = W (r_k ∘ x_k) + b: only r is each member's own. Shapes as of Shared."""

    undecayed = frozenset({"r"})  # see training/optimizer.py

    def __init__(self, inputs: int, width: int, members: int) -> None:
        super().__init__()
        self.r = nn.Parameter(torch.ones(members, inputs))
        self.linear = nn.Linear(inputs, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x * self.r)


class TabM(nn.Module):  # type: ignore[misc]
    """Rows, shape (rows, columns) → shape (rows, members, outputs): every member answers and is trained for itself,
    their mean is the answer.

    adapters: "full": R, S, B in every layer (TabM); "mini": only the first R (TabM-mini). The first R is what sets
    members apart: one draw for each member and column, normal.
    """

    undecayed = frozenset({"offsets"})  # see training/optimizer.py

    def __init__(
        self,
        *,
        cards: list[int],
        outputs: int,
        size: int = 16,
        width: int = 512,
        layers: int = 2,
        members: int = 32,
        dropout: float = 0.1,
        adapters: Adapters = "full",
        numbers: Numbers = "piecewise",
    ) -> None:
        super().__init__()
        if adapters not in ("full", "mini"):
            raise ValueError(f"adapters={adapters!r} is unknown; it is one of full, mini")
        self.embedded = Embedded(cards, size, numbers=numbers)
        body: list[nn.Module] = []
        for layer in range(layers):
            inputs = width if layer else len(cards) * size
            body += [_layer(adapters, layer, inputs, width, members), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*body)
        with torch.no_grad():
            draws = torch.randn(members, len(cards))
            self.layers[0].r.copy_(draws.repeat_interleave(size, dim=1))
        bound = width**-0.5
        self.heads = nn.Parameter(torch.empty(members, width, outputs).uniform_(-bound, bound))
        self.offsets = nn.Parameter(torch.empty(members, outputs).uniform_(-bound, bound))

    @property
    def columns(self) -> Columns:
        """What standardises the rows, without a weight."""
        return self.embedded.columns

    def learn(self, sample: np.ndarray) -> Self:
        """Fills the buffers that standardise from training rows, shape (rows, columns). Returns itself."""
        self.embedded.learn(sample)
        return self

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        hidden = self.layers(self.embedded(rows).flatten(1)[:, None])
        return (hidden.transpose(0, 1) @ self.heads).transpose(0, 1) + self.offsets


def _layer(adapters: Adapters, layer: int, inputs: int, width: int, members: int) -> nn.Module:
    if adapters == "full":
        return Shared(inputs, width, members)
    return nn.Linear(inputs, width) if layer else Scaled(inputs, width, members)
