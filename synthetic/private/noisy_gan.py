"""The conditional GAN with a critic trained by DP-SGD: its generator sees rows through the noisy critic alone.

Xie et al. 2018, https://arxiv.org/abs/1802.06739; several steps of the critic to one of the generator (Bie, Kamath,
Zhang 2023, https://arxiv.org/abs/2302.02936).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted
from synthetic.private.budget import secret
from synthetic.private.domain import Domain
from synthetic.private.noisy_start import start


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
        begun = start(self, frame, constraints, context, random)
        tokens = begun.reading.rows.tokens
        core, done = train_noisy_gan(self, tokens, begun.shares, begun.training, context or Context(), random)
        return begun.fitted(self, constraints, core, done)
