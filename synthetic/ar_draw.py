"""Rows drawn of an autoregressive net: part by part, in several orders, and what is alike in many rows told once.

A net that knows every order is a slightly other model in each: rows of several orders are rows of their mixture, which
is nearer to the table than any one of them.
"""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from synthetic.synthesizer import Allowed, seeded, within

if TYPE_CHECKING:
    from synthetic.ar_ready import Ready

ORDER_ROWS, MOST_ORDERS = 128, 8  # rows for each order, and how many orders at most
CHUNK = 8_192  # rows that a net answers at once


@dataclass(frozen=True)
class Alike:
    """Rows that had the same parts drawn, with the same tokens: what comes next is as likely in all of them.

    group: of each row, shape (rows,), rising: those of one order. kind: of each row, shape (rows,), by group. one: a
    row of each kind, shape (kinds,).
    """

    group: Tensor
    kind: Tensor
    one: Tensor

    @classmethod
    def begin(cls, group: Tensor) -> "Alike":
        """Before anything is drawn."""
        kinds = torch.unique(group)
        return cls(group, torch.searchsorted(kinds, group), torch.searchsorted(group, kinds))

    def split(self, tokens: Tensor) -> "Alike":
        """After the tokens of one more part, shape (rows,); each row by itself where hardly any are alike."""
        if len(self.one) == len(self.kind):
            return self
        found, kind = torch.unique(self.kind * (int(tokens.max()) + 1) + tokens, return_inverse=True)
        if 2 * len(found) > len(kind):
            every = torch.arange(len(kind))
            return Alike(self.group, every, every)
        one = torch.empty(len(found), dtype=torch.int64)
        one[kind] = torch.arange(len(kind))
        return Alike(self.group, kind, one)

    def ends(self, groups: int) -> list[int]:
        """Where each group's kinds begin, and the last one's end."""
        return [*torch.searchsorted(self.group[self.one], torch.arange(groups)).tolist(), len(self.one)]


def drawn(net: "Ready", rows: int, allowed: Allowed, seed: int) -> np.ndarray:
    """Places, shape (rows, parts). allowed: of each part that is bound, shape (1, card): these are drawn first."""
    random = seeded(seed)
    orders = [_order(len(net.cards), allowed, random) for _ in range(int(np.clip(rows // ORDER_ROWS, 1, MOST_ORDERS)))]
    ends = [rows * each // len(orders) for each in range(len(orders) + 1)]
    groups = [slice(*each) for each in itertools.pairwise(ends)]
    alike = Alike.begin(torch.from_numpy(np.arange(len(orders)).repeat(np.diff(ends))))
    masks = {at: torch.from_numpy(mask) for at, mask in allowed.items()}
    tokens = torch.zeros(len(net.cards), rows, dtype=torch.int64)
    with torch.inference_mode():
        first = torch.zeros(rows, net.codes.shape[1])
        for parts in np.stack(orders, axis=1).tolist():
            draws = torch.from_numpy(random.random(rows, dtype=np.float32))
            apart = len(alike.one) == rows
            asked = first if apart else first[alike.one]
            told = net.hidden(asked) if len(asked) <= CHUNK else torch.cat([net.hidden(s) for s in asked.split(CHUNK)])
            kinds = groups if apart else [slice(*each) for each in itertools.pairwise(alike.ends(len(orders)))]
            for at, own, few in zip(parts, groups, kinds, strict=True):
                sums = upto(net.logits(told[few], at), masks.get(at))
                if not apart:
                    sums = sums[alike.kind[own] - few.start]
                found = picked(sums, draws[own])
                tokens[at, own] = found
                first[own].add_(net.codes.index_select(0, found + net.begins[at]))
            if not apart:
                alike = alike.split(_drawn_now(tokens, parts, groups))
    return within(tokens.numpy().T.astype(np.float64), random)


def _drawn_now(tokens: Tensor, parts: list[int], groups: list[slice]) -> Tensor:
    """The tokens of one step, shape (rows,): each group's of its own part."""
    return torch.cat([tokens[at, own] for at, own in zip(parts, groups, strict=True)])


def _order(parts: int, allowed: Allowed, random: np.random.Generator) -> np.ndarray:
    order = random.permutation(parts)
    return np.array([*(at for at in order if at in allowed), *(at for at in order if at not in allowed)])


def upto(logits: Tensor, mask: Tensor | None) -> Tensor:
    """The probability of a part's tokens up to each, shape (rows, card); those outside of the mask, bool, shape (1 or
    rows, card), have none."""
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    return logits.softmax(dim=1).cumsum(dim=1)


def picked(sums: Tensor, draws: Tensor) -> Tensor:
    """The token that each draw from 0 to 1 falls upon, shape (rows,)."""
    # Scaled by the last sum: rounding must not lead beyond the tokens, nor to one of no probability.
    token = torch.searchsorted(sums, (draws * sums[:, -1])[:, None], right=True)[:, 0]
    return token.clamp(max=sums.shape[1] - 1)
