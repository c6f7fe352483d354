"""Whoever observes a server is told of every request, and never stands in its way."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.serving.app import Application
from framework.serving.observing import MOST_WAITING, Observed, ObserverError, Observing, observers_of
from framework.serving.replica import OBSERVERS, Replica
from tests.framework.serving.http_client import Client, listen, sources


class Notes:
    """Keeps what it is told; can be made to wait, and to fail."""

    def __init__(self, *, failing: bool = False) -> None:
        self.seen: list[Observed] = []
        self.closed = False
        self.go_on = threading.Event()
        self.go_on.set()
        self._failing = failing

    def observe(self, seen: Observed) -> None:
        self.go_on.wait(240)
        self.seen.append(seen)
        if self._failing:
            raise ValueError("no room")

    def close(self) -> None:
        self.closed = True

    def wait_for(self, count: int) -> list[Observed]:
        until = time.monotonic() + 240
        while len(self.seen) < count and time.monotonic() < until:
            time.sleep(0.01)
        return self.seen


KEPT: list[Notes] = []


def notes(**options: Any) -> Notes:
    """What a configuration names."""
    KEPT.append(Notes(**options))
    return KEPT[-1]


@pytest.fixture
def watched(cars: Path) -> Iterator[tuple[Client, Notes]]:
    observer = Notes()
    client, server = listen({"models": sources(cars=cars)}, application=Application([Notes(failing=True), observer]))
    yield client, observer
    server.should_exit = True


def example(client: Client) -> dict[str, Any]:
    return dict(client.ask("GET", "/api/v1/models")[1]["models"][0]["example"])


def test_each_request_is_told_with_rows_answers_and_status_beside_an_observer_that_fails(
    watched: tuple[Client, Notes],
) -> None:
    client, observer = watched
    row = example(client)
    _, answer = client.ask("POST", "/api/v1/predict/cars", [row, row], **{"X-Request-ID": "a" * 200})
    assert client.predict("cars", {**row, "wheels": 4})[0] == 422
    assert client.predict("cars", b"{")[0] == 400
    right, strange, broken = observer.wait_for(3)
    assert (right.model, right.version, right.status, right.request) == ("cars", None, 200, "a" * 128)
    assert list(right.rows) == [row, row]
    assert list(right.items) == answer["predictions"]
    assert 0 < right.seconds < 300
    assert abs(right.at - time.time()) < 300
    assert (strange.status, list(strange.items), strange.rows[0]["wheels"]) == (422, [], 4)
    assert (broken.status, list(broken.rows)) == (400, [])


def told(rows: int) -> Observed:
    return Observed("cars", None, [{"a": 1}] * rows, [], 0.1, 200, time.time(), "")


def test_what_waits_too_long_is_dropped_and_counted_and_the_rest_is_told_before_the_end() -> None:
    observer = Notes()
    observer.go_on.clear()
    observing = Observing([observer])
    for _ in range(6):
        observing.tell(told(MOST_WAITING // 4))
    assert observing.dropped == 2
    observing.tell(told(MOST_WAITING * 2))
    assert observing.dropped == 3
    observer.go_on.set()
    observing.close()
    assert len(observer.seen) == 4
    assert observer.closed


def test_without_observers_nothing_is_kept_and_no_thread_runs() -> None:
    before = threading.active_count()
    observing = Observing()
    observing.tell(told(MOST_WAITING * 2))
    assert observing.dropped == 0
    assert threading.active_count() == before
    observing.close()


def test_a_configuration_names_its_observers_and_a_wrong_one_changes_nothing(cars: Path) -> None:
    named = {"make": f"{__name__}:notes", "options": {"failing": False}}
    own = Notes()
    replica, models = Replica([own]), sources(cars=cars)
    asyncio.run(replica.reconfigure({"models": models, "observers": [named]}))
    observing = replica.observing
    assert observing.observers == (own, KEPT[-1])
    asyncio.run(replica.reconfigure({"models": models, "observers": [named]}))
    assert replica.observing is observing
    for wrong in ({"make": f"{__name__}:nobody"}, {"make": "no.such.module:x"}, {**named, "options": {"size": 3}}, {}):
        with pytest.raises(ObserverError, match="cannot be made"):
            observers_of([wrong])
        asyncio.run(replica.reconfigure({"models": models, "observers": [named, wrong]}))
        assert "cannot be made" in replica.about()["failed"][OBSERVERS]
        assert replica.observing is observing
        assert list(replica.models) == ["cars"]
    asyncio.run(replica.reconfigure({"models": models}))
    assert replica.observing.observers == (own,)
    assert KEPT[0].closed
    assert not own.closed
    replica.observing.close()
    assert own.closed
