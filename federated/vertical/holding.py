"""What one party has: its columns of the properties it knows, and what it lets others do with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pandas as pd

from federated.policy import USUAL, Policy
from federated.vertical.plan import VerticalError
from framework.contenders.native import Native
from framework.contenders.net_rows import NetRows
from framework.contenders.target import Target
from framework.data.frame import Fold, join, take_rows
from framework.data.schema import Schema

Parties = Mapping[str, Sequence[str]]  # party → its columns


@dataclass(frozen=True)
class Holding:
    """ids: of the properties, texts, one for each row of X. X: conformed to `schema`, which has no classes.

    seed: a secret of the party's: its first weights follow from it, and whoever knows those can read its columns off
    its first embeddings. In a simulation it follows from the fit's seed.
    """

    name: str
    ids: tuple[str, ...] = field(repr=False)
    X: pd.DataFrame = field(repr=False)
    schema: Schema
    policy: Policy = USUAL
    seed: int = field(default=0, repr=False)

    @property
    def encoder(self) -> NetRows:
        """Rows → inputs of the party's net."""
        return NetRows(Native(self.schema), Target(), 0)

    def only(self, names: Sequence[str]) -> Self:
        """The same with these columns alone."""
        columns = {column.name: column for column in self.schema.columns}
        return replace(self, X=self.X[list(names)], schema=Schema(tuple(columns[name] for name in names)))


@dataclass(frozen=True)
class Answers:
    """What the target's owner alone knows of its rows: y, class codes or values, and weight, both shape (rows,); which
    rows are to learn from and which to stop by, places in them."""

    y: np.ndarray = field(repr=False)
    weight: np.ndarray | None = field(repr=False)
    learn: np.ndarray = field(repr=False)
    stop: np.ndarray = field(repr=False)


def deal_columns(
    fold: Fold,
    parties: Parties,
    *,
    owner: str,
    ignored: Sequence[str] = (),
    policy: Policy = USUAL,
    seed: int = 0,
) -> tuple[Holding, Answers, list[Holding]]:
    """A simulation's parties: the target's owner with the columns that no party has, its answers, and the parties.

    The ids are the fold's groups where it has any, else the numbers of its rows. A party has the rows in which one of
    its columns has a value, in an order of its own. Texts are left out: their words would be learned of all rows.
    Raises VerticalError naming the column or the party that is wrong.
    """
    if fold.shards is not None:
        raise VerticalError("the rows lie in files of all parties together; a simulation takes a table in memory.")
    usable = {column.name: column for column in fold.schema.columns if column.kind != "text"}
    named = _checked(parties, fold.schema.names, set(usable), owner, ignored)
    every = join([fold.train, fold.valid]) if len(fold.valid) else fold.train
    grouped = every.group if parties else None
    ids = [str(each) for each in (range(len(every)) if grouped is None else grouped)]
    if twice := len(ids) - len(set(ids)):
        raise VerticalError(f"{twice} row(s) have the id {fold.problem.group!r} of another; each needs its own.")
    rest = [name for name in usable if name not in named and name not in ignored]
    if not rest:
        raise VerticalError(f"no column is left to {owner!r}, who has the target. Leave it at least one.")
    learn, stop = np.arange(len(fold.train)), np.arange(len(fold.train), len(every))
    answers = Answers(every.y, every.weight, learn, stop)
    held: list[Holding] = []
    everything = Holding(owner, tuple(ids), every.X, fold.schema, policy, seed)
    for place, (name, columns) in enumerate(parties.items()):
        whole = replace(everything.only(columns), name=name)
        known = np.flatnonzero(~absent(whole.encoder.inputs(whole.X)))
        rows = np.random.default_rng([seed, place]).permutation(known)
        held.append(replace(whole, ids=tuple(ids[row] for row in rows), X=take_rows(whole.X, rows)))
    return everything.only(rest), answers, held


def absent(inputs: np.ndarray) -> np.ndarray:
    """Of which rows a party knows nothing, shape (rows,). inputs: as its net takes them, nan for no value."""
    return np.asarray(np.isnan(inputs).all(axis=1))


def parties_of(written: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """NAME=COLUMN,COLUMN as a command line has it → party → columns. Raises VerticalError for anything else."""
    found: dict[str, tuple[str, ...]] = {}
    for text in written:
        name, _, listed = text.partition("=")
        columns = tuple(column.strip() for column in listed.split(",") if column.strip())
        if not name.strip() or not columns or name.strip() in found:
            raise VerticalError(f"--party {text!r} is no party of its own. Write NAME=COLUMN,COLUMN, each name once.")
        found[name.strip()] = columns
    if not found:
        raise VerticalError("no party beside the target's owner was named. Pass --party NAME=COLUMN,COLUMN.")
    return found


def _checked(
    parties: Parties, columns: Sequence[str], usable: set[str], owner: str, ignored: Sequence[str]
) -> set[str]:
    """All columns that parties have."""
    whose: dict[str, str] = {}
    for party, named in parties.items():
        if party == owner:
            raise VerticalError(f"party {party!r} has the name of the target's owner. Give it another.")
        if not named:
            raise VerticalError(f"party {party!r} has no columns. Name one, or leave it out.")
        for column in named:
            if column not in columns:
                raise VerticalError(
                    f"column {column!r} of party {party!r} is no feature of the data. Features: {', '.join(columns)}."
                )
            if column not in usable:
                raise VerticalError(f"column {column!r} of party {party!r} is a text, which no party tells of.")
            if column in whose or column in ignored:
                other = f"party {whose[column]!r} has it too" if column in whose else "it is ignored"
                raise VerticalError(f"column {column!r} of party {party!r}: {other}. Give it to one.")
            whose[column] = party
    return set(whose)
