"""The autoregressive net for rows one by one: tokens as ones and zeros, so that torch.func has each row's gradient."""

import torch
from torch import Tensor
from torch.nn import functional

from synthetic.ar_net import ArNet
from synthetic.ar_sides import MOST_LOGIT


class HotNet(ArNet):
    """The weights of `ArNet`, and the loss of one row under several masks."""

    def forward(self, true: Tensor, shown: Tensor) -> Tensor:  # type: ignore[override]
        """-log probability of a hidden token, the mean over a row's hidden parts and masks, shape ().

        true: which tokens the row has, float, shape (sum of cards,). shown: which parts are, float, shape (masks,
        parts).
        """
        first = (true * (shown @ self.groups.T)) @ self.codes()
        weights = torch.cat([self.logit_weights(at) for at in range(len(self.cards))])
        logits = functional.linear(self.hidden(first), weights, self.bias).clamp(-MOST_LOGIT, MOST_LOGIT)
        surprise = ((logits.exp() @ self.groups).log() - (logits * true) @ self.groups) * (1 - shown)
        return (surprise.sum(dim=1) / (1 - shown).sum(dim=1)).mean()


def hot(tokens: Tensor, net: ArNet) -> Tensor:
    """Tokens, int64, shape (rows, parts), as ones and zeros, float, shape (rows, sum of cards)."""
    empty = torch.zeros(len(tokens), len(net.bias))
    return empty.scatter_(1, tokens + net.offsets, 1.0)
