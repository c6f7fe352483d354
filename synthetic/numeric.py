"""A column of numbers or dates as places: frequent values are tokens of their own, the others lie in bins."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from framework.data.arrays import plain
from synthetic.condition_error import ConditionError
from synthetic.typed import array_of, as_type, dates_as_numbers, missing_token

LEVELS = 4  # straight pieces that the values within a bin are drawn from, at least
MOST_DECIMALS = 6


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: frequent values are tokens of their own, the others lie in bins between quantiles.

    atoms: shape (a,), rising. grids: shape (bins, levels + 1), rising: values at equal shares of a bin's rows.
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

    @property
    def levels(self) -> int:
        """Straight pieces of a bin."""
        return int(self.grids.shape[1]) - 1

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """The token of each atom and of each bin: in the order of their values."""
        middles = np.concatenate([self.atoms, self.grids[:, self.levels // 2]])
        rank = np.argsort(np.argsort(middles, kind="stable"), kind="stable")
        return rank[: len(self.atoms)], rank[len(self.atoms) :]

    @cached_property
    def _source(self) -> np.ndarray:
        """Token → atom, or bin counted from the last atom on."""
        return np.argsort(np.concatenate(self._order))

    @cached_property
    def _pieces(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each straight piece of all bins begins and ends, shape (bins · levels,), rising: one bin begins where
        the one before it ends."""
        return self.grids[:, :-1].ravel(), self.grids[:, 1:].ravel()

    @cached_property
    def _each(self) -> Any:
        """Every token's value, where each has one alone."""
        return array_of(self.column(self.values_at(np.arange(max(1, self.card)) + 0.5)))

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
            begins, ends = self._pieces
            at = np.searchsorted(begins[1:], v, side="right")
            which, piece = np.divmod(at, self.levels)
            low, high = begins[at], ends[at]
            wide = high > low
            part = np.where(wide, (v - low) / np.where(wide, high - low, 1.0), 0.5)
            inside = (piece + np.clip(part, 0, 1)) / self.levels
            found = np.where(free, of_bin[which] + np.clip(inside, 0, 1 - 1e-9), found)
        places[there] = found
        return places

    def values_at(self, places: np.ndarray) -> np.ndarray:
        """The numbers at places, rounded as the learned ones were; nan where missing."""
        token = places.astype(np.int64)
        values = np.full(len(places), np.nan)
        there = token < len(self.atoms) + len(self.grids)
        found = self._source[token[there]]
        taken = np.empty(len(found))
        atom = found < len(self.atoms)
        taken[atom] = self.atoms[found[atom]]
        if self.binned:
            begins, ends = self._pieces
            scaled = (places[there][~atom] - token[there][~atom]) * self.levels
            piece = np.minimum(scaled.astype(np.int64), self.levels - 1)
            at = (found[~atom] - len(self.atoms)) * self.levels + piece
            low = begins[at]
            taken[~atom] = low + (scaled - piece) * (ends[at] - low)
        values[there] = np.round(taken, self.decimals) if self.decimals < MOST_DECIMALS else taken
        return values

    def array(self, places: np.ndarray) -> Any:
        """The values at places, shape (rows,), as an array of the column's own type."""
        if not self.binned:
            return self._each.take(places.astype(np.int64))
        values = self.values_at(places)
        if self.dtype.startswith(("int", "uint")) and not (self.unit or np.isnan(values).any()):
            return values.round().astype(self.dtype)
        return values if self.dtype == "float64" and not self.unit else array_of(self.column(values))

    def decode(self, places: np.ndarray) -> pd.Series:
        return pd.Series(self.array(places), name=self.name, copy=False)

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
            return missing_token(self.name, self.missing, self.card - 1)
        try:
            value = float(
                self.numbers(pd.Series([pd.Timestamp(asked) if self.unit and not self.written else asked]))[0]
            )
        except (ValueError, TypeError):
            value = float("nan")
        if np.isnan(value):
            what = "a date" if self.unit else "a number"
            raise ConditionError(f"column {self.name!r} takes {what}; {asked!r} is none.")
        ends = [*self.atoms[:1], *self.atoms[-1:], *self.grids[:1, 0], *self.grids[-1:, self.levels]]
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
