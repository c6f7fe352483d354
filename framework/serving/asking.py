"""One request for predictions, from its body to its answer, within the seconds that its client gives it."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from framework.serving.answer import status_of
from framework.serving.batcher import OverloadError
from framework.serving.identified import HEADER
from framework.serving.live import Live
from framework.serving.observing import Observed
from framework.serving.replica import Replica
from framework.serving.request import RequestError, Row, read_body
from framework.serving.served import Answer
from framework.serving.traffic.routing import Met

LARGE = 64 * 1024  # bytes; larger bodies are parsed in a thread, so that small requests do not wait for them
TIMEOUT = b"x-timeout-seconds"
MOST_SECONDS = 3_600.0

T = TypeVar("T")
Heads = Mapping[bytes, bytes]  # a request's headers; of one that came twice, the last


def heads_of(request: Request) -> Heads:
    return dict(request.scope["headers"])


async def ask(
    replica: Replica, live: Live, request: Request, read: Callable[[bytes], list[Row]], *, routed: bool = True
) -> Answer:
    """The answer to the rows that `read` finds in the request's body; the replica's observers are told of it.

    live: the model that was asked for; routed: of several versions that its name is served by, the request's own
    answers. Raises RequestError for a body that `read` refuses, for rows that the model refuses, when too many rows
    wait (503), and when X-Timeout-Seconds are over (504).
    """
    began, heads = time.perf_counter(), heads_of(request)
    told = heads.get(HEADER, b"").decode("latin-1")
    sticky = "" if request.scope.get("handed_out") else told  # an id of the client's own meets its version again
    rows: list[Row] = []
    met: Met | None = None
    status = 0
    answer: Answer = {}

    async def work() -> Answer:
        nonlocal rows, met
        rows = await body_of(request, heads, read)
        met = replica.routing.meet(live, rows, heads, sticky) if routed else Met(live, rows)
        answered = await score(met.live, met.rows)
        return {**answered, "warnings": [*answered["warnings"], *met.warnings]} if met.warnings else answered

    try:
        answer = await within(heads, work)
        status = 200
        return answer
    except ClientDisconnect:
        raise
    except Exception as error:
        status = status_of(error)
        raise
    finally:
        if status:
            served = live.served if met is None else met.live.served
            items, seconds = answer["predictions"] if status == 200 else (), time.perf_counter() - began
            if met is not None and routed:
                replica.routing.count(served, status, seconds, items)
            if replica.observing.observers:
                replica.observing.tell(
                    Observed(served.name, served.version, rows, items, seconds, status, time.time(), told)
                )
            if met is not None and routed and status == 200:
                replica.routing.mirror(met.live, met.rows, items, told)


async def body_of(request: Request, heads: Heads, read: Callable[[bytes], T]) -> T:
    """What `read` makes of the request's whole body."""
    if b"content-encoding" in heads:
        raise RequestError("a compressed body is not taken. Send it without Content-Encoding.", status=415)
    body = await read_body(request.stream(), declared=heads.get(b"content-length", b"").decode("latin-1"))
    return read(body) if len(body) < LARGE else await asyncio.to_thread(read, body)


async def score(live: Live, rows: list[Row]) -> Answer:
    """The model's answer, together with whoever asks at the same time."""
    try:
        return await live.batcher.ask(rows, rows=len(rows))
    except OverloadError:
        raise RequestError("too many rows are waiting. Try again in a second.", status=503, retry_after=1.0) from None


async def within(heads: Heads, work: Callable[[], Awaitable[T]]) -> T:
    """What the work gives. Raises RequestError (504) when X-Timeout-Seconds do not suffice for it."""
    if TIMEOUT not in heads:
        return await work()
    seconds = _seconds(heads[TIMEOUT])
    try:
        async with asyncio.timeout(seconds):
            return await work()
    except TimeoutError:
        raise RequestError(
            f"there is no answer within the {seconds:g} s of X-Timeout-Seconds. Give it more, or fewer rows.",
            status=504,
        ) from None


def _seconds(told: bytes) -> float:
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= MOST_SECONDS:
        raise RequestError(
            f"X-Timeout-Seconds is {told[:40].decode('latin-1')!r}; it takes seconds, above 0 and up to 3,600."
        )
    return seconds
