"""Replicas that come with the requests and go with them, on a real Ray Serve; models opened on demand beside."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster.connect import Session
from cluster.ports import free_ports
from framework.serving import deployment
from framework.serving.endpoint import Endpoint, serve, unserve
from framework.serving.scale import Pace
from framework.serving.server import TOKEN
from tests.framework.serving.replicas import replicas, until

CLIENTS = 6
EAGER = Pace(ongoing=1.0, up_seconds=0.0, down_seconds=1.0)


@pytest.fixture(scope="module")
def endpoint(
    cars: Path, species: Path, ray_session: Session, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv(TOKEN, raising=False)
        yield serve(cars, name="cars", port=free_ports(1)[0], replicas="1-2", pace=EAGER, many={"birds": species})
        present = deployment.configuration() or {"models": {}, "many": {}}
        for name in [*present["models"], *present["many"]]:
            unserve(name)


@contextlib.contextmanager
def asking(endpoint: Endpoint, clients: int) -> Iterator[list[int]]:
    """So many clients that ask without a pause until the end of the block; what was not 200, 0 for no answer."""
    failures, ended, parts = list[int](), threading.Event(), urlsplit(endpoint.url)
    body = json.dumps(endpoint.example)

    def one() -> None:
        connection = http.client.HTTPConnection(parts.netloc, timeout=240)
        while not ended.is_set():
            try:
                connection.request("POST", parts.path, body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                failures.append(0)
                connection.close()
                continue
            if answer.status != 200:
                failures.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=one, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_replicas_come_with_the_requests_and_go_with_them_and_no_request_fails(endpoint: Endpoint) -> None:
    assert len(replicas()) == 1
    with asking(endpoint, CLIENTS) as failures:
        assert until(lambda: len(replicas()) == 2)
        assert (deployment.configuration() or {})["pace"]["ongoing"] == 1.0
    with asking(endpoint, 1) as few:  # one client is never more than one request at a time
        assert until(lambda: len(replicas()) == 1)
    assert failures == few == []


def test_a_model_opened_on_demand_is_asked_taken_down_and_no_longer_there(endpoint: Endpoint, species: Path) -> None:
    host, path = urlsplit(endpoint.url).netloc, "/api/v1/predict/birds"

    def asked() -> tuple[int, str]:
        connection = http.client.HTTPConnection(host, timeout=240)
        connection.request("POST", path, json.dumps({"island": "Dream", "bill_length_mm": 46.0}))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    status, told = asked()
    assert (status, "missing columns" in told) == (422, True)  # it is open, and says what it takes
    unserve("birds")
    assert until(lambda: asked()[0] == 404)
    assert endpoint.predict(endpoint.example)["model"] == "cars"
