"""H2O's best model, at home: a MOJO and the columns it takes."""

import json
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from framework.contenders import h2o_rows
from framework.contenders.mojo import Mojo
from framework.contenders.native import Native
from framework.contenders.probabilities import widen

ARCHIVE = "mojo.zip"
CARD = "h2o.json"
BOARD = "h2o_leaderboard.csv"  # for a person; the card holds the same


@dataclass(frozen=True)
class H2OModel:
    """Opens the JVM of this process when it is first asked. classes: 0 for values. board: H2O's own ranking by its
    cross-validation, best first; the first is the model."""

    native: Native
    archive: bytes = field(repr=False)
    classes: int
    board: tuple[dict[str, Any], ...] = field(repr=False)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Raises JavaMissingError where there is no Java."""
        told = self.mojo.score(self.inputs(X))
        if self.classes:
            return widen(told[:, 1:], np.array([h2o_rows.code(answer) for answer in self.mojo.answers]), self.classes)
        return told[:, 0]

    @property
    def mojo(self) -> Mojo:
        """The scorer. Raises JavaMissingError."""
        return self._mojo[0]

    def inputs(self, X: pd.DataFrame) -> np.ndarray:
        """Rows as the MOJO takes them, shape (rows, its inputs)."""
        _, places = self._mojo
        matrix = self.native.matrix(X)
        rows = np.empty((len(X), len(places)))
        for place, (column, codes) in enumerate(places):
            values = matrix[:, column]
            if codes is None:
                rows[:, place] = values
            else:
                gaps = np.isnan(values)
                rows[:, place] = codes[np.where(gaps, -1, values).astype(np.int64)]
        return rows

    @property
    def table(self) -> pd.DataFrame:
        """H2O's leaderboard."""
        return pd.DataFrame(list(self.board))

    @property
    def models(self) -> int:
        """How many it trained, stacks not counted."""
        return sum(row["algo"] != "StackedEnsemble" for row in self.board)

    @property
    def algorithms(self) -> list[str]:
        """Which it used."""
        return sorted({str(row["algo"]) for row in self.board})

    def save(self, folder: Path) -> None:
        self.native.save(folder)
        (folder / ARCHIVE).write_bytes(self.archive)
        card = {"classes": self.classes, "board": list(self.board)}
        (folder / CARD).write_text(json.dumps(card), encoding="utf-8")
        self.table.to_csv(folder / BOARD, index=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """No JVM is started: a server that never asks this model needs no Java."""
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        try:
            with zipfile.ZipFile(folder / ARCHIVE) as archive:
                damaged = archive.testzip()
        except zipfile.BadZipFile as error:
            raise ValueError(f"{folder / ARCHIVE} is cut short: {error}") from error
        if damaged is not None:
            raise ValueError(f"{folder / ARCHIVE} is damaged at {damaged}")
        return cls(Native.load(folder), (folder / ARCHIVE).read_bytes(), card["classes"], tuple(card["board"]))

    @cached_property
    def _mojo(self) -> tuple[Mojo, list[tuple[int, np.ndarray | None]]]:
        """The scorer; for each of its inputs the matrix's column and, for labels, our code → its code.

        The last place of that array answers for code -1, a gap, and unseen categories have no other.
        """
        mojo = Mojo.open(self.archive)
        mine = {name: column for column, name in enumerate(h2o_rows.names(self.native))}
        places: list[tuple[int, np.ndarray | None]] = []
        for name, domain in zip(mojo.names, mojo.domains, strict=True):
            places.append((mine[name], None if domain is None else self._translated(mine[name], domain)))
        return mojo, places

    def _translated(self, column: int, domain: tuple[str, ...]) -> np.ndarray:
        known = {h2o_rows.code(told): place for place, told in enumerate(domain)}
        wide = [schema for schema, width in self.native.widths for _ in range(width)]
        return np.array([known.get(code, np.nan) for code in range(len(wide[column].categories))] + [np.nan])
