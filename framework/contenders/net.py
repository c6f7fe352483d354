"""A multilayer perceptron for tables: what becomes of a number, a gap and a category on their way into it."""

from typing import Self

import numpy as np
import torch
from torch import nn

MOST_EMBEDDED = 16  # numbers that stand for one category


class TableNet(nn.Module):  # type: ignore[misc]
    """Several nets in one, which share their layers and differ in the scales of their inputs; the answer is their mean
    (TabM: Gorishniy et al. 2025).

    Input shape (rows, columns), float32: numbers with nan for gaps; codes with nan or -1 for missing. A number enters
    standardised and softly clipped, and as how far it has come through each of its quantile bins (piecewise linear
    encoding: Gorishniy et al. 2022). Output shape (rows, members, outputs).
    """

    undecayed = frozenset({"scales", "offsets"})  # see training/optimizer.py

    def __init__(
        self,
        *,
        cards: list[int],
        edges: int,
        width: int,
        layers: int,
        members: int,
        outputs: int,
        dropout: float,
    ) -> None:
        """cards: for each column how many categories it has, 0 for a number. edges: bin edges of each number."""
        super().__init__()
        self.cards = cards
        numbers = [place for place, card in enumerate(cards) if not card]
        codes = [place for place, card in enumerate(cards) if card]
        self.register_buffer("numbers", torch.tensor(numbers, dtype=torch.int64))
        self.register_buffer("codes", torch.tensor(codes, dtype=torch.int64))
        self.register_buffer("centre", torch.zeros(len(numbers)))
        self.register_buffer("spread", torch.ones(len(numbers)))
        self.register_buffer("edges", torch.zeros(len(numbers), edges))
        self.register_buffer("gaps", torch.zeros(len(numbers)))  # 1 where training had gaps
        sizes = [min(MOST_EMBEDDED, 2 + card // 2) for card in cards if card]
        known = [card for card in cards if card]
        self.embeddings = nn.ModuleList(nn.Embedding(k + 1, size) for k, size in zip(known, sizes, strict=True))
        inputs = len(numbers) * (1 + 1 + edges - 1) + sum(sizes)
        self.scales = nn.Parameter(torch.randint(0, 2, (members, inputs)).float() * 2 - 1)
        body: list[nn.Module] = []
        for layer in range(layers):
            body += [nn.Linear(inputs if layer == 0 else width, width), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(*body)
        bound = width**-0.5
        self.heads = nn.Parameter(torch.empty(members, width, outputs).uniform_(-bound, bound))
        self.offsets = nn.Parameter(torch.zeros(members, outputs))

    def learn(self, rows: np.ndarray) -> Self:
        """Takes centres, spreads and bin edges from training rows, as a sample of them. Returns itself."""
        numbers = rows[:, self.numbers.numpy()]
        for place in range(numbers.shape[1]):
            column = numbers[:, place]
            known = column[np.isfinite(column)]
            self.gaps[place] = float(len(known) < len(column))
            if not len(known):
                continue
            low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
            spread = (high - low) / 1.35 or known.std() or 1.0
            self.centre[place], self.spread[place] = float(middle), float(spread)
            quantiles = np.quantile(known, np.linspace(0, 1, self.edges.shape[1]))
            self.edges[place] = torch.tensor((quantiles - middle) / spread, dtype=torch.float32)
        return self

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        parts = []
        if len(self.numbers):
            raw = rows[:, self.numbers]
            missing = torch.isnan(raw)
            z = torch.where(missing, 0.0, (raw - self.centre) / self.spread)
            parts += [z / torch.sqrt(1 + (z / 3) ** 2), missing * self.gaps]
            steps = self.edges.diff(dim=1)
            come = (z[:, :, None] - self.edges[:, :-1]) / steps.clamp_min(1e-6)
            filled = torch.where(steps > 0, come.clamp(0, 1), 0.0)
            parts.append(torch.where(missing[:, :, None], 0.0, filled).flatten(1))
        for place, embedding in zip(self.codes.tolist(), self.embeddings, strict=True):
            code = torch.nan_to_num(rows[:, place], nan=-1.0).long() + 1
            parts.append(embedding(code))
        inputs = torch.cat(parts, dim=1)
        hidden = self.body(inputs[:, None, :] * self.scales)
        return torch.einsum("rmw,mwo->rmo", hidden, self.heads) + self.offsets
