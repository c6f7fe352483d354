"""Ids of requests: handed out, echoed, logged as they are told."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.serving.app import Application
from framework.serving.observing import Observed
from tests.framework.serving.http_client import Client, listen, sources


class Kept:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[Observed] = []

    def observe(self, seen: Observed) -> None:
        self.seen.append(seen)

    def close(self) -> None:
        return


@pytest.fixture(scope="module")
def served(cars: Path) -> Iterator[tuple[Client, Kept, Application]]:
    kept = Kept()
    application = Application([kept])
    client, server = listen({"models": sources(cars=cars)}, application=application)
    yield client, kept, application
    server.should_exit = True


def test_a_request_s_id_is_its_client_s_or_handed_out_and_what_is_logged(
    served: tuple[Client, Kept, Application],
) -> None:
    client, kept, application = served
    row = application.replica.live("cars").served.example()
    told = []
    for own in ({}, {"X-Request-ID": "of mine-1"}, {"X-Request-ID": "order/17"}, {"X-Request-ID": "a" * 200}):
        status, heads, _ = client.raw("POST", "/api/v1/predict/cars", row, **own)
        assert status == 200
        told.append(heads["x-request-id"])
    assert told[2:] == ["order/17", "a" * 128]
    assert told[1] == "of mine-1"
    assert len(told[0]) == 32
    asyncio.run(asyncio.to_thread(application.replica.observing.close))
    assert [seen.request for seen in kept.seen] == told


def test_refusals_bear_an_id_too(served: tuple[Client, Kept, Application]) -> None:
    client, _, _ = served
    for path in ("/nowhere", "/api/v1/models/nobody", "/healthz"):
        heads = client.raw("GET", path, **{"X-Request-ID": "asked"})[1]
        assert heads["x-request-id"] == "asked"
