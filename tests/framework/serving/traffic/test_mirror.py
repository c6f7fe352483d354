"""A shadow that fails, or is slow, harms nobody; what it is too late for is dropped and counted."""

import asyncio
import threading
from typing import Any

from framework.serving.batcher import Batcher
from framework.serving.live import Live
from framework.serving.observing import Observed
from framework.serving.served import Served
from framework.serving.traffic.mirror import MOST_WAITING, Mirror, Mirrored
from tests.framework.serving.traffic.conftest import Serving

GIVEN = [{"prediction": 0, "probabilities": {"0": 0.9, "1": 0.1}}]


def offered(served: Served, score: Any, share: float, rows: list[int], go: threading.Event | None = None) -> Any:
    """A mirror after as many requests as there are counts of rows, and what it told."""
    told: list[Observed] = []
    live = Live(served, Batcher(score))

    async def work() -> Mirror:
        mirror = Mirror(live, share, told.append)
        for place, count in enumerate(rows):
            mirror.offer(Mirrored([served.example()] * count, GIVEN * count, f"r{place}"))
            await asyncio.sleep(0)
        if go is not None:
            go.set()
        while mirror._worker is not None:
            await asyncio.sleep(0.01)
        return mirror

    return asyncio.run(work()), told


def served(serving: Serving) -> Served:
    return next(iter(serving.application.replica.models.values())).served


def test_a_share_is_mirrored_in_turn(serving: Serving) -> None:
    model = served(serving)
    for share, expected in ((1.0, 20), (0.25, 5), (0.1, 2)):
        mirror, told = offered(model, model.score, share, [1] * 20)
        assert mirror.seen.tally.requests == len(told) == expected
    assert all(seen.shadow and seen.status == 200 for seen in told)


def test_a_failing_shadow_is_counted(serving: Serving) -> None:
    def broken(_: Any) -> Any:
        raise MemoryError("no room")

    mirror, told = offered(served(serving), broken, 1.0, [1] * 5)
    assert (mirror.seen.tally.requests, mirror.seen.tally.errors, mirror.seen.agreement.rows) == (5, 5, 0)
    assert {seen.status for seen in told} == {500}


def test_a_slow_shadow_drops_what_it_cannot_hold_and_does_the_rest(serving: Serving) -> None:
    model, go = served(serving), threading.Event()

    def slow(requests: Any) -> Any:
        go.wait(240)
        return model.score(requests)

    half = MOST_WAITING // 2
    mirror, told = offered(model, slow, 1.0, [half, half, half, 1], go)
    assert mirror.seen.dropped == 2
    assert len(told) == mirror.seen.tally.requests == 2
    assert mirror.seen.agreement.rows == 2 * half
