"""Synthetic rows over HTTP: the same seed, the same rows; conditions hold; mistakes are 4xx with a sentence."""

import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from framework.serving.access import Token, digest
from framework.serving.app import Application
from framework.serving.data import Data
from synthetic.service.asked import MOST_BYTES
from synthetic.service.buffer import PIECE, SMALL, Buffer
from synthetic.service.service import SEED, Service
from synthetic.sharded import shard
from tests.framework.serving.http_client import Client, listen
from tests.synthetic.tables import fitted, penguins

PATH = "/api/v1/data/synthetic"
KINDS = {"jsonl": "application/x-ndjson", "csv": "text/csv", "arrow": "application/vnd.apache.arrow.stream"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two engines that have learned the penguins, saved."""
    home = tmp_path_factory.mktemp("synthesizers")
    for name in ("ar", "copula"):
        (home / name).mkdir()
        fitted(name).save(home / name)
    return {name: str(home / name) for name in ("ar", "copula")}


def configuration(models: dict[str, str], **options: Any) -> dict[str, Any]:
    make = {"make": "synthetic.service.service:Service", "options": {"models": models, "buffered": 400, **options}}
    return {"models": {}, "data": {"synthetic": make}}


@pytest.fixture(scope="module")
def client(folders: dict[str, str]) -> Iterator[Client]:
    found, server = listen(configuration({"penguins": folders["ar"]}, most_rows=5_000))
    yield found
    server.should_exit = True


def rows_of(client: Client, **asked: Any) -> pd.DataFrame:
    status, _, body = client.raw("POST", PATH, {"format": "jsonl", **asked})
    assert status == 200, body
    return pd.DataFrame([json.loads(line) for line in body.decode().splitlines()])


def test_as_many_rows_come_as_were_asked_for(client: Client) -> None:
    for rows in (1, 7, 399, 400, 2_345):
        assert len(rows_of(client, n=rows)) == rows
    assert list(rows_of(client, n=1).columns) == list(penguins().columns)


def test_the_same_seed_gives_the_same_rows_and_those_of_the_library(client: Client) -> None:
    first = client.raw("POST", PATH, {"n": 1_500, "seed": 7})
    assert first[2] == client.raw("POST", PATH, {"n": 1_500, "seed": 7})[2]
    assert first[2] != client.raw("POST", PATH, {"n": 1_500, "seed": 8})[2]
    assert first[1][SEED] == "7"
    _, _, body = client.raw("POST", PATH, {"n": 1_500, "seed": 7, "format": "arrow"})
    drawn = [shard(fitted("ar"), number, rows, seed=7, conditions={})[0] for number, rows in ((0, 1_000), (1, 500))]
    with pa.ipc.open_stream(body) as reader:
        pd.testing.assert_frame_equal(reader.read_pandas(), pd.concat(drawn, ignore_index=True), check_dtype=False)


def test_rows_without_a_seed_are_others_each_time_and_a_drawn_answer_tells_its_seed(client: Client) -> None:
    assert not rows_of(client, n=100).equals(rows_of(client, n=100))
    status, heads, body = client.raw("POST", PATH, {"n": 5, "conditions": {"species": "Gentoo"}})
    assert status == 200
    again = {"n": 5, "conditions": {"species": "Gentoo"}, "seed": int(heads[SEED])}
    assert client.raw("POST", PATH, again)[2] == body


def test_conditions_hold_in_every_row(client: Client) -> None:
    rows = rows_of(client, n=1_200, conditions={"species": "Adelie", "heavy": True, "sex": None}, seed=1)
    assert rows["species"].eq("Adelie").all()
    assert rows["heavy"].all()
    assert rows["sex"].isna().all()


@pytest.mark.parametrize("form", KINDS)
def test_every_format_says_the_same_rows(client: Client, form: str) -> None:
    status, heads, body = client.raw("POST", PATH, {"n": 1_100, "seed": 3, "format": form})
    assert status == 200
    assert heads["content-type"].startswith(KINDS[form])
    if form == "arrow":
        with pa.ipc.open_stream(body) as reader:
            rows = reader.read_pandas()
        assert str(rows["island"].dtype) == "category"
    else:
        rows = pd.read_csv(io.BytesIO(body)) if form == "csv" else rows_of(client, n=1_100, seed=3)
    expected = shard(fitted("ar"), 0, 1_000, seed=3, conditions={})[0]
    assert len(rows) == 1_100
    assert rows["species"].head(1_000).tolist() == expected["species"].tolist()
    for name in ("bill_length_mm", "body_mass_g"):
        pd.testing.assert_series_equal(rows[name].head(1_000).astype(float), expected[name].astype(float))
    assert pd.to_datetime(rows["seen"]).head(1_000).tolist() == expected["seen"].tolist()
    assert rows["wings"].isna().all()


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"{broken", 400, "the body is not JSON"),
        (b"[]", 400, "the body is no object"),
        ({}, 400, "n is missing; it takes a whole number from 1 on"),
        ({"n": 0}, 400, "n is 0; it takes a whole number"),
        ({"n": 1.5}, 400, "n is 1.5"),
        ({"n": True}, 400, "n is True"),
        ({"n": 5_001}, 413, "n is 5,001; at most 5,000 rows are made for one request"),
        ({"n": 1, "rows": 2}, 400, "the body holds 'rows', which is none of n, conditions"),
        ({"n": 1, "format": "xml"}, 400, "format is 'xml'; there are: jsonl, csv, arrow"),
        ({"n": 1, "seed": -1}, 400, "seed is -1; it takes a whole number from 0"),
        ({"n": 1, "seed": 2**60}, 400, "it takes a whole number from 0 to 9007199254740991"),
        ({"n": 1, "conditions": ["species"]}, 400, "it takes an object of column: value"),
        ({"n": 1, "conditions": {"species": ["Adelie"]}}, 400, "a value is a single one"),
        ({"n": 1, "conditions": {"kind": "Adelie"}}, 422, "a condition names column 'kind'"),
        ({"n": 1, "conditions": {"species": "Emperor"}}, 422, "column 'species' never had the value 'Emperor'"),
        ({"n": 1, "conditions": {"body_mass_g": 1e9}}, 422, "'body_mass_g' never had the value"),
        ({"n": 1, "conditions": {str(at): 1 for at in range(101)}}, 413, "101 conditions; at most 100"),
        ({"n": 1, "conditions": {"species": "x" * 1_001}}, 413, "has more than 1,000 letters"),
        ({"n": 1, "model": "voles"}, 404, "no synthesizer 'voles' is served here"),
        (b" " * (MOST_BYTES + 1), 413, "65,536 bytes are taken"),
    ],
)
def test_a_mistake_is_a_sentence_under_its_status(client: Client, body: Any, status: int, told: str) -> None:
    found, content = client.ask("POST", PATH, body)
    assert (found, told in content["error"]) == (status, True), content


def test_what_may_be_asked_is_told_and_described(client: Client) -> None:
    status, told = client.ask("GET", PATH)
    assert status == 200
    model = told["models"]["penguins"]
    assert (model["engine"], model["rows"]) == ("ar", 344)
    species = next(column for column in model["columns"] if column["name"] == "species")
    assert species["values"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert told["limits"]["rows"] == 5_000
    _, document = client.ask("GET", "/openapi.json")
    operation = document["paths"][PATH]["post"]
    asked = operation["requestBody"]["content"]["application/json"]["schema"]
    assert asked["properties"]["n"]["maximum"] == 5_000
    assert set(asked["properties"]["conditions"]["properties"]) == set(penguins().columns)
    assert {"200", "400", "403", "413", "422"} <= set(operation["responses"])
    assert client.ask("GET", "/healthz")[1]["data"] == ["synthetic"]


def test_a_token_and_its_role_are_asked_for(folders: dict[str, str]) -> None:
    tokens = [Token(role, digest(role.encode()), frozenset({role})).to_json() for role in ("predict", "read", "train")]
    client, server = listen({**configuration({"penguins": folders["copula"]}), "tokens": tokens})
    assert client.ask("POST", PATH, {"n": 1})[0] == 401
    for role, drawn, looked in (("predict", 200, 200), ("read", 403, 200), ("train", 403, 403)):
        bearer = {"Authorization": f"Bearer {role}"}
        assert client.raw("POST", PATH, {"n": 1}, **bearer)[0] == drawn
        assert client.ask("GET", PATH, **bearer)[0] == looked
    server.should_exit = True


def test_of_several_synthesizers_one_is_asked_by_its_name(folders: dict[str, str]) -> None:
    client, server = listen(configuration(folders))
    status, told = client.ask("POST", PATH, {"n": 1})
    assert (status, told["error"]) == (404, 'there are several synthesizers. Pass "model": one of ar, copula.')
    answers = [client.raw("POST", PATH, {"n": 20, "seed": 1, "model": name})[2] for name in ("ar", "copula")]
    assert answers[0] != answers[1]
    assert client.ask("POST", "/api/v1/data/other", {"n": 1})[0] == 404
    server.should_exit = True


def test_many_clients_at_once_get_their_own_rows(client: Client) -> None:
    asked = [{"n": 300, "seed": seed} for seed in range(12)]
    with ThreadPoolExecutor(12) as threads:
        at_once = list(threads.map(lambda body: client.raw("POST", PATH, body)[2], asked))
    assert at_once == [client.raw("POST", PATH, body)[2] for body in asked]


def test_more_draws_than_can_be_are_told_to_come_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthetic.service.service.MOST_DRAWING", 0)
    status, heads, body = client.raw("POST", PATH, {"n": 5, "seed": 1})
    assert (status, heads["retry-after"]) == (503, "1")
    assert b"too many rows are being drawn" in body
    assert client.raw("POST", PATH, {"n": 5})[0] == 200  # of the buffer there are some still


def test_a_folder_that_is_no_synthesizer_is_told_and_the_old_one_stays(folders: dict[str, str], tmp_path: Path) -> None:
    data = Data()
    good = configuration({"penguins": folders["copula"]})["data"]
    assert data.stock(good) == {}
    kept = data.named("synthetic")
    failed = data.stock(configuration({"penguins": str(tmp_path)})["data"])
    assert "it is no synthesizer" in failed["synthetic"]
    assert data.named("synthetic") is kept
    assert data.stock(good) == {}
    assert data.named("synthetic") is kept
    assert data.stock({}) == {}
    assert data.makers == {}


def test_a_server_without_makers_says_so() -> None:
    client, server = listen({"models": {}}, application=Application())
    status, told = client.ask("POST", PATH, {"n": 1})
    assert (status, told["error"]) == (404, "no data 'synthetic' is made here. Made: none.")
    server.should_exit = True


def test_buffered_rows_are_given_once_and_drawn_anew() -> None:
    count = 0
    drawn = threading.Event()

    def draw(rows: int) -> pd.DataFrame:
        nonlocal count
        count += rows
        drawn.set()
        return pd.DataFrame({"x": range(count - rows, count)})

    with ThreadPoolExecutor(1) as executor:
        buffer = Buffer(draw, executor, 10)
        assert buffer.take(1) is None  # nothing is there yet, and drawing has begun
        assert drawn.wait(60)
        executor.submit(int).result(60)  # behind the refill
        given: list[int] = []
        for rows in (3, 4, 3, 6):
            taken = buffer.take(rows)
            assert taken is not None
            given += taken["x"].tolist()
            while len(buffer) < 6:
                executor.submit(int).result(60)
        assert len(set(given)) == len(given) == 16
        assert buffer.take(1_000) is None


def test_rows_are_drawn_ahead_in_small_pieces_while_somebody_waits(folders: dict[str, str]) -> None:
    sizes: list[int] = []
    waits = True

    def draw(rows: int) -> pd.DataFrame:
        sizes.append(rows)
        return pd.DataFrame({"x": range(rows)})

    with ThreadPoolExecutor(1) as executor:
        buffer = Buffer(draw, executor, 2 * PIECE, lambda: waits)
        buffer._add()
        waits = False
        buffer._add()
    assert sizes == [SMALL, PIECE]


def test_who_asks_for_rows_of_a_seed_does_not_wait_for_rows_drawn_ahead_while_there_are_enough() -> None:
    drawn: list[int] = []
    waits = True

    def draw(rows: int) -> pd.DataFrame:
        drawn.append(rows)
        return pd.DataFrame({"x": range(rows)})

    with ThreadPoolExecutor(1) as executor:
        buffer = Buffer(draw, executor, 2_000, lambda: waits)
        waits = False
        buffer.fill()
        waits = True
        drawn.clear()
        assert buffer.take(1_400) is not None
        executor.submit(int).result(60)  # behind the refill
        assert drawn == []
        assert buffer.take(101) is not None  # fewer than a quarter are left: some are drawn all the same
        while len(buffer) <= 500:
            executor.submit(int).result(60)
        executor.submit(int).result(60)
        assert drawn == [SMALL]
        waits = False
        assert buffer.take(1) is not None
        while len(buffer) < 2_000:
            executor.submit(int).result(60)
        assert drawn[1:] == [PIECE, PIECE]


def test_the_service_is_busy_for_a_moment_after_a_draw(folders: dict[str, str]) -> None:
    service = Service({"birds": folders["copula"]}, buffered=0)
    assert not service._busy()
    service._drew = time.monotonic() + 3600  # and not a moment later, however busy the machine is
    assert service._busy()
