"""The conditional GAN with a critic trained by DP-SGD: its generator sees rows through the noisy critic alone.

Xie et al. 2018, https://arxiv.org/abs/1802.06739; several steps of the critic to one of the generator (Bie, Kamath,
Zhang 2023, https://arxiv.org/abs/2302.02936).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from framework.privacy.accountant import Spend, epsilon_of, noise_for
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted
from synthetic.private.bill import Bill
from synthetic.private.budget import noisy, onto_simplex, secret, spend_of
from synthetic.private.domain import Domain
from synthetic.private.reading import LESS_USEFUL, dealt, read

COUNTS = 0.1  # of ρ, for each column's counts: conditions are drawn by them
SMOOTHING = 0.5  # rows added to each noisy count


@dataclass(frozen=True)
class NoisyGAN:
    """(epsilon, delta)-differentially private, as `MST`, by noise in every one of the critic's `steps`.

    Rows are tokens, so that values keep to their bins. batch: rows in a step, on average. clip: the norm that each
    row's gradient is held to. turns: steps of the critic to one of the generator. No look at real rows chooses when to
    stop.
    """

    epsilon: float = 8.0
    delta: float = 1e-5
    domain: Domain = field(default_factory=Domain)
    width: int = 64
    noise: int = 32
    steps: int = 300
    turns: int = 4
    batch: int = 256
    clip: float = 1.0
    learning_rate: float = 0.001
    name: str = "private:gan"
    licence: ClassVar[str] = ""

    @property
    def resources(self) -> Resources:
        return Resources()

    def fit(
        self, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
    ) -> Fitted:
        """As `MST.fit`."""
        from synthetic.private.noisy_critic import train_noisy_gan

        random = secret()
        given = context or Context()
        deal = dealt(frame, self.domain, self.epsilon, self.delta)
        for_counts, total = COUNTS * deal.rho, float(len(frame))
        rate = min(1.0, self.batch / total)
        before = [*(each for _, each in deal.spends), spend_of(for_counts)]
        sigma = noise_for(self.epsilon, self.delta, rate=rate, steps=self.steps, before=before)
        training = Spend(sigma, rate, self.steps)
        spends = [*deal.spends, ("statistics", spend_of(for_counts)), ("training", training)]
        bill = Bill(self.name, context, spends)
        reading = read(frame, constraints, self.domain, deal, random, bill.pay)
        tokens, cards = reading.rows.tokens, [int(card) for card in reading.rows.cards]
        counts = [
            noisy(np.bincount(tokens[:, at], minlength=card), for_counts / len(cards), random)
            for at, card in enumerate(cards)
        ]
        shares = [onto_simplex(each, total) + SMOOTHING for each in counts]
        core, done = train_noisy_gan(
            self, tokens, [each / each.sum() for each in shares], training, given, random
        )  # fmt: skip
        spent = epsilon_of([*before, Spend(sigma, rate, done)], self.delta)
        facts = {
            "engine": self.name, "licence": self.licence, **reading.facts(), **bill.facts, "remark": LESS_USEFUL,
            "ε spent": round(spent, 4), "noise": sigma, "steps": done, "rate": rate,
        }  # fmt: skip
        return Fitted(reading.table, reading.layout, tuple(constraints), core, facts)
