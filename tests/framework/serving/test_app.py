"""The HTTP interface, asked over a real socket: answers, refusals, and a server that lives on after each."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from framework.serving.access import digest
from framework.serving.app import Application
from tests.framework.serving.http_client import Client, listen, sources

SECRET = "a-token-for-tests"


Start = Callable[..., Client]


@pytest.fixture(scope="module")
def start(churn: Path, cars: Path) -> Iterator[Start]:
    """Starts the application under uvicorn in a thread, without Ray."""
    servers: list[uvicorn.Server] = []

    def begin(*, host: str = "127.0.0.1", token: str | None = None, models: dict[str, Path] | None = None) -> Client:
        models = {"churn": churn, "cars": cars} if models is None else models
        hashed = digest(token.encode()) if token else None
        client, server = listen({"models": sources(**models), "token": hashed}, host=host)
        servers.append(server)
        return client

    yield begin
    for server in servers:
        server.should_exit = True


@pytest.fixture(scope="module")
def client(start: Start) -> Client:
    return start()


@pytest.fixture(scope="module")
def row(client: Client) -> dict[str, Any]:
    """An example row of the churn model."""
    _, content = client.ask("GET", "/api/v1/models")
    return dict(next(model["example"] for model in content["models"] if model["name"] == "churn"))


def test_one_row_and_many_are_answered_with_class_probabilities(client: Client, row: dict[str, Any]) -> None:
    status, one = client.predict("churn", row)
    assert status == 200
    assert one["model"] == "churn"
    assert one["warnings"] == []
    (prediction,) = one["predictions"]
    assert prediction["prediction"] in ("No", "Yes")
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)
    status, many = client.predict("churn", {"rows": [row, {**row, "tenure": 72}, row]})
    assert status == 200
    assert many["predictions"][0] == many["predictions"][2] == prediction != many["predictions"][1]


def test_a_regression_answers_values(client: Client) -> None:
    _, content = client.ask("GET", "/api/v1/models")
    example = next(model["example"] for model in content["models"] if model["name"] == "cars")
    status, answer = client.predict("cars", example)
    assert status == 200
    assert list(answer["predictions"][0]) == ["prediction"]
    assert 5 < answer["predictions"][0]["prediction"] < 40


def test_ten_thousand_rows_are_answered_in_their_order(client: Client, row: dict[str, Any]) -> None:
    rows = [{**row, "tenure": place % 73} for place in range(10_000)]
    status, answer = client.predict("churn", rows)
    assert status == 200
    assert len(answer["predictions"]) == 10_000
    assert answer["predictions"][73:146] == answer["predictions"][:73]
    _, some = client.predict("churn", rows[:73])
    assert [p["prediction"] for p in some["predictions"]] == [p["prediction"] for p in answer["predictions"][:73]]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{broken", 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b"[]", 400, "empty"),
        (b"[1, 2]", 400, "row 1 is a number"),
        (b'{"a": ' * 900 + b"1" + b"}" * 900, 400, "holds an object"),
        (b'{"tenure": NaN}', 400, "not JSON"),
        (b'{"tenure": 1}', 422, "missing columns"),
        (json.dumps([{"a": 1}] * 10_001).encode(), 413, "10,001 rows"),
    ],
)
def test_a_wrong_body_gets_a_sentence_and_the_server_lives_on(
    client: Client, row: dict[str, Any], body: bytes, status: int, said: str
) -> None:
    answered, content = client.predict("churn", body)
    assert (answered, set(content)) == (status, {"error"})
    assert said in content["error"]
    assert client.predict("churn", row)[0] == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tenure": "long"}, "column 'tenure' takes a number"),
        ({"tenre": 3}, "unknown column: 'tenre' (did you mean 'tenure'?)"),
        ({"contract": {"kind": "yearly"}}, "column 'contract' of row 1 holds an object"),
        ({"tenure": [1]}, "column 'tenure' of row 1 holds a list"),
    ],
)
def test_a_row_that_does_not_fit_gets_a_sentence(
    client: Client, row: dict[str, Any], change: dict[str, Any], said: str
) -> None:
    status, content = client.predict("churn", {**row, **change})
    assert 400 <= status < 500
    assert said in content["error"]


def test_an_unseen_category_and_a_missing_value_are_scored_with_a_warning(client: Client, row: dict[str, Any]) -> None:
    status, answer = client.predict("churn", {**row, "contract": "Lifetime", "tenure": None})
    assert status == 200
    assert len(answer["predictions"]) == 1
    assert ["Lifetime" in sentence for sentence in answer["warnings"]].count(True) == 1
    assert ["'tenure'" in sentence for sentence in answer["warnings"]].count(True) == 1


def test_addresses_and_methods_that_are_not_there_say_what_is(client: Client, row: dict[str, Any]) -> None:
    status, content = client.predict("chrn", row)
    assert status == 404
    assert "Served: cars, churn" in content["error"]
    status, content = client.ask("GET", "/api/v1/predict/churn")
    assert status == 405
    assert "POST" in content["error"]
    status, headers, body = client.raw("PUT", "/api/v1/models/churn")
    assert (status, headers["allow"]) == (405, "DELETE, GET, HEAD")
    assert b"does not take PUT. It takes: DELETE, GET, HEAD." in body
    status, content = client.ask("GET", "/nothing")
    assert status == 404
    assert "/openapi.json" in content["error"]
    assert client.ask("GET", "/healthz") == (200, {"status": "ok", "models": ["cars", "churn"]})


def test_a_body_of_50_megabytes_is_refused_early(client: Client, row: dict[str, Any]) -> None:
    for head in (b"content-length: 52428800", b"transfer-encoding: chunked"):
        with socket.create_connection((client.host, client.port), timeout=240) as connection:
            connection.sendall(b"POST /api/v1/predict/churn HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n\r\n")
            sent, answer = 0, b""
            connection.setblocking(False)
            began = time.monotonic()
            while not answer and time.monotonic() - began < 240:
                try:
                    if sent < 50 and b"chunked" in head:
                        connection.setblocking(True)
                        connection.sendall(b"100000\r\n" + b" " * 2**20 + b"\r\n")
                        connection.setblocking(False)
                        sent += 1
                except OSError:
                    pass
                try:
                    answer = connection.recv(65536)
                except BlockingIOError:
                    time.sleep(0.01)
        assert answer.startswith(b"HTTP/1.1 413"), answer[:100]
        assert b'"error"' in answer
        assert b"10,485,760 bytes" in answer
        assert sent < 20
    assert client.predict("churn", row)[0] == 200


def test_a_client_that_hangs_up_in_its_body_harms_nobody(client: Client, row: dict[str, Any]) -> None:
    for _ in range(5):
        with socket.create_connection((client.host, client.port)) as connection:
            connection.sendall(
                b"POST /api/v1/predict/churn HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900\r\n\r\n{"
            )
    assert client.predict("churn", row)[0] == 200


def test_a_token_is_asked_for_where_one_is_set(start: Start, churn: Path, row: dict[str, Any]) -> None:
    secured = start(token=SECRET, models={"churn": churn})
    assert secured.ask("GET", "/healthz")[0] == 200  # for load balancers
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {SECRET}"}):
        for method, path in (("POST", "/api/v1/predict/churn"), ("GET", "/api/v1/models"), ("GET", "/openapi.json")):
            status, content = secured.ask(method, path, row, **headers)
            assert status == 401
            assert "Authorization: Bearer" in content["error"]
    assert secured.ask("POST", "/api/v1/predict/churn", row, authorization=f"Bearer {SECRET}")[0] == 200


def test_without_a_token_only_the_loopback_address_is_answered(start: Start, churn: Path, row: dict[str, Any]) -> None:
    client = start(host="0.0.0.0", models={"churn": churn})
    assert client.predict("churn", row)[0] == 200
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address of this machine faces the network
        address = probe.getsockname()[0]
    assert not address.startswith("127.")
    status, content = Client(address, client.port).predict("churn", row)
    assert status == 403
    assert "loopback" in content["error"]


def test_without_a_token_a_foreign_name_for_loopback_is_refused(client: Client, row: dict[str, Any]) -> None:
    for host, status in (("evil.example", 403), ("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200)):
        assert client.ask("POST", "/api/v1/predict/churn", row, host=host)[0] == status


def test_the_openapi_document_has_the_model_s_columns_types_and_categories(client: Client) -> None:
    status, document = client.ask("GET", "/openapi.json")
    assert status == 200
    assert document["openapi"].startswith("3.1")
    assert {"/api/v1/predict/churn", "/api/v1/predict/cars", "/api/v1/models", "/healthz"} <= set(document["paths"])
    schemas = document["components"]["schemas"]
    columns = schemas["churn.row"]["properties"]
    assert columns["contract"]["enum"] == ["Month-to-month", "One year", "Two year"]
    assert columns["tenure"]["type"] == "integer"
    assert columns["total_charges"]["type"] == ["number", "null"]  # 11 customers have none
    assert schemas["churn.row"]["required"] == list(columns)
    assert len(columns) == 19
    assert schemas["churn.row"]["examples"][0]["contract"] in columns["contract"]["enum"]
    assert list(schemas["churn.answer"]["properties"]["predictions"]["items"]["properties"]) == [
        "prediction",
        "probabilities",
    ]


def test_every_reference_in_the_openapi_document_leads_somewhere(client: Client) -> None:
    _, document = client.ask("GET", "/openapi.json")
    found = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                found.append(node["$ref"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    assert found
    assert {ref.removeprefix("#/components/schemas/") for ref in found} <= set(document["components"]["schemas"])


def test_a_model_that_cannot_be_opened_leaves_the_others_in_place(churn: Path, tmp_path: Path) -> None:
    application = Application()
    good = {"uri": "x", "version": None, "folder": str(churn)}
    asyncio.run(application.reconfigure({"models": {"churn": good}, "token": None}))
    before = application.replica.models["churn"]
    bad = {"uri": "y", "version": None, "folder": str(tmp_path)}
    asyncio.run(application.reconfigure({"models": {"churn": good, "other": bad}, "token": None}))
    assert application.replica.models == {"churn": before}
    assert "no model folder" in application.about()["failed"]["other"]
    asyncio.run(application.reconfigure({"models": {"churn": bad}, "token": None}))
    assert application.replica.models == {"churn": before}  # the older one stays
    asyncio.run(application.reconfigure({"models": {}, "token": None}))
    assert application.replica.models == {}
