"""Which columns are drawn by themselves, which as one, and which are computed from others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from synthetic.codec import Codec, Numbers
from synthetic.condition_error import ConditionError
from synthetic.constraints import Constraint, ConstraintError, FixedCombinations, OneHot, Sum, called
from synthetic.table import TableCodec

MOST_COMBINATIONS = 2_000


@dataclass(frozen=True)
class Part:
    """One thing that is drawn: a column, or several of which only these combinations of tokens are known.

    at: the columns' places in the table. combinations: tokens, shape (many, columns); None for a single column.
    """

    at: tuple[int, ...]
    card: int
    combinations: np.ndarray | None = None


@dataclass(frozen=True)
class Layout:
    """The parts of a table, in their order, and the sums that are computed from them."""

    columns: int
    parts: tuple[Part, ...]
    sums: tuple[Sum, ...] = ()

    @classmethod
    def learn(cls, table: TableCodec, places: np.ndarray, constraints: tuple[Constraint, ...]) -> "Layout":
        """Raises ConstraintError where a column hangs on two constraints that both draw it, or has too many values."""
        sums = tuple(each for each in constraints if isinstance(each, Sum))
        joints = tuple(each for each in constraints if isinstance(each, FixedCombinations | OneHot))
        computed = {table.names.index(each.total) for each in sums}
        taken: dict[int, Constraint] = {table.names.index(each.total): each for each in sums}
        parts: dict[int, Part] = {}
        for joint in joints:
            at = tuple(table.names.index(name) for name in joint.columns)
            for place in at:
                if place in taken:
                    raise ConstraintError(
                        f"column {table.names[place]!r} is drawn by {called(taken[place])} and by {called(joint)}. "
                        f"Put these columns into one constraint."
                    )
                codec = table.codecs[place]
                if isinstance(codec, Numbers) and codec.binned:
                    raise ConstraintError(
                        f"{called(joint)} names column {codec.name!r}, which has too many distinct numbers to be drawn "
                        f"as one with others. Leave it out of the constraint."
                    )
                taken[place] = joint
            found = np.unique(places[:, at].astype(np.int64), axis=0)
            if len(found) > MOST_COMBINATIONS:
                raise ConstraintError(
                    f"{called(joint)} has {len(found):,} combinations; at most {MOST_COMBINATIONS:,} can be learned."
                )
            parts[at[0]] = Part(at, len(found), found)
        for place, codec in enumerate(table.codecs):
            if place not in taken and place not in computed:
                parts[place] = Part((place,), max(1, codec.card))
        return cls(len(table.codecs), tuple(parts[place] for place in sorted(parts)), sums)

    @property
    def cards(self) -> np.ndarray:
        """How many tokens each part has, shape (parts,)."""
        return np.array([part.card for part in self.parts])

    def single(self, part: int, table: TableCodec) -> Codec | None:
        """The codec of a part that is one column."""
        found = self.parts[part]
        return table.codecs[found.at[0]] if found.combinations is None else None

    def reduce(self, places: np.ndarray) -> np.ndarray:
        """Places of the parts, shape (rows, parts), from those of the columns; nan for a combination never seen."""
        reduced = []
        for part in self.parts:
            if part.combinations is None:
                reduced.append(places[:, part.at[0]])
                continue
            asked = pd.MultiIndex.from_arrays(list(places[:, part.at].astype(np.int64).T))
            codes = pd.MultiIndex.from_arrays(list(part.combinations.T)).get_indexer(asked)
            reduced.append(np.where(codes < 0, np.nan, codes + 0.5))
        return np.stack(reduced, axis=1)

    def expand(self, reduced: np.ndarray) -> np.ndarray:
        """Places of the columns from those of the parts; of a column that is computed, 0."""
        places = np.zeros((len(reduced), self.columns))
        for at, part in enumerate(self.parts):
            if part.combinations is None:
                places[:, part.at[0]] = reduced[:, at]
            else:
                places[:, part.at] = part.combinations[reduced[:, at].astype(np.int64)] + 0.5
        return places

    def finish(self, frame: pd.DataFrame, table: TableCodec) -> pd.DataFrame:
        """The table with its sums computed."""
        for each in self.sums:
            codec = table[each.total]
            assert isinstance(codec, Numbers)
            frame[each.total] = codec.column(each.of(frame))
        return frame

    def allowed(self, asked: Mapping[int, tuple[int, Any]], table: TableCodec) -> dict[int, np.ndarray]:
        """Part → which of its tokens meet conditions on columns (place → token and value), shape (1, card), bool.

        Raises ConditionError where a combination was never seen, or the column is computed.
        """
        computed = {table.names.index(each.total): each for each in self.sums}
        for place in asked:
            if place in computed:
                parts = ", ".join(computed[place].parts)
                raise ConditionError(
                    f"column {table.names[place]!r} is computed from {parts}. Put the condition on one of them."
                )
        allowed: dict[int, np.ndarray] = {}
        for at, part in enumerate(self.parts):
            meant = [place for place in part.at if place in asked]
            if not meant:
                continue
            if part.combinations is None:
                allowed[at] = np.arange(part.card)[None] == asked[meant[0]][0]
                continue
            fits = np.ones(len(part.combinations), dtype=bool)
            for place in meant:
                fits &= part.combinations[:, part.at.index(place)] == asked[place][0]
            if not fits.any():
                told = " and ".join(f"{table.names[place]}={asked[place][1]}" for place in meant)
                names = ", ".join(table.names[place] for place in part.at)
                raise ConditionError(f"{told} never stood together, and the combinations of {names} are fixed.")
            allowed[at] = fits[None]
        return allowed

    def to_json(self) -> dict[str, Any]:
        parts = [
            {"at": list(part.at), "card": part.card,
             "combinations": None if part.combinations is None else part.combinations.tolist()}
            for part in self.parts
        ]  # fmt: skip
        return {"columns": self.columns, "parts": parts}

    @classmethod
    def from_json(cls, told: dict[str, Any], constraints: tuple[Constraint, ...]) -> "Layout":
        parts = tuple(
            Part(tuple(p["at"]), p["card"], None if p["combinations"] is None else np.asarray(p["combinations"]))
            for p in told["parts"]
        )
        return cls(told["columns"], parts, tuple(each for each in constraints if isinstance(each, Sum)))
