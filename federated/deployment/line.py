"""One silo as its coordinator has it: what it is to be asked waits here until it is there, one question at a time."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal

from federated.channel import LostSiloError

Ending = Literal["goodbye", "displaced", "gone"]


class Line:
    """Lives on one event loop; `put`, `serve` and `end` are called there. changed: called when the silo comes or goes.

    A question that was sent and whose connection ended is lost: its ticket raises LostSiloError. One that was not sent
    yet waits for the silo to come back.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._waiting: deque[tuple[bytes, Future[bytes]]] = deque()
        self._came = asyncio.Event()
        self._ending: asyncio.Future[Ending] | None = None

    @property
    def present(self) -> bool:
        return self._ending is not None

    def put(self, request: bytes, ticket: "Future[bytes]") -> None:
        self._waiting.append((request, ticket))
        self._came.set()

    def end(self, how: Ending) -> None:
        """Ends the connection there is."""
        if self._ending is not None and not self._ending.done():
            self._ending.set_result(how)

    async def serve(self, stream: Any) -> Ending:
        """Asks over this connection until it ends; how it did. One that was there before is displaced: the newest is
        the silo, since an older one may be half-dead."""
        self.end("displaced")
        ending = self._ending = asyncio.get_running_loop().create_future()
        talk = asyncio.ensure_future(self._talk(stream))
        self._changed()
        try:
            await asyncio.wait({talk, ending}, return_when=asyncio.FIRST_COMPLETED)
            return ending.result() if ending.done() else "gone"
        finally:
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)
            if self._ending is ending:
                self._ending = None
            self._changed()

    async def _talk(self, stream: Any) -> None:
        while True:
            request, ticket = await self._next()
            answer: bytes | None = None
            try:
                await stream.write(request)
                told = await stream.read()
                answer = told if isinstance(told, bytes) else None  # else the silo has hung up
            finally:
                if answer is None:
                    ticket.set_exception(LostSiloError("its connection ended"))
                else:
                    ticket.set_result(answer)
            if answer is None:
                return

    async def _next(self) -> tuple[bytes, "Future[bytes]"]:
        while True:
            while self._waiting:
                request, ticket = self._waiting.popleft()
                if ticket.set_running_or_notify_cancel():
                    return request, ticket
            self._came.clear()
            await self._came.wait()
