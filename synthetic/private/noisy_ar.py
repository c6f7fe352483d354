"""The autoregressive net, trained by DP-SGD (`framework.privacy.dp_sgd`).

Each row is seen under several masks before its gradient is clipped (De et al. 2022, https://arxiv.org/abs/2204.13650).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from framework.privacy.accountant import Spend
from framework.privacy.dp_sgd import DPSGD, Gradients, each_gradient
from synthetic.ar import ArCore
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted
from synthetic.private.budget import secret
from synthetic.private.domain import Domain
from synthetic.private.noisy_start import start
from synthetic.synthesizer import Learned

if TYPE_CHECKING:
    import torch

    from synthetic.ar_net import ArNet

MASKS = 4  # of each row in a step
MEMORY = 0.95  # of the weights' moving mean


@dataclass(frozen=True)
class NoisyAR:
    """(epsilon, delta)-differentially private, as `MST`, by noise in every one of `steps` steps of training.

    batch: rows in a step, on average. clip: the norm that each row's gradient is held to. No row is held out to stop
    by: that would tell of it. A fit that its deadline ends has spent less.
    """

    epsilon: float = 8.0
    delta: float = 1e-5
    domain: Domain = field(default_factory=Domain)
    width: int = 64
    blocks: int = 2
    steps: int = 300
    batch: int = 256
    clip: float = 1.0
    learning_rate: float = 0.004
    name: str = "private:ar"
    licence: ClassVar[str] = ""

    @property
    def resources(self) -> Resources:
        return Resources()

    def fit(
        self, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
    ) -> Fitted:
        """As `MST.fit`."""
        random = secret()
        begun = start(self, frame, constraints, context, random)
        learned = begun.reading.rows
        net, shape = self._net(learned, begun.shares, random)
        done = self._train(net, learned, begun.training, context or Context(), random)
        return begun.fitted(self, constraints, ArCore(net, shape), done)

    def _net(
        self, rows: Learned, shares: list[np.ndarray], random: np.random.Generator
    ) -> "tuple[ArNet, dict[str, Any]]":
        """A net of noisy shares, and the arguments that make one of its shape."""
        import torch

        from synthetic.ar_net import WIDEST, features
        from synthetic.private.hot_net import HotNet

        told = {
            at: features(share)
            for at, share in enumerate(shares)
            if len(share) > WIDEST and (codec := rows.codecs[at]) is not None and codec.ranked
        }
        shape: dict[str, Any] = {
            "cards": rows.cards.tolist(),
            "smooth": {str(at): each.shape[1] for at, each in told.items()},
            "width": self.width,
            "blocks": self.blocks,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(random.integers(2**63)))
            net = HotNet(**shape)
        net.bias.copy_(torch.from_numpy(np.log(np.concatenate(shares))).float())
        for at, each in told.items():
            net.tables[at].data = torch.from_numpy(each).float()
        return net, shape

    def _train(self, net: "ArNet", rows: Learned, planned: Spend, context: Context, random: np.random.Generator) -> int:
        """Takes the steps that were planned, or those that the deadline leaves; tells how many."""
        import torch

        from synthetic.ar_net import mask
        from synthetic.private.hot_net import hot

        torch.set_num_threads(context.threads)
        draws = torch.Generator().manual_seed(int(random.integers(2**63)))
        learner = DPSGD(
            net, lambda parts: torch.optim.Adam(parts, lr=self.learning_rate), rows=len(rows), rate=planned.rate,
            noise=planned.noise, clip=self.clip, random=random, seed=int(random.integers(2**63)),
        )  # fmt: skip
        true, parts = hot(torch.from_numpy(rows.tokens), net), len(net.cards)
        mean = {name: part.detach().clone() for name, part in learner.named.items()}

        def gradients(places: "torch.Tensor") -> Gradients:
            shown = mask(len(places) * MASKS, parts, generator=draws).float().reshape(-1, MASKS, parts)
            return row_gradients(net, true[places], shown)

        done = 0
        while done < planned.steps and context.remaining() > 0:
            learner.learning_rate(self.learning_rate * (1 + math.cos(math.pi * done / planned.steps)) / 2)
            learner.step(gradients)
            done += 1
            for name, part in learner.named.items():
                mean[name].lerp_(part.detach(), 1 - min(MEMORY, done / (done + 10)))
        for name, part in learner.named.items():
            part.data = mean[name]
        learner.close()
        return done


def row_gradients(net: "ArNet", true: "torch.Tensor", shown: "torch.Tensor") -> Gradients:
    """Each row's own gradient of its loss."""
    return each_gradient(net, lambda told, row, masks: told(row, masks), true, shown)
