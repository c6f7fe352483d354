"""Private rows from noisy marginals: each column's counts, and those of the pairs that a tree needs.

MST: McKenna, Miklau, Sheldon 2021, "Winning the NIST Contest", https://arxiv.org/abs/2108.04978; what a pair is
worth as AIM has it (McKenna et al. 2022, https://arxiv.org/abs/2201.12677).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import ClassVar

import numpy as np
import pandas as pd

from cluster.resources import Resources
from framework.contender import Context
from synthetic.constraints import Constraint
from synthetic.fitted import Fitted
from synthetic.private.bill import Bill
from synthetic.private.budget import choice_rate, deviation, noisy, onto_simplex, secret, spend_of
from synthetic.private.domain import Domain
from synthetic.private.reading import dealt, read
from synthetic.private.tree import Forest, forest
from synthetic.synthesizer import Learned

SINGLE, CHOICE = 0.25, 0.15  # of ρ; the rest is for pairs
FLOOR = 1e-6
SWEEPS = 50  # of iterative proportional fitting
LOOSE = 1e-3  # of a pair's mass, that is spread as if its columns had nothing to do with one another


@dataclass(frozen=True)
class MST:
    """(epsilon, delta)-differentially private; `budget` tells which tables are neighbours.

    target: a column whose links to others are measured first, so that models can learn to tell it.
    domain: what is public of the columns; the others are found, and paid for. The noise hangs on no seed: two fits
    differ. Numbers are told by a few bins, dates to the day.
    """

    epsilon: float = 1.0
    delta: float = 1e-5
    domain: Domain = field(default_factory=Domain)
    target: str | None = None
    name: str = "private:mst"
    licence: ClassVar[str] = ""

    @property
    def resources(self) -> Resources:
        return Resources()

    def fit(
        self, frame: pd.DataFrame, constraints: Sequence[Constraint] = (), context: Context | None = None
    ) -> Fitted:
        """As `Synthesizer.fit`; PrivacyError and DomainError too, naming the column that is neither declared nor found,
        or that has what is not declared."""
        random = secret()
        deal = dealt(frame, self.domain, self.epsilon, self.delta)
        bill = Bill(self.name, context, [*deal.spends, ("training", spend_of(deal.rho))])
        reading = read(frame, constraints, self.domain, deal, random, bill.pay)
        target = reading.part(self.target)
        core = learn_forest(reading.rows, deal.rho, random, target)
        facts = {"engine": self.name, "licence": self.licence, **reading.facts(), **bill.facts}
        return Fitted(reading.table, reading.layout, tuple(constraints), core, facts)


def learn_forest(rows: Learned, rho: float, random: np.random.Generator, target: int | None = None) -> Forest:
    """A forest for which ρ is paid in all."""
    tokens, cards = rows.tokens, [int(card) for card in rows.cards]
    parts = len(cards)
    single = rho * SINGLE / parts
    counts = [noisy(np.bincount(tokens[:, at], minlength=card), single, random) for at, card in enumerate(cards)]
    total = float(len(rows))
    ones = [onto_simplex(each, total) for each in counts]
    measured: dict[tuple[int, int], np.ndarray] = {}
    paid = deviation(rho * (1 - SINGLE - CHOICE) / max(1, parts - 1))
    links = choose_links(tokens, ones, total, rho * CHOICE, paid, random, target)
    for one, other in links:
        table = noisy(_table(tokens, cards, one, other), rho * (1 - SINGLE - CHOICE) / len(links), random)
        measured[one, other] = table
    spreads = (deviation(single), deviation(rho * (1 - SINGLE - CHOICE) / max(1, len(links))))
    ones = [_agreed(at, counts[at], measured, spreads, total) for at in range(parts)]
    pairs = {pair: _fitted(table, ones[pair[0]], ones[pair[1]], total) for pair, table in measured.items()}
    return forest([each / total for each in ones], pairs, FLOOR)


def choose_links(
    tokens: np.ndarray,
    ones: Sequence[np.ndarray],
    total: float,
    rho: float,
    noise: float,
    random: np.random.Generator,
    target: int | None = None,
) -> list[tuple[int, int]]:
    """Pairs that make up a forest, drawn by the exponential mechanism for which ρ is paid in all.

    A pair is worth how far its counts are from those of independent columns, in rows, less what noise of this deviation
    takes away: one row changes it by 1 at most. Where nothing is worth anything, the rest stays unlinked.
    target: a part whose own links are drawn first, up to half of all.
    """
    parts = len(ones)
    if parts < 2:
        return []
    cards = [len(each) for each in ones]
    worth = {
        (one, other): float(
            np.abs(_table(tokens, cards, one, other) - np.outer(ones[one], ones[other]) / total).sum()
            - math.sqrt(2 / math.pi) * noise * cards[one] * cards[other]
        )
        for one, other in combinations(range(parts), 2)
    }
    rate = choice_rate(rho / parts)  # of parts - 1 links, and a draw that ends those of the target
    tree = list(range(parts))
    links: list[tuple[int, int]] = []
    first = target is not None
    while open_pairs := [pair for pair in worth if tree[pair[0]] != tree[pair[1]]]:
        first = first and len(links) < parts // 2
        if first:
            open_pairs = [pair for pair in open_pairs if target in pair]
        scores = rate / 2 * np.array([0.0, *(worth[pair] for pair in open_pairs)])
        drawn = int(np.argmax(scores + random.gumbel(size=len(scores))))
        if not drawn and not first:
            break
        if not drawn:
            first = False
            continue
        one, other = open_pairs[drawn - 1]
        links.append((one, other))
        tree = [tree[one] if each == tree[other] else each for each in tree]
    return links


def _table(tokens: np.ndarray, cards: Sequence[int], one: int, other: int) -> np.ndarray:
    flat = tokens[:, one] * cards[other] + tokens[:, other]
    return np.bincount(flat, minlength=cards[one] * cards[other]).reshape(cards[one], cards[other])


def _agreed(
    at: int,
    counts: np.ndarray,
    measured: dict[tuple[int, int], np.ndarray],
    spreads: tuple[float, float],
    total: float,
) -> np.ndarray:
    """A part's counts by all that was measured of it, each weighed by its variance; shape (card,), summing to total."""
    told, weights = [counts], [spreads[0] ** -2]
    for pair, table in measured.items():
        if at in pair:
            axis = 1 - pair.index(at)
            told.append(table.sum(axis=axis))
            weights.append(spreads[1] ** -2 / table.shape[axis])
    return onto_simplex(np.average(told, axis=0, weights=weights), total)


def _fitted(table: np.ndarray, rows: np.ndarray, columns: np.ndarray, total: float) -> np.ndarray:
    """A pair's counts made to agree with those of its two parts, by iterative proportional fitting; they sum to 1."""
    made = (1 - LOOSE) * onto_simplex(table, total) + LOOSE * np.outer(rows, columns) / total
    for _ in range(SWEEPS):
        for wanted, axis in ((rows, 1), (columns, 0)):
            sums = made.sum(axis=axis)
            factor = np.where(sums > 0, wanted / np.where(sums > 0, sums, 1.0), 0.0)
            made = made * (factor[:, None] if axis else factor[None])
    return np.asarray(made / max(made.sum(), 1e-300))
