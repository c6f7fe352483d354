"""What a command that makes series came to, and the series as one file."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.plain import WriteError, write_json
from synthetic.arrow_schema import arrow_of
from synthetic.manifest import Manifest
from synthetic.series.fitted import BLOCK, FittedSequences
from synthetic.series.likeness import SeriesLikeness
from synthetic.sharded import digest


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


def write_series(
    fitted: FittedSequences, path: Path, *, count: int, steps: int | None = None, seed: int = 0
) -> Manifest:
    """Writes series to a Parquet file and, beside it, `NAME.manifest.json`; whole, or not at all. A block of them is
    held in memory, however many there are: each hangs on the seed and its number alone.

    Raises what `FittedSequences.sample` does; WriteError.
    """
    import pyarrow.parquet as pq

    blocks, schema = fitted.pieces(count, steps=steps, seed=seed), fitted.schema()
    part = path.with_name(path.name + ".part")
    told: list[dict[str, Any]] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = None
        try:
            for number, frame in enumerate(blocks):
                table = arrow_of(frame, schema)
                writer = writer or pq.ParquetWriter(part, table.schema)
                writer.write_table(table)
                told.append({"shard": number, "rows": len(frame), "copies_dropped": 0, "sha256": digest(frame)})
        finally:
            if writer is not None:
                writer.close()
        part.replace(path)
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror or error}). Pass another --out folder.") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    rows = sum(int(each["rows"]) for each in told)
    manifest = Manifest(path.name, rows, seed, BLOCK, 0, {}, tuple(told), fitted.facts)
    write_json(path.with_suffix(".manifest.json"), manifest.to_json())
    return manifest
