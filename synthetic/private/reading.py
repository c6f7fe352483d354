"""A table read for a private engine: codecs that are declared or paid for, nothing else taken from its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from framework.data.data_error import DataError, nearest
from synthetic.codec import Codec
from synthetic.columns import LEAST_ROWS
from synthetic.constraints import Constraint, ConstraintError, FixedCombinations, OneHot, called, check
from synthetic.layout import Layout
from synthetic.private.budget import check_promise, rho_of
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
PUBLIC = "the number of rows; names, order and types of the columns; what the domain declares; the constraints"


@dataclass(frozen=True)
class Reading:
    """rho: what is left to learn with; with what was `paid` here it is ε at `delta`. found: columns paid for."""

    table: TableCodec
    layout: Layout
    rows: Learned
    rho: float
    paid: float
    delta: float
    found: tuple[str, ...]

    def part(self, name: str | None) -> int | None:
        """The place of the part that a column is. Raises DataError for one that is not there."""
        if name is None:
            return None
        if name not in self.table.names:
            raise DataError(f"target {name!r} is no column. {nearest(name, self.table.names, what='columns')}")
        place = self.table.names.index(name)
        return next((at for at, part in enumerate(self.layout.parts) if place in part.at), None)

    def facts(self, epsilon: float, delta: float) -> dict[str, Any]:
        """What may be told of a private fit."""
        return {
            "rows": len(self.rows),
            "epsilon": epsilon,
            "delta": delta,
            "neighbours": NEIGHBOURS,
            "public": PUBLIC,
            "found within ε": list(self.found),
            "not covered by ε": UNCOVERED,
        }


def promise(facts: Mapping[str, Any]) -> str:
    """What a fit promises, for a terminal; empty for an engine that promises nothing."""
    if "epsilon" not in facts:
        return ""
    found = ", ".join(facts["found within ε"]) or "nothing: all columns were declared"
    return (
        f"differential privacy: ε = {facts['epsilon']:g}, δ = {facts['delta']:g}; neighbours: {facts['neighbours']}.\n"
        f"  public: {facts['public']}.\n  found within ε: {found}.\n  not covered by ε: {facts['not covered by ε']}.\n"
    )


def read(
    frame: pd.DataFrame,
    constraints: Sequence[Constraint],
    domain: Domain,
    epsilon: float,
    delta: float,
    random: np.random.Generator,
) -> Reading:
    """Raises PrivacyError, DomainError, DataError and ConstraintError: among these, for a constraint that learns from
    rows which values stand together."""
    check_promise(epsilon, delta)
    if len(frame) < LEAST_ROWS:
        raise DataError(f"the table has {len(frame)} rows; at least {LEAST_ROWS} are needed to learn from.")
    if not frame.columns.is_unique or not len(frame.columns):
        raise DataError("a table needs columns, each with a name of its own.")
    domain.check_names(frame)
    kept = tuple(constraints)
    for each in kept:
        if isinstance(each, FixedCombinations | OneHot):
            raise ConstraintError(
                f"{called(each)} would tell which values stand together in the rows, beyond ε = {epsilon:g}. "
                f"Leave it out."
            )
    check(kept, frame)
    names = [str(name) for name in frame.columns]
    asked = [name for name in names if name not in domain.columns and costs(frame[name])]
    rho, spent = rho_of(epsilon, delta), 0.0
    left = delta
    if asked:
        left = delta * (1 - DELTA_SHARE)
        rho = rho_of(epsilon, left)
        spent = DOMAIN_SHARE * rho
    codecs: list[Codec] = []
    for name in names:
        if name in domain.columns:
            codec = declared_codec(name, frame[name].dtype, domain.columns[name])
            check_rows(frame[name], codec, domain.columns[name])
        else:
            share = spent / max(1, len(asked))
            codec = found_codec(name, frame[name], share, delta * DELTA_SHARE / max(1, len(asked)), random)
        codecs.append(codec)
    table = TableCodec(tuple(codecs))
    places = table.encode(frame)
    layout = Layout.learn(table, places, kept)
    single = tuple(layout.single(at, table) for at in range(len(layout.parts)))
    rows = Learned(layout.reduce(places), layout.cards, single)
    return Reading(table, layout, rows, rho - spent, spent, left, tuple(asked))
