"""Rows in and answers out as an Arrow IPC stream: no text on the way, and every language writes it."""

from typing import Any

import orjson
import pyarrow as pa

from framework.serving.arrow_messages import check_messages
from framework.serving.request import MOST_ROWS, RequestError, Row, check_names, reason
from framework.serving.served import Answer, flat

MEDIA_TYPE = "application/vnd.apache.arrow.stream"


def rows_of_stream(body: bytes, *, most: int = MOST_ROWS) -> list[Row]:
    """The rows of a stream with columns of numbers, booleans, texts, dates and dictionaries of texts.

    Raises RequestError for what is no such stream. Whatever comes, no more memory is taken than some times its bytes:
    a compressed buffer, or a nested or a view column, might stand for any number of them, and is refused.
    """
    try:
        check_messages(body)
        with pa.ipc.open_stream(body) as reader:
            check_names(reader.schema.names)
            _check_types(reader.schema)
            table = reader.read_all()
        if table.num_rows <= most:
            table.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"the body is no Arrow IPC stream: {error}. Write one with pyarrow.ipc.new_stream."
        ) from None
    if not table.num_rows:
        raise RequestError("the stream holds no rows. Send at least one.")
    if table.num_rows > most:
        raise RequestError(
            f"{table.num_rows:,} rows in one request; at most {most:,} are taken. Split them.", status=413
        )
    if not table.num_columns:
        raise RequestError("the stream has no columns.")
    columns = [_values(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]
    return [dict(zip(table.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


def stream_of(answer: Answer) -> bytes:
    """An answer as a stream: columns `prediction`, and `proba_<class>` or the ends of the interval; the model, its
    version and the warnings are in the schema's metadata."""
    known = {"model": answer["model"], "version": answer["version"] or "", "warnings": orjson.dumps(answer["warnings"])}
    table = pa.table(flat(answer["predictions"])).replace_schema_metadata(known)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _check_types(schema: Any) -> None:
    """Raises RequestError for a column name that comes twice, or a column that holds no single values."""
    if len(set(schema.names)) < len(schema.names):
        twice = next(name for name in schema.names if schema.names.count(name) > 1)
        raise RequestError(f"column {twice!r} is there twice; every column has a name of its own.")
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if not any(is_kind(kind) for is_kind in _KINDS):
            raise RequestError(
                f"column {field.name!r} is of type {str(field.type)[:100]}; numbers, booleans, texts, dates and "
                "dictionaries of texts are taken."
            )


_KINDS = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_date,
    pa.types.is_timestamp,
)


def _values(name: str, column: Any) -> list[Any]:
    """A column's values; rows that share a dictionary's entry share its text. Raises RequestError for dates beyond
    Python's, or in a time zone that there is not."""
    values: list[Any] = []
    try:
        for chunk in column.chunks:
            if pa.types.is_dictionary(chunk.type):
                used = chunk.indices.unique().drop_null()
                entries = dict(zip(used.to_pylist(), chunk.dictionary.take(used).to_pylist(), strict=True))
                values += [entries.get(place) for place in chunk.indices.to_pylist()]
            else:
                values += chunk.to_pylist()
    except (pa.ArrowException, ValueError, OverflowError, LookupError, OSError) as error:
        raise RequestError(f"column {name!r} holds values that cannot be read: {reason(error)}.", status=422) from error
    return values
