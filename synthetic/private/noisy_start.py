"""What engines that learn by noisy steps do before the first and after the last: counts, noise, the bill, the facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from framework.contender import Context
from framework.privacy.accountant import Spend, epsilon_of, noise_for
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted
from synthetic.private.bill import Bill
from synthetic.private.budget import noisy, onto_simplex, spend_of
from synthetic.private.domain import Domain
from synthetic.private.reading import LESS_USEFUL, Reading, dealt, read

COUNTS = 0.1  # of ρ, for each column's counts: the net begins with them, or draws conditions by them
SMOOTHING = 0.5  # rows added to each noisy count


class Stepwise(Protocol):
    """An engine's settings. batch: rows in a step, on average."""

    @property
    def name(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def epsilon(self) -> float: ...
    @property
    def delta(self) -> float: ...
    @property
    def domain(self) -> Domain: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch(self) -> int: ...


@dataclass(frozen=True)
class Start:
    """shares: of each part's tokens, noisy. training: what all steps cost; before: what was spent ahead of them."""

    reading: Reading
    shares: list[np.ndarray]
    training: Spend
    before: list[Spend]
    bill: Bill

    def fitted(self, engine: Stepwise, constraints: Sequence[Constraint], core: Any, done: int) -> Fitted:
        """What was learned in so many steps, with what it cost."""
        noise, rate = self.training.noise, self.training.rate
        spent = epsilon_of([*self.before, Spend(noise, rate, done)], engine.delta)
        facts = {
            "engine": engine.name, "licence": engine.licence, **self.reading.facts(), **self.bill.facts,
            "remark": LESS_USEFUL, "ε spent": round(spent, 4), "noise": noise, "steps": done, "rate": rate,
        }  # fmt: skip
        return Fitted(self.reading.table, self.reading.layout, tuple(constraints), core, facts)


def start(
    engine: Stepwise,
    frame: pd.DataFrame,
    constraints: Sequence[Constraint],
    context: Context | None,
    random: np.random.Generator,
) -> Start:
    """Reads the rows and pays for all steps before the first noise is drawn. Raises as `MST.fit`."""
    deal = dealt(frame, engine.domain, engine.epsilon, engine.delta)
    for_counts, total = COUNTS * deal.rho, float(len(frame))
    rate = min(1.0, engine.batch / total)
    before = [*(each for _, each in deal.spends), spend_of(for_counts)]
    training = Spend(noise_for(engine.epsilon, engine.delta, rate=rate, steps=engine.steps, before=before), rate,
                     engine.steps)  # fmt: skip
    spends = [*deal.spends, ("statistics", spend_of(for_counts)), ("training", training)]
    bill = Bill(engine.name, context, spends)
    reading = read(frame, constraints, engine.domain, deal, random, bill.pay)
    cards = [int(card) for card in reading.rows.cards]
    counts = [
        noisy(np.bincount(reading.rows.tokens[:, at], minlength=card), for_counts / len(cards), random)
        for at, card in enumerate(cards)
    ]
    smooth = [onto_simplex(each, total) + SMOOTHING for each in counts]
    return Start(reading, [each / each.sum() for each in smooth], training, before, bill)
