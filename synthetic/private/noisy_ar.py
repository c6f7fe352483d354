"""The autoregressive net, trained by DP-SGD: rows drawn by chance, each one's gradient clipped, noise on their sum.

Abadi et al. 2016, https://arxiv.org/abs/1607.00133; each row under several masks before its gradient is clipped (De et
al. 2022, https://arxiv.org/abs/2204.13650). Clipping and noise are opacus' own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from synthetic.ar import ArCore
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted
from synthetic.private.budget import noisy, onto_simplex, secret
from synthetic.private.domain import Domain
from synthetic.private.reading import read
from synthetic.private.steps import Steps, epsilon_of_steps, noise_for
from synthetic.synthesizer import Learned

if TYPE_CHECKING:
    import torch

    from synthetic.ar_net import ArNet

COUNTS = 0.1  # of ρ, for each column's counts: the net begins with them
SMOOTHING = 0.5  # rows added to each noisy count
MASKS = 4  # of each row in a step
MEMORY = 0.95  # of the weights' moving mean
BLOCK = 128  # rows whose gradients are held at once


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
        given = context or Context()
        reading = read(frame, constraints, self.domain, self.epsilon, self.delta, random)
        learned = reading.rows
        for_counts = COUNTS * reading.rho
        cards = [int(card) for card in learned.cards]
        counts = [
            noisy(np.bincount(learned.tokens[:, at], minlength=card), for_counts / len(cards), random)
            for at, card in enumerate(cards)
        ]
        total = float(len(learned))
        shares = [onto_simplex(each, total) + SMOOTHING for each in counts]
        rate = min(1.0, self.batch / total)
        before = reading.paid + for_counts
        noise = noise_for(self.epsilon, reading.delta, rate=rate, steps=self.steps, before=before)
        net, shape = self._net(learned, [each / each.sum() for each in shares], random)
        done = self._train(net, learned, noise, rate, rate * total, given, random)
        spent = epsilon_of_steps(Steps(noise, rate, done, before), reading.delta)
        facts = {
            "engine": self.name, "licence": self.licence, **reading.facts(self.epsilon, self.delta),
            "ε spent": round(spent, 4), "noise": noise, "steps": done, "rate": rate,
        }  # fmt: skip
        return Fitted(reading.table, reading.layout, tuple(constraints), ArCore(net, shape), facts)

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

    def _train(
        self,
        net: "ArNet",
        rows: Learned,
        noise: float,
        rate: float,
        expected: float,
        context: Context,
        random: np.random.Generator,
    ) -> int:
        """Takes the steps that were planned, or those that the deadline leaves; tells how many."""
        import torch
        from opacus.optimizers import DPOptimizer

        from synthetic.ar_net import mask
        from synthetic.private.hot_net import hot

        torch.set_num_threads(context.threads)
        named = {name: part for name, part in net.named_parameters() if part.requires_grad}
        draws = torch.Generator().manual_seed(int(random.integers(2**63)))
        engine = DPOptimizer(
            torch.optim.Adam(list(named.values()), lr=self.learning_rate),
            noise_multiplier=noise,
            max_grad_norm=self.clip,
            expected_batch_size=expected,
            generator=torch.Generator().manual_seed(int(random.integers(2**63))),
            secure_mode=True,  # noise whose bits do not tell the sum it was added to (Holohan, Braghin 2021)
        )
        true = hot(torch.from_numpy(rows.tokens), net)
        mean = {name: part.detach().clone() for name, part in named.items()}
        parts = len(net.cards)
        done = 0
        while done < self.steps and context.remaining() > 0:
            for group in engine.param_groups:
                group["lr"] = self.learning_rate * (1 + math.cos(math.pi * done / self.steps)) / 2
            chosen = torch.from_numpy(np.flatnonzero(random.random(len(rows)) < rate))
            pieces = chosen.split(BLOCK)
            engine.zero_grad(set_to_none=True)
            for place, piece in enumerate(pieces):
                shown = mask(len(piece) * MASKS, parts, generator=draws).float().reshape(-1, MASKS, parts)
                for name, gradient in each_gradient(net, true[piece], shown).items():
                    named[name].grad_sample = gradient  # type: ignore[attr-defined]
                if place < len(pieces) - 1:
                    engine.signal_skip_step()
                    engine.step()
                    engine.zero_grad(set_to_none=True)
            engine.step()
            done += 1
            for name, part in named.items():
                mean[name].lerp_(part.detach(), 1 - min(MEMORY, done / (done + 10)))
        for name, part in named.items():
            part.data = mean[name]
            part.grad = part.grad_sample = part.summed_grad = None  # type: ignore[attr-defined]
        return done


def each_gradient(net: "ArNet", true: "torch.Tensor", shown: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """Each row's own gradient of its loss, shape (rows, …) for each parameter that learns."""
    import torch
    from torch.func import functional_call, grad, vmap

    learning = {name: part.detach() for name, part in net.named_parameters() if part.requires_grad}
    if not len(true):
        return {name: torch.zeros(0, *part.shape) for name, part in learning.items()}
    fixed = {name: part for name, part in net.named_parameters() if not part.requires_grad}
    fixed |= dict(net.named_buffers())

    def error(weights: Any, row: Any, masks: Any) -> Any:
        return functional_call(net, (weights, fixed), (row, masks))

    told: dict[str, torch.Tensor] = vmap(grad(error), in_dims=(None, 0, 0))(learning, true, shown)
    return told
