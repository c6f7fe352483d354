"""What is public of a table before any row is looked at: the values a column may have, or its range.

What a domain declares is not learned from the rows, and so tells nothing of them. As JSON, a column each:
`{"city": {"values": ["Bonn", "Köln"]}, "rent": {"least": 0, "most": 3000, "decimals": 0, "missing": true}}`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cluster.user_error import UserError
from framework.data.data_error import nearest
from synthetic.codec import LEVELS, MOST_DECIMALS, Categories, Codec, Numbers
from synthetic.columns import DAY

BINS = 16
MOST_BINS = 256
MOST_ATOMS = 32  # whole numbers in a range, up to which each is a token
HALF = 0.499  # beside a whole number, what is rounded to it
FIELDS = {"values", "least", "most", "decimals", "bins", "missing"}


class DomainError(UserError):
    """A domain that is none, or that rows do not keep to."""


@dataclass(frozen=True)
class Declared:
    """values: all that a column may have; or least and most: of numbers, or dates as texts (then to the day).

    decimals: numbers are rounded to; None: 0 for a column of whole numbers, none otherwise. bins: of equal width, that
    a range is told by. missing: whether values may be missing.
    """

    values: tuple[Any, ...] = ()
    least: float | str | None = None
    most: float | str | None = None
    decimals: int | None = None
    bins: int = BINS
    missing: bool = False


@dataclass(frozen=True)
class Domain:
    """Columns that are declared; the others are to be found, and paid for."""

    columns: Mapping[str, Declared] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | str) -> "Domain":
        """Raises DomainError for a file that is not there or no domain."""
        try:
            told = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise DomainError(f"--domain {path} cannot be read ({error.strerror or error}).") from error
        except ValueError as error:
            raise DomainError(f"--domain {path} is no JSON: {error}.") from error
        return cls.from_json(told)

    @classmethod
    def from_json(cls, told: Any) -> "Domain":
        """Raises DomainError naming the column whose declaration is none."""
        if not isinstance(told, dict):
            raise DomainError('a domain is a JSON object, column → {"values": [...]} or {"least": 0, "most": 9}.')
        return cls({str(name): _declared(str(name), each) for name, each in told.items()})

    def check_names(self, frame: pd.DataFrame) -> None:
        """Raises DomainError for a declared column that is not there."""
        for name in self.columns:
            if name not in frame.columns:
                hint = nearest(name, map(str, frame.columns), what="columns")
                raise DomainError(f"the domain declares column {name!r}, which the table does not have. {hint}")


def _declared(name: str, told: Any) -> Declared:
    if not isinstance(told, dict) or not set(told) <= FIELDS:
        raise DomainError(f"column {name!r} of the domain is {told!r}; it takes {', '.join(sorted(FIELDS))}.")
    made = Declared(**{**told, "values": tuple(told.get("values", ()))})
    ranged = made.least is not None and made.most is not None
    if bool(made.values) == ranged or (made.least is None) != (made.most is None):
        raise DomainError(f"column {name!r} of the domain needs either values, or least and most.")
    if len(set(map(repr, made.values))) < len(made.values):
        raise DomainError(f"column {name!r} of the domain lists a value twice.")
    if not isinstance(made.missing, bool):
        raise DomainError(f"column {name!r} of the domain: missing is {made.missing!r}; pass true or false.")
    if not isinstance(made.bins, int) or not 1 <= made.bins <= MOST_BINS:
        raise DomainError(f"column {name!r} of the domain asks for {made.bins!r} bins; 1 to {MOST_BINS} can be.")
    return made


def declared_codec(name: str, dtype: Any, declared: Declared) -> Codec:
    """The codec of a column by its type and what is declared of it alone. Raises DomainError where the two differ."""
    kind = "O" if isinstance(dtype, pd.CategoricalDtype) else str(getattr(dtype, "kind", "O"))
    if declared.missing and kind in "iub" and not isinstance(dtype, pd.api.extensions.ExtensionDtype):
        raise DomainError(f'column {name!r} holds {dtype}, which cannot be missing: declare it without "missing".')
    if declared.values:
        if kind in "iuf":
            try:
                atoms = np.sort(np.asarray(declared.values, dtype=np.float64))
            except (TypeError, ValueError):
                raise DomainError(f"column {name!r} holds numbers; the domain lists others for it.") from None
            return Numbers(name, str(dtype), atoms, np.empty((0, LEVELS + 1)), missing=declared.missing)
        if kind == "M":
            raise DomainError(f"column {name!r} holds dates: declare least and most for it.")
        if isinstance(dtype, pd.CategoricalDtype):
            kept = tuple(declared.values)
            return Categories(name, "category", kept, declared.missing, kept, bool(dtype.ordered))
        return Categories(name, str(dtype), tuple(declared.values), declared.missing)
    if kind not in "iufM":
        raise DomainError(f"column {name!r} holds {dtype} and no numbers or dates: declare its values.")
    least, most = _bounds(name, declared, dates=kind == "M")
    whole = kind in "iuM" or declared.decimals == 0
    if whole and most - least < MOST_ATOMS:
        atoms, edges = np.arange(np.ceil(least), np.floor(most) + 1), np.empty(0)
    else:
        atoms, edges = np.empty(0), np.linspace(least - HALF * whole, most + HALF * whole, declared.bins + 1)
    decimals = 0 if whole else (MOST_DECIMALS if declared.decimals is None else int(declared.decimals))
    unit = DAY if kind == "M" else 0
    return Numbers(name, str(dtype), atoms, grids(edges), decimals, declared.missing, unit)


def grids(edges: np.ndarray) -> np.ndarray:
    """Bins between these edges, as `Numbers` has them: values lie evenly in each."""
    lines = [np.linspace(*ends, LEVELS + 1) for ends in pairwise(edges)]
    return np.array(lines).reshape(-1, LEVELS + 1)


def check_rows(column: pd.Series, codec: Codec, declared: Declared) -> None:
    """Raises DomainError where a row has what is not declared: this refusal is for who holds the rows."""
    name = codec.name
    there = column.notna().to_numpy()
    if not there.all() and not declared.missing:
        raise DomainError(f'column {name!r} lacks {(~there).sum():,} values; declare it with "missing": true.')
    if isinstance(codec, Categories) or not codec.binned:
        if isinstance(codec, Categories):
            odd = there & ~codec.known(column)
        else:
            odd = there & ~np.isin(codec.numbers(column), codec.atoms)
        if odd.any():
            raise DomainError(
                f"column {name!r} has {plain_value(column[odd].iloc[0])!r} in {odd.sum():,} rows, which its "
                f"domain does not list. List it, or leave these rows out."
            )
        return
    numbers = codec.numbers(column)
    odd = there & ~((numbers >= codec.grids[0, 0]) & (numbers <= codec.grids[-1, -1]))
    if odd.any():
        raise DomainError(
            f"column {name!r} has {odd.sum():,} values beyond its declared range, {declared.least} to {declared.most}. "
            f"Declare it wider, or clip the values."
        )


def _bounds(name: str, declared: Declared, *, dates: bool) -> tuple[float, float]:
    ends = []
    for told in (declared.least, declared.most):
        try:
            ends.append(pd.Timestamp(told).value / DAY if dates else float(told))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise DomainError(
                f"column {name!r} of the domain: {told!r} is no {'date' if dates else 'number'}."
            ) from None
    if not np.isfinite(ends).all() or ends[0] >= ends[1]:
        raise DomainError(f"column {name!r} of the domain: least {declared.least} must be below most {declared.most}.")
    return ends[0], ends[1]


def plain_value(value: Any) -> Any:
    """A numpy scalar as Python's own."""
    return value.item() if isinstance(value, np.generic) else value
