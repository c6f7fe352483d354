"""A table read for a private engine: codecs that are declared or paid for, nothing else taken from its rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from framework.data.data_error import DataError, nearest
from framework.privacy.accountant import Spend
from synthetic.columns import LEAST_ROWS
from synthetic.constraints import Constraint, ConstraintError, FixedCombinations, OneHot, called, check
from synthetic.layout import Layout
from synthetic.private.budget import check_promise, rho_of, spend_of
from synthetic.private.domain import Domain, check_rows, declared_codec
from synthetic.private.found import costs, found_codec
from synthetic.synthesizer import Learned
from synthetic.table import TableCodec

DOMAIN_SHARE = 0.15  # of ρ, for columns that have to be found
DELTA_SHARE = 0.1  # of δ, for the same
UNCOVERED = (
    "the report: its scores, figures and verdict, and refusals, come from real rows; it stays with who has these"
)
NEIGHBOURS = "two tables of the same size, of which one has nothing where the other has a row"
LESS_USEFUL = "on every table that both were tried on, private:mst made the more useful rows"
PUBLIC = "the number of rows; names, order and types of the columns; what the domain declares; the constraints"


@dataclass(frozen=True)
class Deal:
    """How ε is dealt, as the columns and the domain tell it: no row is looked at.

    rho: to learn with; paid: for the columns to be found; together they are ε at `delta`, what is left of `given`.
    found: columns to be paid for.
    """

    epsilon: float
    given: float
    rho: float
    paid: float
    delta: float
    found: tuple[str, ...]

    @property
    def spends(self) -> list[tuple[str, Spend]]:
        """What finding columns costs."""
        return [("statistics", spend_of(self.paid, self.at_risk))] if self.found else []

    @property
    def at_risk(self) -> float:
        """Of δ, for finding columns."""
        return self.given - self.delta if self.found else 0.0


@dataclass(frozen=True)
class Reading:
    """A table in the parts that an engine learns, and what was dealt to it."""

    table: TableCodec
    layout: Layout
    rows: Learned
    deal: Deal

    def part(self, name: str | None) -> int | None:
        """The place of the part that a column is. Raises DataError for one that is not there."""
        if name is None:
            return None
        if name not in self.table.names:
            raise DataError(f"target {name!r} is no column. {nearest(name, self.table.names, what='columns')}")
        place = self.table.names.index(name)
        return next((at for at, part in enumerate(self.layout.parts) if place in part.at), None)

    def facts(self) -> dict[str, Any]:
        """What may be told of a private fit."""
        return {
            "rows": len(self.rows),
            "epsilon": self.deal.epsilon,
            "delta": self.deal.given,
            "neighbours": NEIGHBOURS,
            "public": PUBLIC,
            "found within ε": list(self.deal.found),
            "not covered by ε": UNCOVERED,
        }


def promise(facts: Mapping[str, Any]) -> str:
    """What a fit promises, for a terminal; empty for an engine that promises nothing."""
    if "epsilon" not in facts:
        return ""
    found = ", ".join(facts["found within ε"]) or "nothing: all columns were declared"
    ever, remark = "", f"  {facts['remark']}.\n" if "remark" in facts else ""
    if "ε of the whole ledger" in facts:
        ever = f"  the ledger: ε = {facts['ε of the whole ledger']:g} in all, at δ = {facts['δ of the ledger']:g}.\n"
    return (
        f"differential privacy: ε = {facts['epsilon']:g}, δ = {facts['delta']:g}; neighbours: {facts['neighbours']}.\n"
        f"  public: {facts['public']}.\n  found within ε: {found}.\n  not covered by ε: {facts['not covered by ε']}.\n"
        f"{ever}{remark}"
    )


def dealt(frame: pd.DataFrame, domain: Domain, epsilon: float, delta: float) -> Deal:
    """Raises PrivacyError, DomainError and DataError for what no row is needed to refuse."""
    check_promise(epsilon, delta)
    if len(frame) < LEAST_ROWS:
        raise DataError(f"the table has {len(frame)} rows; at least {LEAST_ROWS} are needed to learn from.")
    if not frame.columns.is_unique or not len(frame.columns):
        raise DataError("a table needs columns, each with a name of its own.")
    domain.check_names(frame)
    found = tuple(str(name) for name in frame.columns if name not in domain.columns and costs(frame[name]))
    left = delta * (1 - DELTA_SHARE) if found else delta
    rho = rho_of(epsilon, left)
    paid = DOMAIN_SHARE * rho if found else 0.0
    return Deal(epsilon, delta, rho - paid, paid, left, found)


def read(
    frame: pd.DataFrame,
    constraints: Sequence[Constraint],
    domain: Domain,
    deal: Deal,
    random: np.random.Generator,
    pay: Callable[[], object],
) -> Reading:
    """pay: called once, when nothing is left to refuse but what noise tells, and before the first of it is drawn.

    Raises PrivacyError, DomainError, DataError and ConstraintError: among these, for a constraint that learns from
    rows which values stand together.
    """
    kept = tuple(constraints)
    for each in kept:
        if isinstance(each, FixedCombinations | OneHot):
            raise ConstraintError(
                f"{called(each)} would tell which values stand together in the rows, beyond ε = {deal.epsilon:g}. "
                f"Leave it out."
            )
    check(kept, frame)
    names = [str(name) for name in frame.columns]
    told = {name: declared_codec(name, frame[name].dtype, each) for name, each in domain.columns.items()}
    for name, codec in told.items():
        check_rows(frame[name], codec, domain.columns[name])
    pay()
    share, chance = (part / max(1, len(deal.found)) for part in (deal.paid, deal.at_risk))
    codecs = [told[name] if name in told else found_codec(name, frame[name], share, chance, random) for name in names]
    table = TableCodec(tuple(codecs))
    places = table.encode(frame)
    layout = Layout.learn(table, places, kept)
    single = tuple(layout.single(at, table) for at in range(len(layout.parts)))
    return Reading(table, layout, Learned(layout.reduce(places), layout.cards, single), deal)
