"""Rows from a SQL query: PostgreSQL and SQLite."""

import re
import sqlite3
from pathlib import Path
from urllib.parse import quote, unquote, unquote_plus, urlsplit

import pandas as pd

from framework.data.data_error import DataError, nearest

_CONNECT_SECONDS = 10
_PARAMETER = re.compile(r"&(?=[A-Za-z_]+=)")
_SECRET = re.compile(r"(?i)\b(password|sslpassword|passfile)=[^&\s]*")


def read_sql(url: str) -> tuple[pd.DataFrame, str]:
    """The rows that the URL's `query` answers, and the URL without its password.

    `postgresql://user:password@host:port/db?query=SELECT …&sslmode=…` (other parameters go to libpq) and
    `sqlite:///file.db?query=…` (four slashes: an absolute path). The query may be URL-encoded or plain.
    The database is opened for reading only.
    Raises DataError when it cannot be reached or the query fails; never with the password in it.
    """
    address, query, parameters = _parts(url)
    name = f"{without_password(address)}?query={query}" if query else without_password(address)
    if not query:
        raise DataError(f"{name} has no query. Append ?query=SELECT … FROM …")
    if address.startswith("sqlite"):
        return _sqlite(address, query), name
    return _postgres(address, query, parameters), name


def without_password(url: str) -> str:
    """The URL as it may be printed."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    login, at, host = authority.rpartition("@")
    user, colon, _ = login.partition(":")
    return _SECRET.sub(r"\1=***", f"{scheme}://{user}{':***' if colon else ''}{at}{host}{slash}{path}")


def _parts(url: str) -> tuple[str, str, list[str]]:
    """The address, the query, and the other parameters as they stand. A query with a blank in it is plain text."""
    address, _, rest = url.partition("?")
    query, others = "", []
    for parameter in _PARAMETER.split(rest) if rest else []:
        key, _, value = parameter.partition("=")
        if key == "query":
            query = value if re.search(r"\s", value) else unquote_plus(value)
        else:
            others.append(parameter)
    return address, query.strip().rstrip(";"), others


def _sqlite(address: str, query: str) -> pd.DataFrame:
    path = Path(unquote(address.removeprefix("sqlite:///"))).expanduser()
    if not path.is_file():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no SQLite file {path}. {nearest(path.name, names, what='files there')}")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise DataError(f"SQLite file {path} cannot be opened: {error}.") from error
    try:
        cursor = connection.execute(query)
        if cursor.description is None:
            raise DataError(f"the query answers no rows: {query[:80]!r}. Pass a SELECT.")
        return pd.DataFrame(cursor.fetchall(), columns=[column[0] for column in cursor.description])
    except sqlite3.Error as error:
        raise DataError(f"the query fails on {path}: {error}. The query was {query[:80]!r}.") from error
    finally:
        connection.close()


def _postgres(address: str, query: str, parameters: list[str]) -> pd.DataFrame:
    import psycopg

    shown = without_password(address)
    if not any(parameter.startswith("connect_timeout=") for parameter in parameters):
        parameters = [*parameters, f"connect_timeout={_CONNECT_SECONDS}"]
    url = f"postgresql://{address.partition('://')[2]}?{'&'.join(parameters)}"
    try:
        connection = psycopg.connect(url)
    except (psycopg.Error, ValueError) as error:
        raise DataError(f"{shown} cannot be reached: {_told(error, address)}") from error
    with connection:
        connection.read_only = True
        try:
            cursor = connection.execute(query.encode())
            if cursor.description is None:
                raise DataError(f"the query answers no rows: {query[:80]!r}. Pass a SELECT.")
            names = [column.name for column in cursor.description]
            return pd.DataFrame(cursor.fetchall(), columns=names)
        except psycopg.Error as error:
            raise DataError(f"the query fails on {shown}: {_told(error, address)} It was {query[:80]!r}.") from error


def _told(error: Exception, address: str) -> str:
    """The database's own first line, without the password should it be in there."""
    line = str(error).strip().split("\n")[0].rstrip(".")
    try:
        password = urlsplit(address).password
    except ValueError:
        password = None
    for secret in filter(None, (password, unquote(password or ""))):
        line = line.replace(secret, "***")
    return _SECRET.sub(r"\1=***", line) + "."
