"""A trained net made ready to be asked for few rows at a time: its sums without the calls of torch's modules.

A row is as many steps as the table has parts, and each step some twenty operations on a few numbers: what is around
them costs more than they do.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from synthetic.ar_net import ArNet


@dataclass(frozen=True)
class Norm:
    """A LayerNorm's arguments."""

    shape: tuple[int, ...]
    weight: Tensor
    bias: Tensor
    eps: float

    @classmethod
    def of(cls, module: nn.Module) -> "Norm":
        norm = cast(nn.LayerNorm, module)
        return cls(tuple(norm.normalized_shape), norm.weight, norm.bias, norm.eps)

    def __call__(self, state: Tensor) -> Tensor:
        return torch.layer_norm(state, self.shape, self.weight, self.bias, self.eps)


@dataclass(frozen=True)
class Ready:
    """`ArNet.hidden` and `ArNet.logits` of a net that is trained no more, to the last digit.

    begins: each part's first token. codes: `ArNet.codes`. tables: of the parts that are smooth.
    """

    cards: tuple[int, ...]
    begins: tuple[int, ...]
    codes: Tensor
    start: Tensor
    blocks: tuple[tuple[Norm, Tensor, Tensor, Tensor, Tensor], ...]
    last: Norm
    heads: tuple[Tensor, ...]
    tables: dict[int, Tensor]
    bias: Tensor

    @classmethod
    def of(cls, net: "ArNet") -> "Ready":
        """Its weights are the net's own, not copies."""
        blocks = []
        for block in net.blocks:
            norm, wide, _, _, narrow = cast(nn.Sequential, block)
            wide, narrow = cast(nn.Linear, wide), cast(nn.Linear, narrow)
            blocks.append((Norm.of(norm), wide.weight, wide.bias, narrow.weight, narrow.bias))
        with torch.no_grad():
            codes = net.codes()
        return cls(
            tuple(net.cards),
            tuple(net.offsets.tolist()),
            codes,
            net.start,
            tuple(blocks),
            Norm.of(net.last),
            tuple(net.heads),
            {at: net.tables[at] for at in net.smooth},
            net.bias,
        )

    def hidden(self, first: Tensor) -> Tensor:
        """As `ArNet.hidden`."""
        state = first + self.start
        for norm, wide, wider, narrow, narrower in self.blocks:
            inside = functional.linear(norm(state), wide, wider).relu_()
            state = functional.linear(inside, narrow, narrower).add_(state)
        return self.last(state).relu_().add_(first)

    def logits(self, hidden: Tensor, at: int) -> Tensor:
        """As `ArNet.logits`."""
        told = functional.linear(hidden, self.heads[at])
        if at in self.tables:
            told = told @ self.tables[at].T
        begin = self.begins[at]
        return told.add_(self.bias[begin : begin + self.cards[at]])
