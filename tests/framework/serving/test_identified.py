"""Ids of requests: handed out, echoed, logged as they are told."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from framework.serving.app import Application
from framework.serving.identified import Identified, marking
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


def test_an_id_that_ray_serve_has_handed_out_is_told_from_a_client_s_own() -> None:
    """In the order in which Ray Serve puts its own around the application."""
    from ray.serve._private.http_util import _apply_middlewares

    seen: list[dict[str, Any]] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def answered(message: Message) -> None:
        told.append(message)

    async def nothing() -> Message:
        return {"type": "http.request"}

    told: list[Message] = []
    whole = _apply_middlewares(Identified(application, echo=False), marking())
    for heads in ([], [(b"x-request-id", b"mine")]):
        asyncio.run(whole({"type": "http", "headers": heads}, nothing, answered))
    ids = [dict(scope["headers"])[b"x-request-id"] for scope in seen]
    assert (len(ids[0]), ids[1]) == (36, b"mine")
    assert [scope["handed_out"] for scope in seen] == [True, False]
    assert [dict(message["headers"])[b"x-request-id"] for message in told] == ids  # what was told is what is logged
