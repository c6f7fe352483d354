"""What a command that makes linked tables was asked for, and what came of it."""

import html
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from framework.data.data_error import nearest
from framework.plain import WriteError
from synthetic.engines import engine
from synthetic.linked.fitted import FittedTables
from synthetic.linked.likeness import LinkLikeness
from synthetic.linked.schema import Link, LinkError, Schema
from synthetic.synthesizer import Synthesizer

FILLING = ("ar", "copula")


@dataclass(frozen=True)
class MadeTables:
    """rows: of each table. links: how alike the made tables are to the real ones in each of them."""

    folder: str
    rows: Mapping[str, int]
    links: Mapping[Link, LinkLikeness]

    def __str__(self) -> str:
        files = ", ".join(f"{name}.parquet ({rows:,} rows)" for name, rows in self.rows.items())
        told = [
            f"{link}: numbers of children {each.cardinality:.3f}, what they have of their parents "
            f"{each.correlation:.3f} (1 is as in the real tables); {each.valid:.0%} have their parent"
            for link, each in self.links.items()
        ]
        return "\n".join([f"{self.folder}: {files}", *told])

    def _repr_html_(self) -> str:
        told = {str(link): asdict(each) for link, each in self.links.items()}
        files = html.escape(", ".join(f"{name} ({rows:,} rows)" for name, rows in self.rows.items()))
        table: str = pd.DataFrame.from_dict(told, orient="index").round(3).to_html()
        return f"<p>linked tables: {files}</p>{table}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "folder": self.folder,
            "rows": dict(self.rows),
            "links": {str(link): asdict(each) for link, each in self.links.items()},
        }


def named(tables: Sequence[str]) -> dict[str, str]:
    """Tables as a command line has them: NAME=URI. Raises LinkError for one that is not, or a name twice."""
    told: dict[str, str] = {}
    for each in tables:
        name, mark, uri = (part.strip() for part in each.partition("="))
        if not mark or not name or not uri or "/" in name:
            raise LinkError(f"--tables {each!r} names no table. Write it as NAME=URI.")
        if name in told:
            raise LinkError(f"--tables has {name!r} twice. Every table has a name of its own.")
        told[name] = uri
    return told


def schema_from(keys: Sequence[str], links: Sequence[str]) -> Schema:
    """Keys as TABLE.COLUMN, links as CHILD.COLUMN=PARENT. Raises LinkError for what is none of these."""
    links_told = []
    for each in links:
        child, mark, parent = each.partition("=")
        if not mark or not parent.strip():
            raise LinkError(f"--links {each!r} is no link. Write it as CHILD.COLUMN=PARENT.")
        links_told.append(Link(*_column("--links", each, child), parent.strip()))
    return Schema(dict(_column("--keys", each, each) for each in keys), tuple(links_told))


def filling_engine(name: str) -> Synthesizer:
    """The engine of this name, where it can draw children given their parents. Raises LinkError, EngineError."""
    chosen = engine(name)
    if name not in FILLING:
        raise LinkError(f"the engine {name!r} cannot draw children given their parents. Take {' or '.join(FILLING)}.")
    return chosen


def without(tables: Mapping[str, pd.DataFrame], columns: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The tables without these columns, TABLE.COLUMN each. Raises LinkError for one that is not there."""
    told = dict(tables)
    for each in columns:
        name, column = _column("--without", each, each)
        if name not in told:
            raise LinkError(f"--without {each!r}: there is no table {name!r}. {nearest(name, told, what='tables')}")
        if column not in told[name].columns:
            hint = nearest(column, map(str, told[name].columns), what="columns")
            raise LinkError(f"--without {each!r}: table {name!r} has no column {column!r}. {hint}")
        told[name] = told[name].drop(columns=column)
    return told


def write_tables(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Writes each table as NAME.parquet, all of them or none. Raises WriteError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tables-", dir=folder) as beside:
            for name, table in tables.items():
                table.to_parquet(Path(beside) / f"{name}.parquet", index=False)
            for name in tables:
                (Path(beside) / f"{name}.parquet").replace(folder / f"{name}.parquet")
    except OSError as error:
        raise WriteError(f"{folder} cannot be written ({error.strerror or error}). Pass another --out.") from error


def keep_tables(fitted: FittedTables, folder: str | None) -> None:
    """Saves what was learned into a new folder, whole or not at all; nothing without one. Raises WriteError."""
    if not folder:
        return
    home = Path(folder)
    part = home.with_name(f".{home.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, mode=0o700)  # it tells of the rows that it learned from
        fitted.save(part)
        part.replace(home)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise WriteError(f"{folder} cannot be written ({error.strerror or error}). Pass another --save.") from error


def _column(flag: str, told: str, text: str) -> tuple[str, str]:
    table, dot, column = (part.strip() for part in text.partition("."))
    if not dot or not table or not column:
        raise LinkError(f"{flag} {told!r} names no column of a table. Write it as TABLE.COLUMN.")
    return table, column
