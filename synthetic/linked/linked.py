"""Linked tables that were never observed: parents first, then as many children as each has, given what it is.

A parent is learned with how many children it has and what their numbers are on average; a child beside its parent and
all before that (Patki et al. 2016, "The synthetic data vault", goes up from the children, to a depth of two).
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.contender import Context
from synthetic.ar import AR
from synthetic.fitted import Fitted
from synthetic.linked.fitted import FittedTables, Linkage, beside, count_name, mean_name
from synthetic.linked.schema import LinkError, Schema
from synthetic.synthesizer import Filling, Synthesizer

MOST_MEANS = 12  # columns of a child, of whose means a parent is told


@dataclass(frozen=True)
class Linked:
    """Tables of any number and depth. engine: learns each; one that draws some columns given others: ar, or copula,
    which is quicker and keeps less of what children have of their parents."""

    schema: Schema
    engine: Synthesizer = field(default_factory=AR)
    name: str = "linked"
    licence: ClassVar[str] = ""

    @property
    def resources(self) -> Resources:
        return Resources()

    def fit(self, tables: Mapping[str, pd.DataFrame], context: Context | None = None) -> FittedTables:
        """Learns from all rows of all tables, returns before context.deadline.

        Raises LinkError for tables that do not hang together as declared; what the engine raises for a table it cannot
        learn, naming it.
        """
        given = context or Context()
        self.schema.check(tables)
        order = self.schema.order(tables)
        frames = {name: tables[name].reset_index(drop=True) for name in order}
        extended = {name: _extended(name, frames, self.schema) for name in order}
        above: dict[str, pd.DataFrame] = {}
        learned: dict[str, Linkage] = {}
        for place, name in enumerate(order):
            above[name] = _above(name, frames, extended, above, self.schema)
            chosen = _chosen(name, frames, self.schema)
            own = extended[name]
            whole = pd.concat([above[name], *chosen, own], axis=1)
            left = given.remaining() / (len(order) - place)
            share = replace(given, deadline=time.time() + left if left != float("inf") else left)
            fitted = self._learned(name, whole, share) if len(chosen) or own.shape[1] else None
            learned[name] = Linkage(
                fitted, tuple(map(str, above[name])), tuple(own.columns), tuple(map(str, frames[name].columns)),
                _texts(frames[name], self.schema.keys.get(name)), len(frames[name]),
            )  # fmt: skip
        facts = {"engine": f"{self.name}:{self.engine.name}", "licence": self.engine.licence, "seed": given.seed,
                 "rows": {name: len(frame) for name, frame in frames.items()}}  # fmt: skip
        return FittedTables(self.schema, learned, facts)

    def _learned(self, table: str, whole: pd.DataFrame, context: Context) -> Fitted:
        try:
            fitted = self.engine.fit(whole, (), context)
        except UserError as error:
            raise type(error)(f"table {table!r}: {error}") from error
        if not isinstance(fitted.core, Filling):
            raise LinkError(
                f"the engine {self.engine.name!r} cannot draw children given their parents. Take 'ar' or 'copula'."
            )
        return fitted


def _extended(table: str, frames: Mapping[str, pd.DataFrame], schema: Schema) -> pd.DataFrame:
    """A table's own columns, how many children each row has by each link, and the means of their numbers."""
    frame = frames[table]
    made = frame[schema.own(table, frame)].copy()
    for link in schema.children(table):
        child = frames[link.child]
        groups = child.groupby(link.column)
        keys = frame[schema.keys[table]]
        made[count_name(schema, link)] = keys.map(groups.size()).fillna(0).astype(np.int64)
        if schema.owner(link.child) == link:
            numbers = child[schema.own(link.child, child)].select_dtypes("number").columns[:MOST_MEANS]
            for name in numbers:
                made[mean_name(link, str(name))] = keys.map(groups[name].mean().astype(np.float64))
    return made


def _above(
    table: str,
    frames: Mapping[str, pd.DataFrame],
    extended: Mapping[str, pd.DataFrame],
    above: Mapping[str, pd.DataFrame],
    schema: Schema,
) -> pd.DataFrame:
    """What each row's parent is, and all before it; no column for a table without parents."""
    link = schema.owner(table)
    if link is None:
        return pd.DataFrame(index=frames[table].index)
    keys = frames[link.parent][schema.keys[link.parent]]
    at = pd.Index(keys).get_indexer(pd.Index(frames[table][link.column]))
    told: pd.DataFrame = beside(link, extended[link.parent], above[link.parent]).iloc[at].reset_index(drop=True)
    return told


def _chosen(table: str, frames: Mapping[str, pd.DataFrame], schema: Schema) -> list[pd.DataFrame]:
    """For each other parent what it is, under the link's name."""
    told = []
    for link in schema.others(table):
        parent = frames[link.parent]
        at = pd.Index(parent[schema.keys[link.parent]]).get_indexer(pd.Index(frames[table][link.column]))
        own = parent[schema.own(link.parent, parent)]
        told.append(own.iloc[at].reset_index(drop=True).add_prefix(f"{link.column}: "))
    return [each for each in told if each.shape[1]]


def _texts(frame: pd.DataFrame, key: str | None) -> bool:
    return key is not None and not pd.api.types.is_numeric_dtype(frame[key].dtype)
