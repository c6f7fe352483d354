"""One column as places on a line and back: categories, numbers, dates; a missing value is a place of its own.

A place is a float64: its whole part the token (a category, a frequent value, a bin of a number; the last one: missing),
its fraction where in the token's range the value lies.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from framework.data.data_error import nearest
from synthetic.condition_error import ConditionError

LEVELS = 4  # straight pieces that the values within a bin are drawn from
ATOM_SHARE = 0.01  # of the rows, from which a value of a number is a token of its own
FEW_VALUES = 100  # distinct values of a number, up to which each of them is a token
ROWS_A_VALUE = 5  # on average, for that
ROWS_A_BIN = 20
MOST_BINS = 80
EXTREMES = 3  # values whose mean ends the line on either side: no row's own extreme is told
MOST_DECIMALS = 6
COARSEST = 3  # thousands


@dataclass(frozen=True)
class Categories:
    """A column of few distinct values: texts, truth values, or numbers that a Categorical holds.

    values: those that were seen, a token each. dtype: the column's, by pandas' name; levels, ordered: a Categorical's.
    """

    name: str
    dtype: str
    values: tuple[Any, ...]
    missing: bool = False
    levels: tuple[Any, ...] = ()
    ordered: bool = False
    ranked = False  # whether tokens follow one another as values do

    @property
    def card(self) -> int:
        return len(self.values) + self.missing

    @cached_property
    def _index(self) -> pd.Index:
        return pd.Index(np.array([*self.values, None], dtype=object)[:-1], dtype=object)

    def encode(self, column: pd.Series) -> np.ndarray:
        """Places, shape (rows,); an unknown value counts as missing where there are such, else as the first."""
        codes = self._index.get_indexer(pd.Index(plain(column).astype(object), dtype=object))
        return np.where(codes < 0, len(self.values) if self.missing else 0, codes) + 0.5

    def known(self, column: pd.Series) -> np.ndarray:
        """Which values are there and were seen, shape (rows,), bool."""
        return np.asarray(self._index.get_indexer(pd.Index(plain(column).astype(object), dtype=object)) >= 0)

    def decode(self, places: np.ndarray) -> pd.Series:
        held = np.array([*self.values, None], dtype=object)
        values = held[np.minimum(places.astype(np.int64), len(self.values))]
        if self.dtype == "category":
            return pd.Series(pd.Categorical(values, categories=list(self.levels), ordered=self.ordered), name=self.name)
        if self.dtype == "object":
            return pd.Series(values, name=self.name, dtype=object)
        return as_type(pd.Series(values, name=self.name, dtype=object), self.dtype)

    def read(self, asked: Any) -> tuple[int, Any]:
        """The token of a value that is asked for, and the value; texts are taken as a command line has them.

        Raises ConditionError for one that was never seen.
        """
        if asked is None or (isinstance(asked, float) and np.isnan(asked)):
            return _missing(self, len(self.values))
        for token, value in enumerate(self.values):
            if value == asked or str(value) == str(asked):
                return token, value
        hint = nearest(str(asked), map(str, self.values), what="values")
        raise ConditionError(f"column {self.name!r} never had the value {asked!r} in the rows learned from. {hint}")

    def to_json(self) -> dict[str, Any]:
        kept = {"values": list(self.values), "levels": list(self.levels)}
        return {"kind": "categories", "name": self.name, "dtype": self.dtype, "missing": self.missing,
                "ordered": self.ordered, **kept}  # fmt: skip


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: frequent values are tokens of their own, the others lie in bins between quantiles.

    atoms: shape (a,), rising. grids: shape (bins, LEVELS + 1), rising: values at equal shares of a bin's rows.
    decimals: that all values are rounded to; negative: tens, hundreds. unit: nanoseconds of one, where these are dates.
    written: how dates are read, where they were texts; shown: how they are written again, by strftime.
    """

    name: str
    dtype: str
    atoms: np.ndarray = field(repr=False)
    grids: np.ndarray = field(repr=False)
    decimals: int = MOST_DECIMALS
    missing: bool = False
    unit: int = 0
    written: str = ""
    shown: str = ""
    ranked = True

    @property
    def card(self) -> int:
        return len(self.atoms) + len(self.grids) + self.missing

    @property
    def binned(self) -> bool:
        """Whether a token may stand for many values."""
        return len(self.grids) > 0

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """The token of each atom and of each bin: in the order of their values."""
        middles = np.concatenate([self.atoms, self.grids[:, LEVELS // 2]])
        rank = np.argsort(np.argsort(middles, kind="stable"), kind="stable")
        return rank[: len(self.atoms)], rank[len(self.atoms) :]

    def numbers(self, column: pd.Series) -> np.ndarray:
        """Its values as float64, shape (rows,); dates in their unit; nan where one is missing."""
        values = plain(column)
        if self.unit:
            return dates_as_numbers(values, self.unit, self.written)
        if values.dtype.kind == "O":
            return np.asarray(pd.to_numeric(pd.Series(values), errors="coerce"), dtype=np.float64)
        return np.asarray(values, dtype=np.float64)

    def encode(self, column: pd.Series) -> np.ndarray:
        """Places, shape (rows,)."""
        return self.place(self.numbers(column))

    def known(self, column: pd.Series) -> np.ndarray:
        """Which values are there, shape (rows,), bool."""
        return np.asarray(~np.isnan(self.numbers(column)))

    def place(self, values: np.ndarray) -> np.ndarray:
        """Places of numbers, shape (rows,); beyond the learned range the nearest; nan: missing where there are such."""
        of_atom, of_bin = self._order
        places = np.full(len(values), self.card - 0.5)
        there = ~np.isnan(values)
        v = values[there]
        found = np.zeros(len(v))
        free = np.ones(len(v), dtype=bool)
        if len(self.atoms):
            near = np.clip(np.searchsorted(self.atoms, v), 0, len(self.atoms) - 1)
            before = np.maximum(near - 1, 0)
            near = np.where(np.abs(self.atoms[before] - v) < np.abs(self.atoms[near] - v), before, near)
            free = (self.atoms[near] != v) & self.binned
            found = of_atom[near] + 0.5
        if self.binned:
            which = np.searchsorted(self.grids[1:, 0], v, side="right")
            grid = self.grids[which]
            piece = (v[:, None] >= grid[:, 1:LEVELS]).sum(axis=1)
            row = np.arange(len(v))
            low, high = grid[row, piece], grid[row, piece + 1]
            wide = high > low
            part = np.where(wide, (v - low) / np.where(wide, high - low, 1.0), 0.5)
            inside = (piece + np.clip(part, 0, 1)) / LEVELS
            found = np.where(free, of_bin[which] + np.clip(inside, 0, 1 - 1e-9), found)
        places[there] = found
        return places

    def values_at(self, places: np.ndarray) -> np.ndarray:
        """The numbers at places, rounded as the learned ones were; nan where missing."""
        token = places.astype(np.int64)
        of_atom, of_bin = self._order
        values = np.full(len(places), np.nan)
        tokens = len(self.atoms) + len(self.grids)
        source = np.zeros(max(tokens, 1), dtype=np.int64)  # token → atom, or bin counted from a
        source[of_atom], source[of_bin] = np.arange(len(self.atoms)), len(self.atoms) + np.arange(len(self.grids))
        there = token < tokens
        found = source[token[there]]
        taken = np.empty(len(found))
        atom = found < len(self.atoms)
        taken[atom] = self.atoms[found[atom]]
        if self.binned:
            grid = self.grids[found[~atom] - len(self.atoms)]
            scaled = (places[there][~atom] - token[there][~atom]) * LEVELS
            piece = np.minimum(scaled.astype(np.int64), LEVELS - 1)
            row = np.arange(len(grid))
            low, high = grid[row, piece], grid[row, piece + 1]
            taken[~atom] = low + (scaled - piece) * (high - low)
        values[there] = np.round(taken, self.decimals) if self.decimals < MOST_DECIMALS else taken
        return values

    def decode(self, places: np.ndarray) -> pd.Series:
        return self.column(self.values_at(places))

    def column(self, values: np.ndarray) -> pd.Series:
        """Numbers, shape (rows,), as a column of its own type."""
        if self.unit:
            nanoseconds = np.where(np.isnan(values), 0, values) * self.unit
            dates = pd.Series(nanoseconds.round().astype(np.int64).astype("datetime64[ns]"), name=self.name)
            dates = dates.mask(np.isnan(values))
            if self.shown:
                texts = dates.dt.strftime(self.shown)
                objects = texts.astype(object).to_numpy(copy=True)
                objects[np.isnan(values)] = None
                return pd.Series(objects, name=self.name, dtype=object)
            if "," in self.dtype:
                return as_type(dates.dt.tz_localize("UTC"), self.dtype)
            return as_type(dates, self.dtype)
        if self.dtype.startswith("timedelta"):
            return pd.Series(pd.to_timedelta(values, unit="s"), name=self.name)
        series = pd.Series(values, name=self.name)
        if self.dtype.lower().startswith(("int", "uint")):
            series = series.round()
        return series if self.dtype == "float64" else as_type(series, self.dtype)

    def read(self, asked: Any) -> tuple[int, Any]:
        """The token of a value that is asked for, and the number. Raises ConditionError where none lies there."""
        if asked is None or (isinstance(asked, float) and np.isnan(asked)):
            return _missing(self, self.card - 1)
        try:
            value = float(
                self.numbers(pd.Series([pd.Timestamp(asked) if self.unit and not self.written else asked]))[0]
            )
        except (ValueError, TypeError):
            value = float("nan")
        if np.isnan(value):
            what = "a date" if self.unit else "a number"
            raise ConditionError(f"column {self.name!r} takes {what}; {asked!r} is none.")
        ends = [*self.atoms[:1], *self.atoms[-1:], *self.grids[:1, 0], *self.grids[-1:, LEVELS]]
        seen = bool(len(self.atoms)) and value in self.atoms
        if not ends or not (seen or (self.binned and min(ends) <= value <= max(ends))):
            shown = self.column(np.round([min(ends), max(ends)], self.decimals)).tolist() if ends else []
            told = f"They lie between {shown[0]} and {shown[1]}." if ends else "All of them are missing."
            raise ConditionError(f"column {self.name!r} never had the value {asked!r} in the rows learned from. {told}")
        return int(self.place(np.array([value]))[0]), value

    def to_json(self) -> dict[str, Any]:
        return {"kind": "numbers", "name": self.name, "dtype": self.dtype, "atoms": self.atoms.tolist(),
                "grids": self.grids.tolist(), "decimals": self.decimals, "missing": self.missing,
                "unit": self.unit, "written": self.written, "shown": self.shown}  # fmt: skip


Codec = Categories | Numbers


def learn_numbers(
    name: str, dtype: str, values: np.ndarray, *, unit: int = 0, written: str = "", shown: str = ""
) -> Numbers:
    """The codec of numbers, float64, shape (rows,), nan where missing."""
    there = values[~np.isnan(values)]
    found, counts = np.unique(there, return_counts=True)
    few = len(found) <= FEW_VALUES and (ROWS_A_VALUE * len(found) <= len(there) or len(found) <= 2)
    often = np.ones(len(found), dtype=bool) if few else counts >= max(ROWS_A_VALUE, ATOM_SHARE * len(there))
    rest = there[~np.isin(there, found[often])]
    grids = np.empty((0, LEVELS + 1))
    if len(rest):
        bins = int(np.clip(len(rest) // ROWS_A_BIN, 1, MOST_BINS))
        line = np.quantile(rest, np.linspace(0, 1, LEVELS * bins + 1))
        ends = np.sort(rest)
        line[0], line[-1] = ends[:EXTREMES].mean(), ends[-EXTREMES:].mean()
        line = np.maximum.accumulate(np.clip(line, line[0], line[-1]))
        grids = np.stack([line[LEVELS * each : LEVELS * each + LEVELS + 1] for each in range(bins)])
        grids = grids[(grids[:, -1] > grids[:, 0]) | (np.arange(bins) == 0)]
    missing = len(there) < len(values)
    return Numbers(name, dtype, found[often], grids, _decimals(found), missing, unit, written, shown)


def dates_as_numbers(values: np.ndarray, unit: int, written: str) -> np.ndarray:
    """Dates in units of so many nanoseconds since 1970, float64; nan where one is missing."""
    if values.dtype.kind != "M":
        form: Any = {"format": written} if written else {}
        parsed = pd.to_datetime(pd.Series(values, dtype=object), errors="coerce", utc=True, **form)
        values = parsed.dt.tz_localize(None).to_numpy()
    nanoseconds = values.astype("datetime64[ns]").astype(np.int64)
    return np.where(np.isnat(values), np.nan, nanoseconds / unit)


def codec_from_json(told: dict[str, Any]) -> Codec:
    """The codec that `to_json` told."""
    facts = dict(told)
    if facts.pop("kind") == "categories":
        return Categories(**{**facts, "values": tuple(facts["values"]), "levels": tuple(facts["levels"])})
    grids = np.asarray(facts["grids"], dtype=np.float64).reshape(-1, LEVELS + 1)
    return Numbers(**{**facts, "atoms": np.asarray(facts["atoms"], dtype=np.float64), "grids": grids})


def as_type(column: pd.Series, dtype: Any) -> pd.Series:
    """The column as pandas' dtype of this name."""
    made: pd.Series = column.astype(dtype)
    return made


def _decimals(values: np.ndarray) -> int:
    """To how many all values are rounded; MOST_DECIMALS where to none."""
    if not len(values):
        return 0
    return next(
        (d for d in range(-COARSEST, MOST_DECIMALS) if np.array_equal(np.round(values, d), values)), MOST_DECIMALS
    )


def _missing(codec: Codec, token: int) -> tuple[int, None]:
    if not codec.missing:
        raise ConditionError(f"column {codec.name!r} was never missing in the rows learned from.")
    return token, None
