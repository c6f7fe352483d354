"""How tables hang together: which column tells a table's rows apart, and which column names a row of another table."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any, Self

import pandas as pd

from cluster.user_error import UserError
from framework.data.data_error import nearest


class LinkError(UserError):
    """Tables that do not hang together as declared, or that hang together in a circle."""


@dataclass(frozen=True)
class Link:
    """Each row of `child` belongs to the row of `parent` that its `column` names."""

    child: str
    column: str
    parent: str

    def __str__(self) -> str:
        return f"{self.child}.{self.column} → {self.parent}"


@dataclass(frozen=True)
class Schema:
    """keys: table → the column that tells its rows apart; a table that nothing links to needs none.

    links: the first of a child owns it: the child's rows are made for those of that parent, one by one. Its other
    parents are chosen for it.
    """

    keys: Mapping[str, str]
    links: tuple[Link, ...]

    def order(self, tables: "Mapping[str, Any]") -> tuple[str, ...]:
        """The tables, parents before their children. Raises LinkError naming a circle."""
        parents: dict[str, set[str]] = {name: set() for name in tables}
        for link in self.links:
            parents[link.child].add(link.parent)
        try:
            return tuple(TopologicalSorter(parents).static_order())
        except CycleError as error:
            circle = " → ".join(reversed(error.args[1]))
            raise LinkError(
                f"the tables are linked in a circle ({circle}): none of them can be made first. Leave one of these "
                f"links out, and its column with it."
            ) from error

    def owner(self, table: str) -> Link | None:
        """The link to the parent that a table's rows are made for; None for a table without parents."""
        return next((link for link in self.links if link.child == table), None)

    def others(self, table: str) -> tuple[Link, ...]:
        """A table's links but the one that owns it."""
        return tuple(link for link in self.links if link.child == table and link is not self.owner(table))

    def children(self, table: str) -> tuple[Link, ...]:
        """The links to a table."""
        return tuple(link for link in self.links if link.parent == table)

    def own(self, table: str, frame: pd.DataFrame) -> list[str]:
        """The columns that are neither key nor link."""
        linking = {link.column for link in self.links if link.child == table} | {self.keys.get(table)}
        return [str(name) for name in frame.columns if name not in linking]

    def check(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Raises LinkError for a table, key or link that is not there, a key twice, or a row without its parent."""
        for name in (*self.keys, *(end for link in self.links for end in (link.child, link.parent))):
            if name not in tables:
                raise LinkError(f"there is no table {name!r}. {nearest(name, tables, what='tables')}")
        for name, key in self.keys.items():
            self._column(tables[name], name, key)
            if tables[name][key].isna().any() or tables[name][key].duplicated().any():
                raise LinkError(f"the key {name}.{key} is missing or there twice in some rows: it tells no rows apart.")
        if twice := [link for at, link in enumerate(self.links) if link in self.links[:at]]:
            raise LinkError(f"the link {twice[0]} is declared twice.")
        for link in self.links:
            if link.parent not in self.keys:
                raise LinkError(f"{link} needs a key of {link.parent!r}: declare the column that tells its rows apart.")
            self._column(tables[link.child], link.child, link.column)
            lost = ~tables[link.child][link.column].isin(tables[link.parent][self.keys[link.parent]])
            if lost.any():
                value = tables[link.child][link.column][lost].iloc[0]
                raise LinkError(
                    f"{int(lost.sum()):,} rows of {link.child} belong to no row of {link.parent} ({link.column} "
                    f"{value}, first). Leave these rows out, or add the rows that they name."
                )
        self.order(tables)

    @cached_property
    def numbered(self) -> dict[Link, int]:
        """Each link's place."""
        return {link: at for at, link in enumerate(self.links)}

    def to_json(self) -> dict[str, Any]:
        return {"keys": dict(self.keys), "links": [asdict(link) for link in self.links]}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        return cls(told["keys"], tuple(Link(**link) for link in told["links"]))

    def _column(self, frame: pd.DataFrame, table: str, name: str) -> None:
        if name not in frame.columns:
            hint = nearest(name, map(str, frame.columns), what="columns")
            raise LinkError(f"table {table!r} has no column {name!r}. {hint}")
