"""A net that tells each column of a row from any others: masked, order-agnostic, autoregressive.

Hoogeboom et al. 2022, "Autoregressive diffusion models" (https://arxiv.org/abs/2110.02037), on tables; the family of
TabularARGN (https://arxiv.org/abs/2501.12012).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthetic.ar_sides import Sides
from synthetic.synthesizer import shares

WIDEST = 16  # numbers that a token is told by
WAVES = 8  # smooth ones among those of a number's token
OFTEN = 0.02  # of the rows, from which a number's token stands for itself too


class ArNet(nn.Module):
    """Tokens of a row, some of them hidden, to the logits of every part's tokens.

    cards: tokens of each part. bias: log of each token's share, shape (sum of cards,). smooth: of parts of many tokens
    that follow one another as numbers do, part → how many features their tokens have: what is learned of them varies
    smoothly along them, but for frequent ones. A net that were free to tell every bin apart would learn rows by heart.
    """

    bias: Tensor
    groups: Tensor
    offsets: Tensor

    def __init__(
        self,
        cards: Sequence[int],
        *,
        smooth: Mapping[str, int] | None = None,
        width: int = 128,
        blocks: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sides: Sides | None = None
        self.cards = [int(card) for card in cards]
        self.smooth = {int(at): wide for at, wide in (smooth or {}).items()}
        total = sum(self.cards)
        self.register_buffer("offsets", torch.tensor(np.cumsum([0, *self.cards[:-1]])))
        groups = torch.zeros(total, len(self.cards))
        groups[
            torch.arange(total), torch.repeat_interleave(torch.arange(len(self.cards)), torch.tensor(self.cards))
        ] = 1
        self.register_buffer("groups", groups)
        self.register_buffer("bias", torch.zeros(total))
        wide = [self.smooth.get(at, min(WIDEST, 2 + card // 2)) for at, card in enumerate(self.cards)]
        self.tables = nn.ParameterList(
            nn.Parameter(0.5 * torch.randn(card, e), requires_grad=at not in self.smooth)
            for at, (card, e) in enumerate(zip(self.cards, wide, strict=True))
        )
        self.turns = nn.ParameterList([torch.randn(e, width) / math.sqrt(e) for e in wide])
        self.start = nn.Parameter(torch.zeros(width))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width)
            )
            for _ in range(blocks)
        )
        self.last = nn.LayerNorm(width)
        out = [self.smooth.get(at, card) for at, card in enumerate(self.cards)]
        self.heads = nn.ParameterList([torch.zeros(each, width) for each in out])

    def learn(self, tokens: np.ndarray) -> Self:
        """Starts from the tokens' shares, and from smooth features of those of numbers."""
        for at, card in enumerate(self.cards):
            share = shares(tokens[:, at], card, smoothing=0.1)
            begin = int(self.offsets[at])
            self.bias[begin : begin + card] = torch.from_numpy(np.log(share)).float()
            if at in self.smooth:
                self.tables[at].data = torch.from_numpy(features(share)).float()
        return self

    def logit_weights(self, at: int) -> Tensor:
        """Of one part's tokens, shape (card, width)."""
        head = self.heads[at]
        return self.tables[at] @ head if at in self.smooth else head

    def codes(self) -> Tensor:
        """What each token adds to the first layer, shape (sum of cards, width)."""
        return torch.cat([table @ turn for table, turn in zip(self.tables, self.turns, strict=True)])

    def hidden(self, first: Tensor) -> Tensor:
        """The last layer before the logits, shape (rows, width), from the sum of what the seen tokens added."""
        state = first + self.start
        for block in self.blocks:
            state = state + block(state)
        # Beside what the blocks make of it: what two columns alone have to do with one another is learned soonest so.
        return functional.relu(self.last(state)) + first

    def logits(self, hidden: Tensor, at: int) -> Tensor:
        """Of one part's tokens, shape (rows, card), from the last layer before them, shape (rows, width)."""
        told = functional.linear(hidden, self.heads[at])
        if at in self.smooth:
            told = told @ self.tables[at].T
        begin = int(self.offsets[at])
        return told + self.bias[begin : begin + self.cards[at]]

    def seen(self, tokens: Tensor, shown: Tensor) -> Tensor:
        """The first layer, shape (rows, width). tokens: int64, shown: float, both of shape (rows, parts)."""
        return functional.embedding_bag(
            tokens + self.offsets, self.codes(), per_sample_weights=shown.contiguous(), mode="sum"
        )

    def surprise(self, tokens: Tensor, shown: Tensor) -> Tensor:
        """-log probability of each part's token given the shown ones, shape (rows, parts); 0 for those shown."""
        if self.sides is None:
            self.sides = Sides.of(self.cards, self.smooth, self.tables, self.bias)
        flat, packed = self.sides.flat, self.sides.packed
        first = self.start.new_zeros(len(tokens), len(self.start))
        if flat is not None:
            codes = torch.cat([self.tables[at] @ self.turns[at] for at in flat.places])
            first = first + flat.seen(tokens, shown, codes)
        if packed is not None:
            first = first + packed.features(tokens, shown) @ torch.cat([self.turns[at] for at in packed.places])
        hidden = self.hidden(first)
        told = torch.zeros_like(shown)
        for side in (flat, packed):
            if side is not None:
                scores = functional.linear(hidden, torch.cat([self.heads[at] for at in side.places]))
                told = told.index_copy(1, side.parts, side.surprise(scores, tokens))
        return told * (1 - shown)

    def forward(self, inputs: Tensor) -> Tensor:
        """Each row's -log probability, in nats, shape (rows,): an unbiased estimate while training.

        inputs: tokens and, beside them, which are shown (0 or 1): int64, shape (rows, 2 · parts). While training,
        others are shown every time: as many as a uniform draw says, whichever.
        """
        tokens, shown = inputs.chunk(2, dim=1)
        if self.training:
            shown = mask(len(tokens), len(self.cards), inputs.device)
        shown = shown.float()
        hidden = (1 - shown).sum(dim=1).clamp(min=1)
        return self.surprise(tokens, shown).sum(dim=1) / hidden * len(self.cards)


def features(share: np.ndarray) -> np.ndarray:
    """What a number's tokens are told by, shape (tokens, features): waves along the line of their shares, and a feature
    of its own for each frequent one."""
    middle = share.cumsum() - share / 2
    waves = np.cos(np.pi * middle[:, None] * np.arange(1, WAVES + 1)) / np.sqrt(np.arange(1, WAVES + 1))
    return np.concatenate([waves, np.eye(len(share))[:, share >= OFTEN]], axis=1)


def mask(rows: int, parts: int, device: torch.device | None = None, generator: torch.Generator | None = None) -> Tensor:
    """Which parts are shown, bool, shape (rows, parts): from none to all but one, each number as likely."""
    draws = torch.rand(rows, parts, device=device, generator=generator)
    count = torch.randint(0, parts, (rows, 1), device=device, generator=generator)
    return draws.argsort(dim=1) < count
