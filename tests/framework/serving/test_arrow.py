"""Rows and answers as Arrow streams: the same as by JSON; and what must not be read is not."""

import datetime
import decimal
import struct
import tracemalloc
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.serving.arrow import MEDIA_TYPE, rows_of_stream, stream_of
from framework.serving.request import RequestError, Row
from tests.framework.serving.http_client import Client


def stream(table: Any, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def penguins(client: Client, count: int) -> list[Row]:
    models = client.ask("GET", "/api/v1/models")[1]["models"]
    row = next(model["example"] for model in models if model["name"] == "species")
    return [{**row, "bill_length_mm": None if place % 7 == 3 else 35.0 + place / 10} for place in range(count)]


def test_an_arrow_stream_is_answered_as_json_is_in_either_form(aviary: Client) -> None:
    rows = penguins(aviary, 300)
    expected = aviary.predict("species", rows)[1]
    body, path = stream(pa.Table.from_pylist(rows)), "/api/v1/predict/species"
    assert aviary.ask("POST", path, body, **{"content-type": MEDIA_TYPE}) == (200, expected)
    status, headers, answer = aviary.raw("POST", path, body, **{"content-type": MEDIA_TYPE, "accept": MEDIA_TYPE})
    assert (status, headers["content-type"]) == (200, MEDIA_TYPE)
    table = pa.ipc.open_stream(answer).read_all()
    assert table.column_names == ["prediction", "proba_Adelie", "proba_Chinstrap", "proba_Gentoo"]
    items = expected["predictions"]
    assert table["prediction"].to_pylist() == [item["prediction"] for item in items]
    assert table["proba_Gentoo"].to_pylist() == [item["probabilities"]["Gentoo"] for item in items]
    assert table.schema.metadata[b"model"] == b"species"
    assert orjson.loads(table.schema.metadata[b"warnings"]) == expected["warnings"]


def test_every_type_of_single_values_comes_as_python_has_it() -> None:
    texts = pa.array(["x", None, "y"])
    day = datetime.date(2026, 11, 22)
    table = pa.table(
        {
            "whole": pa.array([1, None, 3], pa.int8()),
            "real": pa.array([0.5, None, 2.0], pa.float32()),
            "yes": pa.array([True, False, None]),
            "text": texts,
            "coded": texts.dictionary_encode(),
            "day": pa.array([day, None, day]),
            "money": pa.array([decimal.Decimal("1.50"), None, None], pa.decimal128(8, 2)),
            "nothing": pa.nulls(3),
        }
    )
    whole = rows_of_stream(stream(table))
    assert whole == table.to_pylist()
    assert rows_of_stream(stream(pa.concat_tables([table.slice(2), table.slice(0, 2)]))) == [whole[2], *whole[:2]]


ENDLESS = stream(pa.table({"a": pa.nulls(10_001)})).replace(struct.pack("<q", 10_001), struct.pack("<q", 2**40))
BIG = pa.table({"a": ["x" * 1000] * 100})


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "no Arrow IPC stream"),
        (b"{}", 400, "no Arrow IPC stream"),
        (stream(BIG)[:-500], 400, "no Arrow IPC stream"),
        (stream(BIG, compression="zstd"), 415, "compressed"),
        (stream(BIG, compression="lz4"), 415, "compressed"),
        (stream(pa.table({"a": BIG["a"].combine_chunks().dictionary_encode()}), compression="zstd"), 415, "compressed"),
        (stream(pa.table({"a": [[1]]})), 400, "'a' is of type list"),
        (stream(pa.table({"a": [{"b": 1}]})), 400, "'a' is of type struct"),
        (stream(pa.table({"a": [b"x"]})), 400, "'a' is of type binary"),
        (stream(pa.table({"a": pa.array(["x"], pa.string_view())})), 400, "'a' is of type string_view"),
        (stream(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])), 400, "'a' is there twice"),
        (stream(pa.table({"a": pa.array([], pa.int8())})), 400, "no rows"),
        (stream(pa.table({"a": pa.nulls(10_001)})), 413, "10,001 rows"),
        (ENDLESS, 413, "1,099,511,627,776 rows"),
        (stream(pa.table({"a" * 2_000: [1]})), 413, "2,000 letters"),
        (stream(pa.concat_tables([pa.table({"a": [1]})] * 101)), 413, "more than 100 batches"),
    ],
)
def test_what_may_not_be_read_gets_a_sentence(body: bytes, status: int, said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        rows_of_stream(body)
    assert caught.value.status == status


def test_texts_outside_of_their_buffer_or_alphabet_are_refused() -> None:
    body = stream(pa.table({"a": ["abcdefgh"]}))
    for wrong in (
        body.replace(struct.pack("<II", 0, 8), struct.pack("<II", 0, 1 << 30)),
        body.replace(b"abcd", b"\xff" * 4),
    ):
        assert wrong != body
        with pytest.raises(RequestError, match="no Arrow IPC stream"):
            rows_of_stream(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        pa.array([2**60], pa.int64()).view(pa.timestamp("s")),
        pa.array([2**31 - 1], pa.int32()).view(pa.date32()),
        pa.array([0], pa.int64()).view(pa.timestamp("s", tz="Nowhere/Land")),
    ],
)
def test_dates_that_python_has_not_are_refused(wrong: Any) -> None:
    with pytest.raises(RequestError, match="column 'a' holds values that cannot be read") as caught:
        rows_of_stream(stream(pa.table({"a": wrong})))
    assert caught.value.status == 422


def test_a_dictionary_s_text_is_shared_by_its_rows_not_copied() -> None:
    text = "x" * 2**20
    indices = pa.array([0] * 10_000, pa.int16())
    body = stream(pa.table({"a": pa.DictionaryArray.from_arrays(indices, pa.array([text]))}))
    tracemalloc.start()
    rows = rows_of_stream(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(rows) == 10_000
    assert rows[0]["a"] == text
    assert peak < 20 * 2**20


GOOD = stream(
    pa.table(
        {
            "a": [1.5, None],
            "b": ["x", "yy"],
            "c": pa.array(["u", "v"]).dictionary_encode(),
            "d": [True, None],
            "e": pa.array([1_600_000_000, None], pa.timestamp("s", tz="Europe/Berlin")),
            "f": pa.array([20_000, 3], pa.int32()).view(pa.date32()),
        }
    )
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(GOOD)))
def test_no_damaged_stream_does_anything_but_parse_or_raise_a_request_error(
    changes: list[tuple[int, int]], length: int
) -> None:
    body = bytearray(GOOD)
    for place, value in changes:
        body[place] = value
    for whole in (bytes(body), bytes(body[:length])):
        try:
            rows = rows_of_stream(whole)
        except RequestError:
            continue
        assert rows


def test_an_answer_with_an_interval_has_both_its_ends() -> None:
    items = [{"prediction": 2.0, "prediction_low": 1.0, "prediction_high": 3.0}]
    body = stream_of({"model": "cars", "version": "3", "predictions": items, "warnings": ["late"]})
    assert pa.ipc.open_stream(body).read_all().to_pylist() == items
