"""Rows in Parquet files that are too many for one process: each worker reads its own part of them, in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from framework.data.answer_key import AnswerKey
from framework.data.arrays import plain, present
from framework.data.column import Column
from framework.data.cut import TRAIN, VALID, Cut, group_keys
from framework.data.frame import Frame, Truth
from framework.data.parquet import batches, column, opened, split_keys
from framework.data.schema import Schema
from framework.problem import Problem, ProblemError

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Piece:
    """One row group of a file. first: the place of its first row among all rows of all files.

    usable: how many of its rows have an answer, by part: to learn from, to choose by, to test on.
    """

    path: str
    row_group: int
    first: int
    usable: tuple[int, int, int]


@dataclass(frozen=True)
class Shards:
    """All rows of some parts of a split, in files. Small itself: it travels to workers as a list of row groups.

    Read by each worker with pyarrow, not by Ray Data: a rank's own row groups came ten times cheaper than
    `get_dataset_shard`, and no CPU has to be left for its tasks.
    system: a pyarrow filesystem that every worker reaches. names: column → its name in the files. numbers: what they
    are read as.
    """

    pieces: tuple[Piece, ...] = field(repr=False)
    system: Any = field(repr=False)
    problem: Problem
    schema: Schema = field(repr=False)
    key: AnswerKey = field(repr=False)
    cut: Cut
    names: dict[str, str] = field(repr=False)
    parts: tuple[int, ...] = (TRAIN,)
    numbers: type[np.floating[Any]] = np.float64

    def __len__(self) -> int:
        return self._total

    def pooled(self) -> "Shards":
        """The rows to learn from and to choose by, together."""
        return replace(self, parts=(TRAIN, VALID))

    def single(self) -> "Shards":
        """The same rows with numbers as float32, in blocks of which all columns are numbers: engines keep no more."""
        return replace(self, numbers=np.float32)

    def blocks(self, part: int = 0, parts: int = 1, *, rows: int = 65_536) -> Iterator[Frame]:
        """As `Rows` has it: conformed to the schema, answers as `load` makes them, categories it does not know missing.

        Raises DataError when a file is gone or damaged, SchemaError for a value that is not of its column's kind.
        """
        begin, end = len(self) * part // parts, len(self) * (part + 1) // parts
        upto = 0
        wanted: list[tuple[Piece, int, int]] = []  # a piece, and which of its usable rows
        for piece, held in zip(self.pieces, self._held, strict=True):
            low, high = max(begin - upto, 0), min(end - upto, held)
            if low < high:
                wanted.append((piece, low, high))
            upto += held
        for path, run in groupby(wanted, key=lambda item: item[0].path):
            yield from self._read(path, list(run), rows)

    def frame(self, batch: "pa.RecordBatch | pa.Table") -> Frame:
        """Raw rows, all with an answer, as models take them."""
        raw = self.raw(batch)
        return self._framed(self.schema.conform(raw, strict=False)[0], raw)

    def raw(self, batch: "pa.RecordBatch | pa.Table") -> pd.DataFrame:
        """The same as pandas has it, under our names."""
        raw: pd.DataFrame = batch.to_pandas(date_as_object=False, ignore_metadata=True)
        return raw.set_axis([self._ours[name] for name in raw.columns], axis=1)

    @property
    def needed(self) -> list[str]:
        """The columns to read, as the files name them."""
        special = (self.problem.target, self.problem.group, self.problem.weight)
        ours = dict.fromkeys([*self.schema.names, *(name for name in special if name)])
        return [self.names[name] for name in ours]

    def _read(self, path: str, run: list[tuple[Piece, int, int]], rows: int) -> Iterator[Frame]:
        with opened(self.system, path) as file:
            for piece, low, high in run:
                place, seen = piece.first, 0
                for batch in batches(file, piece.row_group, self.needed, rows=rows):
                    usable = present(plain(column(batch, self.names, str(self.problem.target))))
                    keys = split_keys(batch, self.names, place, self.problem.group)
                    usable &= np.isin(self.cut.parts(keys), self.parts)
                    chosen = np.flatnonzero(usable)
                    upto = seen + len(chosen)
                    chosen = chosen[max(low - seen, 0) : max(min(high, upto) - seen, 0)]
                    place, seen = place + batch.num_rows, upto
                    if len(chosen):
                        yield self._taken(batch, chosen)
                    if seen >= high:
                        break

    def _taken(self, batch: "pa.RecordBatch", rows: np.ndarray) -> Frame:
        """These rows of a batch, an index array; out of Arrow's memory into one block where all columns are numbers."""
        columns = [(told, batch.column(self.names[told.name])) for told in self.schema.columns]
        if not all(_numeric(told, values) for told, values in columns):
            return self.frame(batch if len(rows) == batch.num_rows else batch.take(rows))
        block = np.empty((len(rows), len(columns)), dtype=self.numbers)
        with np.errstate(over="ignore", invalid="ignore"):
            for place, (_, values) in enumerate(columns):
                block[:, place] = values.to_numpy(zero_copy_only=False)[rows]
            settled = bool(np.isfinite(block.sum()))
        if not settled and np.isinf(block).any():
            return self.frame(batch.take(rows))  # raises with the column and the row
        special = (self.problem.target, self.problem.group, self.problem.weight)
        raw = {name: column(batch, self.names, name).iloc[rows] for name in special if name}
        return self._framed(pd.DataFrame(block, columns=list(self.schema.names), copy=False), raw)

    def _framed(self, X: pd.DataFrame, raw: pd.DataFrame | dict[str, pd.Series]) -> Frame:
        """raw: the columns that are no features, by our names."""
        target, group, weight = self.problem.target, self.problem.group, self.problem.weight
        truth = Truth(
            y=self.key.read(raw[str(target)]),
            weight=_weights(raw[weight]) if weight else None,
            group=group_keys(raw[group]).view(np.int64) if group else None,
            features=len(self.schema.columns),
            classes=len(self.schema.classes),
        )
        return Frame(X, truth, truth.group)

    @cached_property
    def _held(self) -> list[int]:
        return [sum(piece.usable[part] for part in self.parts) for piece in self.pieces]

    @cached_property
    def _total(self) -> int:
        return sum(self._held)

    @cached_property
    def _ours(self) -> dict[str, str]:
        return {theirs: ours for ours, theirs in self.names.items()}


def _numeric(told: Column, values: "pa.Array") -> bool:
    """Whether values of this column are in memory as the numbers that they are to be."""
    import pyarrow as pa

    if told.kind == "boolean":
        return bool(pa.types.is_boolean(values.type)) and not values.null_count
    return told.kind == "number" and bool(pa.types.is_floating(values.type) or pa.types.is_integer(values.type))


def _weights(column: pd.Series) -> np.ndarray:
    """A block of a weight column as float64, shape (rows,); one without a value raises ProblemError."""
    numbers: np.ndarray = Column(str(column.name), "number", missing=True).take(plain(column), [])
    with np.errstate(invalid="ignore"):
        odd = ~(numbers >= 0)
    if odd.any():
        shown = numbers[int(odd.argmax())]
        raise ProblemError(f"weight column {column.name!r} holds {shown:g}; a weight is a finite number ≥ 0.")
    return numbers
