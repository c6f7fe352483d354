"""Every request has an id: its client's own X-Request-ID, or one handed out here. The answer says it."""

import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"
LONGEST_ID = 128  # letters; outcomes are posted by no longer one


class Identified:
    """Sees to it that a request's headers hold one X-Request-ID, and its answer's the same one.

    Of one that a client sends the first 128 letters are kept; without any, one is handed out, and the scope says so as
    "handed_out". echo: whether the answer says it; Ray Serve does so itself, and hands out ids before this does.
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
            scope = {**scope, "headers": headers, "handed_out": not sent}

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, id)]}
            await send(message)

        await self._app(scope, receive, telling if self._echo else send)
