"""Every request has an id: its client's own X-Request-ID, or one handed out here. The answer says it."""

import secrets

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"
GIVEN = b"x-request-id-given"  # 1: by the client; 0: it came without one
LONGEST_ID = 128  # letters; outcomes are posted by no longer one


class Identified:
    """Sees to it that a request's headers hold one X-Request-ID, and its answer's the same one.

    Of one that a client sends the first 128 letters are kept; without any, one is handed out, here or by Ray Serve
    before, and the scope says so as "handed_out". echo: whether the answer says it; Ray Serve does so itself.
    """

    def __init__(self, app: ASGIApp, *, echo: bool = True) -> None:
        self._app, self._echo = app, echo

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        told = [value for key, value in headers if key == HEADER]
        sent = told[-1][:LONGEST_ID] if told else b""
        id = sent or secrets.token_hex(16).encode()
        if told != [id]:
            headers = [*((key, value) for key, value in headers if key != HEADER), (HEADER, id)]
        scope = {**scope, "headers": headers, "handed_out": not sent or (GIVEN, b"0") in headers}

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, id)]}
            await send(message)

        await self._app(scope, receive, telling if self._echo else send)


class Marked:
    """Says in a header whether a request came with an id, before Ray Serve hands one out: the first to see it does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            names = {key for key, _ in scope["headers"]}
            if GIVEN not in names:
                mark = GIVEN, b"1" if HEADER in names else b"0"
                scope = {**scope, "headers": [*scope["headers"], mark]}
        await self._app(scope, receive, send)


def marking() -> list[Middleware]:
    """What Ray Serve puts around its own handing out of ids, in its proxy and in replicas that HAProxy asks."""
    return [Middleware(Marked)]
