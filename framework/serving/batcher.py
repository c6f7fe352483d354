"""Requests scored together when they come together, and at once when they come alone."""

import asyncio
import collections
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

MOST_TOGETHER = 1_024  # rows in one batch; a single larger request is a batch of its own
MOST_WAITING = 50_000  # rows in the queue; more are turned away
FEW = 64  # rows; so many are scored in the event loop itself where that takes next to no time
QUICK = 0.001  # seconds: shorter than a thread is worth
REMEMBERED = 8  # times that so many rows took; the least counts, for the others were made longer by other processes

Q = TypeVar("Q")
A = TypeVar("A")


class OverloadError(Exception):
    """More rows wait than could be answered in reasonable time."""


class Batcher(Generic[Q, A]):
    """Gathers what arrives while the previous batch computes, and scores it in one go.

    Nothing waits for company: a lone request starts at once, and under load batches grow by themselves.
    The scoring runs in a thread of its own, so the event loop lives on; where few rows are scored within a millisecond,
    as boosters do, it runs in the loop: to wake a thread and be woken by it would take as long.

    score: requests → as many answers in the same order; an answer that is an exception is raised to its asker.
    """

    def __init__(self, score: Callable[[Sequence[Q]], Sequence[A | Exception]], *, most: int = MOST_TOGETHER) -> None:
        self._score = score
        self._most = most
        self._waiting: list[tuple[Q, int, asyncio.Future[A]]] = []
        self._rows = 0
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scoring")
        self._times: dict[int, collections.deque[float]] = {}  # seconds by the rows' power of two, of late

    async def ask(self, request: Q, *, rows: int = 1) -> A:
        """The answer to one request of so many rows. Raises OverloadError when too many rows wait already."""
        if self._rows and self._rows + rows > MOST_WAITING:
            raise OverloadError
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[A] = loop.create_future()
        self._waiting.append((request, rows, answer))
        self._rows += rows
        if self._worker is None:
            self._worker = loop.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = self._next()
                if not batch:
                    continue
                requests, rows = [request for request, _, _ in batch], sum(rows for _, rows, _ in batch)
                if self._quick(rows):
                    answers = self._timed(requests, rows)
                else:
                    answers = await loop.run_in_executor(self._thread, self._timed, requests, rows)
                for (_, _, future), answer in zip(batch, answers, strict=True):
                    if future.done():  # its client has gone
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._worker = None

    def _next(self) -> list[tuple[Q, int, asyncio.Future[A]]]:
        """The longest run of waiting requests that fits one batch; those whose client has gone are left out."""
        batch: list[tuple[Q, int, asyncio.Future[A]]] = []
        taken = total = left = 0
        for each in self._waiting:
            _, rows, answer = each
            if not answer.done():
                if batch and total + rows > self._most:
                    break
                batch.append(each)
                total += rows
            taken, left = taken + 1, left + rows
        self._waiting = self._waiting[taken:]
        self._rows -= left
        return batch

    def _quick(self, rows: int) -> bool:
        """Whether about so many rows are known to take next to no time."""
        times = self._times.get(rows.bit_length()) if rows <= FEW else None
        return bool(times) and min(times or (QUICK,)) < QUICK

    def _timed(self, requests: list[Q], rows: int) -> Sequence[A | Exception]:
        """The answers, and note of how long they took."""
        began = time.perf_counter()
        answers = self._scored(requests)
        self._times.setdefault(rows.bit_length(), collections.deque(maxlen=REMEMBERED)).append(
            time.perf_counter() - began
        )
        return answers

    def _scored(self, requests: list[Q]) -> Sequence[A | Exception]:
        try:
            answers = self._score(requests)
            if len(answers) != len(requests):
                raise RuntimeError(f"{len(requests)} requests were answered with {len(answers)} answers")
            return answers
        except Exception as error:  # the border to the model: one failing batch must not end the queue
            return [error] * len(requests)
