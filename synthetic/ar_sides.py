"""The two sides of an autoregressive net's parts while it learns: categories in one line, numbers packed side by side.

Of a number's tokens the net learns a few features' weights, and need not make a weight for each token at every step:
that was most of the cost of a table of many numbers.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

MOST_LOGIT = 30.0  # exp of it summed over all tokens stays finite in float32
NEVER = -1e4  # the logit of a token that a part does not have


@dataclass(frozen=True)
class Flat:
    """Parts with a weight for each token. offsets: where each one's tokens begin among them, shape (parts,).

    bias: of each token, shape (tokens,). groups: which part it is of, shape (tokens, parts), 1 or 0.
    """

    places: tuple[int, ...]
    parts: Tensor
    offsets: Tensor
    bias: Tensor
    groups: Tensor

    @classmethod
    def of(cls, places: Sequence[int], biases: Sequence[Tensor]) -> Self:
        """biases: of each of the parts, shape (tokens,)."""
        like = biases[0]
        cards = torch.tensor([len(each) for each in biases])
        groups = functional.one_hot(torch.arange(len(cards)).repeat_interleave(cards), len(cards))
        return cls(
            tuple(places), torch.tensor(places, device=like.device), (cards.cumsum(0) - cards).to(like.device),
            torch.cat(list(biases)), groups.to(like),
        )  # fmt: skip

    def seen(self, tokens: Tensor, shown: Tensor, codes: Tensor) -> Tensor:
        """The sum of the shown tokens' codes, shape (rows, width). codes: shape (tokens, width)."""
        at, weights = tokens[:, self.parts] + self.offsets, shown[:, self.parts]
        return functional.embedding_bag(at, codes, per_sample_weights=weights, mode="sum")

    def surprise(self, scores: Tensor, tokens: Tensor) -> Tensor:
        """-log probability of each part's token, shape (rows, parts). scores: shape (rows, tokens)."""
        logits = (scores + self.bias).clamp(-MOST_LOGIT, MOST_LOGIT)
        return (logits.exp() @ self.groups).log() - logits.gather(1, tokens[:, self.parts] + self.offsets)


@dataclass(frozen=True)
class Packed:
    """Parts whose tokens are told by features that are not learned, padded to the widest of them.

    table: shape (parts, most tokens, most features). bias: of each token, shape (parts, 1, most tokens). there: where
    the features that are no padding stand, among parts · most features.
    """

    places: tuple[int, ...]
    parts: Tensor
    table: Tensor
    bias: Tensor
    there: Tensor

    @classmethod
    def of(cls, places: Sequence[int], biases: Sequence[Tensor], tables: Sequence[Tensor]) -> Self:
        """biases, tables: of each of the parts, shapes (tokens,) and (tokens, features)."""
        tokens, wide = (max(table.shape[side] for table in tables) for side in (0, 1))
        table = tables[0].new_zeros(len(tables), tokens, wide)
        bias = tables[0].new_full((len(tables), 1, tokens), NEVER)
        for at, (each, start) in enumerate(zip(tables, biases, strict=True)):
            table[at, : each.shape[0], : each.shape[1]] = each
            bias[at, 0, : len(start)] = start
        there = torch.cat([at * wide + torch.arange(each.shape[1]) for at, each in enumerate(tables)])
        return cls(
            tuple(places), torch.tensor(places, device=table.device), table, bias, there.to(table.device)
        )  # fmt: skip

    def features(self, tokens: Tensor, shown: Tensor) -> Tensor:
        """Of the rows' tokens, shape (rows, features of all these parts); 0 where they are hidden."""
        row = torch.arange(len(self.parts), device=tokens.device)
        found = self.table[row, tokens[:, self.parts]] * shown[:, self.parts, None]
        return found.flatten(1)[:, self.there]

    def surprise(self, scores: Tensor, tokens: Tensor) -> Tensor:
        """-log probability of each part's token, shape (rows, parts). scores: of the features, shape (rows, features of
        all these parts)."""
        parts, _, wide = self.table.shape
        padded = scores.new_zeros(len(scores), parts * wide).index_copy(1, self.there, scores)
        weights = padded.view(len(scores), parts, wide).transpose(0, 1)
        logits = torch.baddbmm(self.bias, weights, self.table.transpose(1, 2)).transpose(1, 2)
        return functional.cross_entropy(logits, tokens[:, self.parts].T, reduction="none").T


@dataclass(frozen=True)
class Sides:
    """Either is None where the table has no such part."""

    flat: Flat | None
    packed: Packed | None

    @classmethod
    def of(cls, cards: Sequence[int], smooth: Collection[int], tables: Sequence[Tensor], bias: Tensor) -> Self:
        """smooth: the parts that are packed. tables: of all parts, shapes (tokens, features). bias: shape (sum of
        cards,)."""
        biases = bias.split(list(cards))
        plain = [at for at in range(len(cards)) if at not in smooth]
        bent = sorted(smooth)
        return cls(
            Flat.of(plain, [biases[at] for at in plain]) if plain else None,
            Packed.of(bent, [biases[at] for at in bent], [tables[at].detach() for at in bent]) if bent else None,
        )
