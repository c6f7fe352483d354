"""What a command that makes series came to, and the series as one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from framework.plain import WriteError
from synthetic.series.likeness import SeriesLikeness


@dataclass(frozen=True)
class MadeSeries:
    """alike: to the series learned from; real: of one half of these to the other, None where they are few."""

    path: str
    series: int
    rows: int
    alike: SeriesLikeness
    real: SeriesLikeness | None

    def __str__(self) -> str:
        beside = "" if self.real is None else f"\none half of the real series to the other: {self.real}"
        return (
            f"{self.path}: {self.series:,} series, {self.rows:,} rows\nmade series to real ones: {self.alike}{beside}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        told = {"alike": vars(self.alike), "real": None if self.real is None else vars(self.real)}
        return {"path": self.path, "series": self.series, "rows": self.rows, **told}


def write_series(rows: pd.DataFrame, path: Path) -> None:
    """Writes series to a Parquet file, whole or not at all. Raises WriteError."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(part, index=False)
        part.replace(path)
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror or error}). Pass another --out folder.") from error
    finally:
        if path.parent.is_dir():
            part.unlink(missing_ok=True)
