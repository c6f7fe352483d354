"""Synthetic rows as bytes, piece by piece: JSON lines, CSV or one Arrow stream."""

import io
from typing import Any, Protocol

import pandas as pd

from synthetic.arrow_schema import arrow_of, schema_of
from synthetic.table import TableCodec

DIGITS = 15  # of a number in JSON


class Writing(Protocol):
    """One answer's rows, in their order. media_type: of HTTP."""

    media_type: str

    def piece(self, rows: pd.DataFrame) -> bytes: ...

    def end(self) -> bytes:
        """What follows the last piece."""
        ...


class JsonLines:
    """An object a line; dates as ISO 8601 has them, null for what is missing."""

    media_type = "application/x-ndjson"

    def __init__(self, table: TableCodec) -> None: ...

    def piece(self, rows: pd.DataFrame) -> bytes:
        told = rows.to_json(orient="records", lines=True, date_format="iso", double_precision=DIGITS, force_ascii=False)
        return told.encode() if len(rows) else b""

    def end(self) -> bytes:
        return b""


class Csv:
    """A line of names, then a line a row; nothing between two commas is missing."""

    media_type = "text/csv; charset=utf-8"

    def __init__(self, table: TableCodec) -> None:
        self._begun = False

    def piece(self, rows: pd.DataFrame) -> bytes:
        begun, self._begun = self._begun, True
        return rows.to_csv(index=False, header=not begun, lineterminator="\n").encode()

    def end(self) -> bytes:
        return b""


class Arrow:
    """One IPC stream, the same schema whichever rows are drawn."""

    media_type = "application/vnd.apache.arrow.stream"

    def __init__(self, table: TableCodec) -> None:
        import pyarrow as pa

        self._schema = schema_of(table)
        self._sink = _Sink()
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._sink, mode="w"), self._schema)

    def piece(self, rows: pd.DataFrame) -> bytes:
        self._writer.write_table(arrow_of(rows, self._schema))
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._sink.take()


FORMATS: dict[str, type[JsonLines] | type[Csv] | type[Arrow]] = {"jsonl": JsonLines, "csv": Csv, "arrow": Arrow}


class _Sink(io.RawIOBase):
    """What a writer has written since it was last taken."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[bytes] = []
        self._written = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._written

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._held.append(part)
        self._written += len(part)
        return len(part)

    def take(self) -> bytes:
        held, self._held = b"".join(self._held), []
        return held
