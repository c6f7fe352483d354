"""Requests are scored together when they come together, and at once when they come alone."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from framework.serving import batcher
from framework.serving.batcher import Batcher, OverloadError


class Slow:
    """Squares numbers, a batch once it is let, and remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.go_on = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(numbers))
        self.threads.add(threading.get_ident())
        assert self.go_on.wait(240)
        return [ValueError(str(n)) if n < 0 else n * n for n in numbers]

    async def begun(self) -> None:
        """Comes back once a batch is under way."""
        while not self.batches:
            await asyncio.sleep(0.001)


def test_a_lone_request_does_not_wait() -> None:
    """For no clock, that is: Ray Serve's own batching asks one to wake it 5 ms later."""
    batch: Batcher[int, int] = Batcher(lambda numbers: [n * n for n in numbers])
    clocks: list[float] = []

    async def alone() -> int:
        loop = asyncio.get_running_loop()
        set_one = loop.call_at
        loop.call_at = lambda when, *rest, **more: (clocks.append(when), set_one(when, *rest, **more))[1]  # type: ignore[method-assign,assignment]
        await asyncio.sleep(1e-6)
        assert len(clocks) == 1  # what waits is seen
        for _ in range(100):
            assert await batch.ask(3) == 9
        return len(clocks)

    assert asyncio.run(alone()) == 1


def test_what_arrives_during_a_batch_is_the_next_batch() -> None:
    score = Slow()
    batch: Batcher[int, int] = Batcher(score)

    async def ask() -> list[int]:
        first = asyncio.create_task(batch.ask(0))
        await score.begun()
        asked = asyncio.gather(*(batch.ask(n) for n in range(1, 50)))
        await asyncio.sleep(0)  # they have come
        score.go_on.set()
        return [*await asked, await first]

    assert asyncio.run(ask()) == [*(n * n for n in range(1, 50)), 0]
    assert score.batches == [[0], list(range(1, 50))]
    assert threading.get_ident() not in score.threads


def test_what_is_scored_in_no_time_is_scored_without_a_thread_and_what_is_not_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []

    def score(numbers: Sequence[int]) -> list[int | Exception]:
        threads.append(threading.get_ident())
        return list(numbers)

    async def ask(batch: Batcher[int, int], times: int, rows: int = 1) -> None:
        for number in range(times):
            assert await batch.ask(number, rows=rows) == number

    here = threading.get_ident()
    monkeypatch.setattr(batcher, "QUICK", 60.0)
    batch: Batcher[int, int] = Batcher(score)
    asyncio.run(ask(batch, 3))
    assert threads[0] != here  # as it begins: not known to be quick
    assert threads[1:] == [here, here]
    threads.clear()
    asyncio.run(ask(batch, 2, rows=50))
    assert threads[0] != here  # nor so many rows
    assert threads[1] == here
    threads.clear()
    asyncio.run(ask(batch, 2, rows=batcher.FEW + 1))  # which may take long
    assert here not in threads
    threads.clear()
    monkeypatch.setattr(batcher, "QUICK", 0.0)
    asyncio.run(ask(batch, 2))
    assert here not in threads


def test_a_batch_ends_where_its_rows_are_enough() -> None:
    score = Slow()
    score.go_on.set()
    batch: Batcher[int, int] = Batcher(score, most=10)

    async def ask() -> None:
        await asyncio.gather(*(batch.ask(n, rows=4) for n in range(5)), batch.ask(9, rows=99))

    asyncio.run(ask())
    assert score.batches == [[0, 1], [2, 3], [4], [9]]


def test_one_request_s_error_is_its_own() -> None:
    score = Slow()
    score.go_on.set()
    batch: Batcher[int, int] = Batcher(score)

    async def ask() -> list[int | BaseException]:
        return await asyncio.gather(*(batch.ask(n) for n in (1, 2, -3, 4)), return_exceptions=True)

    one, two, three, four = asyncio.run(ask())
    assert (one, two, four) == (1, 4, 16)
    assert isinstance(three, ValueError)


def test_the_queue_outlives_a_score_that_raises_or_miscounts() -> None:
    batch: Batcher[str, str] = Batcher(lambda requests: [] if requests == ["short"] else [requests[0].upper()])

    async def ask(request: object) -> str:
        return await batch.ask(request)  # type: ignore[arg-type]

    for wrong, kind in ((7, AttributeError), ("short", RuntimeError)):
        with pytest.raises(kind):
            asyncio.run(ask(wrong))
        assert asyncio.run(ask("fine")) == "FINE"


def test_a_client_that_gives_up_leaves_the_others_alone() -> None:
    score = Slow()
    batch: Batcher[int, int] = Batcher(score)

    async def ask() -> int:
        gone, stays = asyncio.create_task(batch.ask(1)), asyncio.create_task(batch.ask(2))
        await score.begun()
        gone.cancel()
        await asyncio.sleep(0)
        score.go_on.set()
        return await stays

    assert asyncio.run(ask()) == 4


def test_the_event_loop_lives_on_while_a_batch_computes() -> None:
    seen = threading.Event()

    def score(numbers: Sequence[int]) -> list[int | Exception]:
        return [int(seen.wait(240))] * len(numbers)

    async def ask() -> int:
        asking = asyncio.create_task(Batcher(score).ask(1))
        await asyncio.sleep(0.01)
        seen.set()  # by the loop, while the batch waits for it
        return await asking

    assert asyncio.run(ask()) == 1


def test_more_than_can_wait_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher, "MOST_WAITING", 3)
    score = Slow()
    score.go_on.set()
    batch: Batcher[int, int] = Batcher(score)

    async def ask() -> list[int | BaseException]:
        return await asyncio.gather(*(batch.ask(n, rows=2) for n in range(3)), return_exceptions=True)

    first, second, third = asyncio.run(ask())
    assert first == 0
    assert isinstance(second, OverloadError)
    assert isinstance(third, OverloadError)


def test_who_has_gone_is_not_scored_and_makes_room() -> None:
    score = Slow()
    batch: Batcher[int, int] = Batcher(score)

    async def ask() -> list[int]:
        first = asyncio.create_task(batch.ask(1))
        await score.begun()
        gone = [asyncio.create_task(batch.ask(n, rows=batcher.MOST_WAITING // 2)) for n in (2, 3)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        score.go_on.set()
        answers = [await first]
        return [*answers, await batch.ask(4, rows=batcher.MOST_WAITING)]

    assert asyncio.run(ask()) == [1, 16]
    assert score.batches == [[1], [4]]
