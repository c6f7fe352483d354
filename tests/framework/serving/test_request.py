"""A body is rows, or a sentence that says why not."""

import asyncio
import re
import tracemalloc
from collections.abc import AsyncIterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.serving.request import MOST_BYTES, RequestError, parse_rows, read_body, table


@pytest.mark.parametrize("body", [b'{"a":1,"b":"x"}', b'[{"a":1,"b":"x"}]', b'{"rows":[{"b":"x","a":1}]}'])
def test_one_row_a_list_and_an_object_of_rows_are_the_same(body: bytes) -> None:
    assert parse_rows(body) == [{"a": 1, "b": "x"}]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": Infinity}', "not JSON"),
        (b'{"a": 1e999}', "infinity"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "the list of rows is empty"),
        (b'{"rows": []}', "the list of rows is empty"),
        (b"3", "a number"),
        (b'"text"', "a text"),
        (b"null", "null"),
        (b"[1]", "row 1 is a number"),
        (b'[{"a": 1}, "x"]', "row 2 is a text"),
        (b'[{"a": 1}, {"a": 1, "b": 2}]', "row 2 has 'b', row 1 has not"),
        (b'[{"a": 1, "b": 2}, {"a": 1}]', "row 1 has 'b', row 2 has not"),
        (b'{"a": [1, 2]}', "column 'a' of row 1 holds a list"),
        (b'{"a": {"b": {}}}', "column 'a' of row 1 holds an object"),
    ],
)
def test_what_is_no_rows_gets_a_sentence(body: bytes, said: str) -> None:
    with pytest.raises(RequestError, match=re.escape(said)) as caught:
        parse_rows(body)
    assert 400 <= caught.value.status < 500


def test_more_rows_than_fit_one_request_are_refused() -> None:
    with pytest.raises(RequestError, match="10,001 rows") as caught:
        parse_rows(orjson.dumps([{"a": 1}] * 10_001))
    assert caught.value.status == 413


@given(st.binary(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(orjson.dumps))
def test_no_body_does_anything_but_parse_or_raise_a_request_error(body: bytes) -> None:
    try:
        rows = parse_rows(body)
    except RequestError:
        return
    assert rows
    assert all(isinstance(row, dict) for row in rows)
    assert len(table(rows)) == len(rows)


def test_a_table_has_the_values_as_they_came() -> None:
    frame = table([{"a": 1, "b": None}, {"b": "x", "a": True}])
    assert frame.to_dict("list") == {"a": [1, True], "b": [None, "x"]}


async def chunks(count: int, taken: list[int]) -> AsyncIterator[bytes]:
    for place in range(count):
        taken.append(place)
        yield b" " * 2**20


def test_a_declared_length_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    taken: list[int] = []
    with pytest.raises(RequestError, match="52,428,800 bytes") as caught:
        asyncio.run(read_body(chunks(50, taken), declared=str(50 * 2**20)))
    assert caught.value.status == 413
    assert taken == []


def test_a_body_that_turns_out_too_long_is_left_where_the_limit_is() -> None:
    taken: list[int] = []
    tracemalloc.start()
    with pytest.raises(RequestError):
        asyncio.run(read_body(chunks(50, taken), declared=None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(taken) == MOST_BYTES // 2**20 + 1
    assert peak < 3 * MOST_BYTES
