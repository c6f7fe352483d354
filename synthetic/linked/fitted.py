"""Draws linked tables, from what `Linked` has learned."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.plain import write_json
from synthetic.codec import Numbers
from synthetic.fitted import Fitted, SynthesizerStoreError
from synthetic.linked.schema import Link, LinkError, Schema
from synthetic.synthesizer import Filling, seeded

CARD = "linked.json"
BLOCK = 2_048  # rows drawn at once
MATCHED = 256  # children whose other parent is chosen at once


@dataclass(frozen=True)
class Linkage:
    """One table as it was learned. fitted: None for a table of nothing but links.

    above: columns of the parent and all before it; own: the table's, with counts and means of its children. columns: of
    the table itself, in order. texts: whether its key is a text. rows: learned from.
    """

    fitted: Fitted | None
    above: tuple[str, ...]
    own: tuple[str, ...]
    columns: tuple[str, ...]
    texts: bool
    rows: int


@dataclass(frozen=True)
class FittedTables:
    """Draws all tables. tables: parents before their children. facts: plain data for whoever reads the model."""

    schema: Schema
    tables: Mapping[str, Linkage]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def sample(self, scale: float = 1.0, *, seed: int = 0) -> dict[str, pd.DataFrame]:
        """All tables, in the order learned: those without parents have `scale` times the rows learned from.

        Every key is there once, and every link names a row that is there. The same seed gives the same rows.
        Raises LinkError for a scale that leaves no row.
        """
        extended: dict[str, pd.DataFrame] = {}
        above: dict[str, pd.DataFrame] = {}
        made: dict[str, pd.DataFrame] = {}
        for place, (name, table) in enumerate(self.tables.items()):
            random, link = seeded(seed, place), self.schema.owner(name)
            keys: dict[str, pd.Series] = {}
            if link is None:
                if not scale > 0 or round(scale * table.rows) < 1:
                    raise LinkError(
                        f"a scale of {scale} leaves no row of {name!r}, which has {table.rows}. Ask for more."
                    )
                above[name] = pd.DataFrame(index=range(round(scale * table.rows)))
            else:
                counts = extended[link.parent][count_name(self.schema, link)].to_numpy()
                at = np.repeat(np.arange(len(counts)), counts)
                above[name] = beside(link, extended[link.parent], above[link.parent]).iloc[at].reset_index(drop=True)
                keys[link.column] = made[link.parent][self.schema.keys[link.parent]].iloc[at].reset_index(drop=True)
            drawn = _drawn(table, above[name], random)
            for other in self.schema.others(name):
                at = self._matched(other, table, drawn, extended[other.parent], random)
                keys[other.column] = made[other.parent][self.schema.keys[other.parent]].iloc[at].reset_index(drop=True)
            if name in self.schema.keys:
                number = np.arange(1, len(drawn) + 1)
                texts = pd.Series([f"{name} {each}" for each in number], dtype=object)
                keys[self.schema.keys[name]] = texts if table.texts else pd.Series(number)
            extended[name] = drawn[list(table.own)]
            made[name] = pd.DataFrame({each: keys[each] if each in keys else drawn[each] for each in table.columns})
        return made

    def save(self, folder: Path) -> None:
        """Writes it into an existing empty folder as plain data."""
        tables = []
        for place, (name, table) in enumerate(self.tables.items()):
            if table.fitted is not None:
                (folder / str(place)).mkdir()
                table.fitted.save(folder / str(place))
            told = {key: value for key, value in vars(table).items() if key != "fitted"}
            tables.append({"table": name, "learned": table.fitted is not None, **told})
        write_json(folder / CARD, {"schema": self.schema.to_json(), "tables": tables, "facts": dict(self.facts)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises SynthesizerStoreError where there is none."""
        path = Path(folder) / CARD
        if not path.is_file():
            raise SynthesizerStoreError(f"{folder} holds no {CARD}: it holds no linked tables, or was cut short.")
        told = json.loads(path.read_text(encoding="utf-8"))
        tables = {}
        for place, each in enumerate(told["tables"]):
            fitted = Fitted.load(Path(folder) / str(place)) if each["learned"] else None
            names = {key: tuple(each[key]) for key in ("above", "own", "columns")}
            tables[each["table"]] = Linkage(fitted, **names, texts=each["texts"], rows=each["rows"])
        return cls(Schema.from_json(told["schema"]), tables, told["facts"])

    def _matched(
        self, link: Link, table: Linkage, drawn: pd.DataFrame, parents: pd.DataFrame, random: np.random.Generator
    ) -> np.ndarray:
        """Which parent each child has by a link that does not own it: as many children as each was drawn to have, and
        parents like those that the children were drawn beside."""
        from scipy.optimize import linear_sum_assignment

        counts = parents[count_name(self.schema, link)].to_numpy()
        places = random.permutation(np.repeat(np.arange(len(counts)), counts))[: len(drawn)]
        if len(lacking := np.arange(len(drawn) - len(places))):
            chances = counts / counts.sum() if counts.sum() else None
            places = np.concatenate([places, random.choice(len(counts), len(lacking), p=chances)])
        names = [name for name in drawn.columns if str(name).startswith(f"{link.column}: ")]
        if table.fitted is None or not names:
            return places
        codecs = [table.fitted.table[str(name)] for name in names]
        wanted = np.stack([codec.encode(drawn[codec.name]) for codec in codecs], axis=1)
        plain = [str(name).removeprefix(f"{link.column}: ") for name in names]
        there = np.stack([each.encode(parents[name]) for each, name in zip(codecs, plain, strict=True)], axis=1)
        for begin in range(0, len(drawn), MATCHED):
            piece = slice(begin, begin + MATCHED)
            cost = np.zeros((len(places[piece]), len(places[piece])))
            for at, codec in enumerate(codecs):
                a, b = wanted[piece, at, None], there[places[piece], at][None]
                near = isinstance(codec, Numbers)
                cost += np.abs(a - b) / max(1, codec.card) if near else a.astype(int) != b.astype(int)
            places[piece] = places[piece][linear_sum_assignment(cost)[1]]
        return places


def count_name(schema: Schema, link: Link) -> str:
    """The column of a parent that tells how many children it has by a link."""
    return f"children by {schema.numbered[link] + 1}"


def mean_name(link: Link, column: str) -> str:
    """The column of a parent that tells its children's mean of a number."""
    return f"mean {link.child}.{column}"


def beside(link: Link, parents: pd.DataFrame, above: pd.DataFrame) -> pd.DataFrame:
    """What a child is learned and drawn beside: its parent with counts and means, and all before that."""
    return pd.concat([above, parents.add_prefix(f"{link.parent}.")], axis=1)


def _drawn(table: Linkage, above: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """A row for each of `above`: the columns beside it, given it."""
    if table.fitted is None:
        return pd.DataFrame(index=range(len(above)))
    core, codecs = table.fitted.core, table.fitted.table.codecs
    assert isinstance(core, Filling)
    places, known = np.zeros((len(above), len(codecs))), np.zeros((len(above), len(codecs)), dtype=bool)
    for at, codec in enumerate(codecs):
        if codec.name in table.above:
            places[:, at], known[:, at] = codec.encode(above[codec.name]), True
    pieces = [
        core.fill(places[begin : begin + BLOCK], known[begin : begin + BLOCK], {}, int(random.integers(2**62)))
        for begin in range(0, max(1, len(above)), BLOCK)
    ]
    return table.fitted.table.decode(table.fitted.layout.expand(np.concatenate(pieces)))
