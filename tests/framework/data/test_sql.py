"""Rows from SQL: a real PostgreSQL, a real SQLite file, and never a password in what is printed."""

import datetime
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from framework.data.load import load
from framework.data.source import DataError, open_table, read
from framework.data.sql import without_password
from tests.postgres import PASSWORD, postgres


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    with postgres() as url:
        with psycopg.connect(url) as connection:
            connection.execute(
                "CREATE TABLE tenants AS SELECT n AS id, 100.5::numeric + n AS rent, n % 3 = 0 AS late, "
                "DATE '2024-01-01' + n AS since, CASE n % 2 WHEN 0 THEN 'flat' ELSE 'house' END AS kind, "
                "CASE WHEN n % 5 > 0 THEN n * 1.5::float8 END AS score, '{}'::jsonb AS extra "
                "FROM generate_series(1, 200) AS n"
            )
        yield url


COLUMNS = "id, rent, late, since, kind, score"


@pytest.mark.parametrize("encoded", [True, False])
def test_a_query_on_postgres_is_a_table(database: str, encoded: bool) -> None:
    query = f"SELECT {COLUMNS} FROM tenants WHERE kind LIKE '%at%' AND id & 1 = 0 ORDER BY id"
    found = read(f"{database}?query={quote(query) if encoded else query}&application_name=test")
    assert len(found) == 100
    assert found["since"].iloc[0] == datetime.date(2024, 1, 3)


def test_a_table_of_postgres_becomes_a_split(database: str) -> None:
    split = load(f"{database}?query=SELECT {COLUMNS} FROM tenants", target="late")
    kinds = {column.name: column.kind for column in split.schema.columns}
    assert kinds == {"rent": "number", "since": "date", "kind": "category", "score": "number"}
    assert split.schema.classes == (False, True)
    assert PASSWORD not in repr(split)
    assert "tester:***@127.0.0.1" in split.source


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("SELECT * FROM tenant", 'query fails .* relation "tenant" does not exist'),
        ("SELEC 1", "syntax error"),
        ("SELECT * FROM tenants", "column 'extra' .* nested"),
        ("SELECT id FROM tenants WHERE id < 0", "no row"),
        ("DROP TABLE tenants", "read-only transaction"),
        ("", "has no query"),
    ],
)
def test_a_query_that_fails_is_told_without_the_password(database: str, query: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as told:
        read(f"{database}?query={query}")
    assert PASSWORD not in str(told.value)


def test_a_server_that_refuses_is_told_without_the_password(database: str) -> None:
    wrong = database.replace(PASSWORD, "wr0ng%20word")
    for url in (wrong, "postgresql://me:wr0ng%20word@127.0.0.1:9/db", "postgresql://me:wr0ng word@127.0.0.1:9x/db"):
        with pytest.raises(DataError, match="cannot be reached") as told:
            open_table(f"{url}?query=SELECT 1&connect_timeout=3")
        assert "wr0ng" not in str(told.value)


def test_passwords_are_never_printed() -> None:
    assert without_password("postgresql://me:pw@host:5/db") == "postgresql://me:***@host:5/db"
    assert without_password("postgresql://me:p@w@host/db") == "postgresql://me:***@host/db"
    assert "pw" not in without_password("postgresql://host/db?user=me&password=pw&sslmode=disable")


def test_a_query_on_sqlite_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (n INTEGER, what TEXT)")
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(1, "a"), (2, None)])
    connection.close()
    assert read(f"sqlite:///{path}?query=SELECT n, n AS n, what FROM orders")["n.1"].tolist() == [1, 2]
    with pytest.raises(DataError, match="no such table: order"):
        read(f"sqlite:///{path}?query=SELECT * FROM order_s")
    with pytest.raises(DataError, match="readonly"):
        read(f"sqlite:///{path}?query=DELETE FROM orders")
    with pytest.raises(DataError, match=r"Did you mean 'shop\.db'"):
        read(f"sqlite:///{tmp_path}/shp.db?query=SELECT 1")
