"""Columns as the tokens of a Transformer: FT-Transformer.

Gorishniy, Rubachev, Khrulkov, Babenko 2021, "Revisiting Deep Learning Models for Tabular Data", section 3.3,
https://arxiv.org/abs/2106.11959.
"""

from typing import Self

import numpy as np
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from framework.nets.columns import Columns
from framework.nets.embedded import vectors


class Tokens(nn.Module):  # type: ignore[misc]
    """Rows, shape (rows, columns) → tokens, shape (rows, 1 + columns, width): [CLS], numbers, categories.

    T_j = b_j + x_j · w_j for a number, b_j + e_j[code] for a category. A gap adds a vector of its own, from 0 on.
    """

    undecayed = frozenset({"weight", "gaps", "offset"})  # see training/optimizer.py

    def __init__(self, cards: list[int], width: int) -> None:
        super().__init__()
        self.columns = Columns(cards)
        count, bound = cards.count(0), width**-0.5
        self.cls = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.weight = nn.Parameter(torch.empty(count, width).uniform_(-bound, bound)) if count else None
        self.gaps = nn.Parameter(torch.zeros(count, width)) if count else None
        self.table = vectors(self.columns, width) if count < len(cards) else None
        self.offset = nn.Parameter(torch.empty(len(cards), width).uniform_(-bound, bound))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        z, gaps, places = self.columns(rows)
        parts = []
        if self.weight is not None:
            parts.append(z[..., None] * self.weight + gaps[..., None] * self.gaps)
        if self.table is not None:
            parts.append(self.table(places))
        first = self.cls.expand(len(rows), 1, -1)
        return torch.cat([first, torch.cat(parts, dim=1) + self.offset], dim=1)


class Block(nn.Module):  # type: ignore[misc]
    """x + attention(norm(x)), then x + W_2 ReGLU(W_1 norm(x)), ReGLU([a, b]) = a ∘ ReLU(b).

    Shape (rows, tokens, width) → the same; of the last block, only the first token's: shape (rows, 1, width).
    first: without the first norm, which the paper found harmful. last: only the first token asks.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, *, attention_dropout: float, dropout: float, first: bool, last: bool
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} does not divide into heads={heads}")
        self.heads, self.last, self.dropped = heads, last, attention_dropout
        self.norm = nn.Identity() if first else nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.mixed = nn.Linear(width, width)
        for linear in (self.query, self.key_value, self.mixed):
            nn.init.zeros_(linear.bias)
        self.norm_2 = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 2 * hidden)
        self.dropout = nn.Dropout(dropout)
        self.narrow = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norm(x)
        asking = 1 if self.last else x.shape[1]
        query = self.query(normed[:, :asking])
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (query, *self.key_value(normed).chunk(2, dim=-1))
        )
        seen = scaled_dot_product_attention(q, k, v, dropout_p=self.dropped if self.training else 0.0)
        x = x[:, :asking] + self.mixed(seen.transpose(1, 2).flatten(2))
        a, b = self.wide(self.norm_2(x)).chunk(2, dim=-1)
        return x + self.narrow(self.dropout(a * torch.relu(b)))


class FTTransformer(nn.Module):  # type: ignore[misc]
    """Rows, shape (rows, columns) → shape (rows, 1, outputs): tokens, blocks, and a head on the [CLS] token:
    linear(ReLU(norm(T_cls))).

    factor: the feed-forward part's width over `width`. Defaults: the paper's, for 3 blocks.
    """

    def __init__(
        self,
        *,
        cards: list[int],
        outputs: int,
        width: int = 192,
        blocks: int = 3,
        heads: int = 8,
        factor: float = 4 / 3,
        attention_dropout: float = 0.2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.tokens = Tokens(cards, width)
        self.blocks = nn.Sequential(
            *(
                Block(
                    width,
                    heads,
                    int(width * factor),
                    attention_dropout=attention_dropout,
                    dropout=dropout,
                    first=place == 0,
                    last=place == blocks - 1,
                )
                for place in range(blocks)
            )
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, outputs))

    @property
    def columns(self) -> Columns:
        """What standardises the rows, without a weight."""
        return self.tokens.columns

    def learn(self, sample: np.ndarray) -> Self:
        """Fills the buffers that standardise from training rows, shape (rows, columns). Returns itself."""
        self.columns.learn(sample)
        return self

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.tokens(rows)))
