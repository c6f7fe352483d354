"""Who may ask: whoever bears a token, or whoever sits at this machine."""

import ipaddress
import math
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from framework.serving.access import UNNAMED, Role, Tokens
from framework.serving.answer import refusal
from framework.serving.request import RequestError

OPEN = frozenset({"/healthz", "/v2/health/live", "/v2/health/ready"})  # load balancers bear no token


class Guard:
    """Lets in whoever bears a token; on a server that asks for none, whoever asks on this machine's loopback address.

    There a Host header with a foreign name is refused too: a web page that points its own name at 127.0.0.1
    (DNS rebinding) must not read the answers.
    What a request may do stands in its scope, as "roles"; each route says which it asks for.
    """

    def __init__(self, app: ASGIApp, tokens: Callable[[], Tokens]) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                scope["roles"] = self._roles(scope)
            except RequestError as wrong:
                await refusal(wrong)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _roles(self, scope: Scope) -> frozenset[Role]:
        tokens = self._tokens()
        if not tokens.asked_for:
            host = next((value for key, value in scope["headers"] if key == b"host"), b"localhost")
            if _loopback(scope.get("server")) and _unnamed(host.decode("latin-1")):
                return UNNAMED
            raise RequestError("without a token this server answers on its loopback address only.", status=403)
        if scope["path"] in OPEN:
            return frozenset()
        shown = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
        scheme, _, bearer = shown.partition(b" ")
        token = tokens.borne(bearer.strip()) if scheme.lower() == b"bearer" else None
        if token is None:
            raise RequestError("this server asks for a token: send the header Authorization: Bearer TOKEN.", status=401)
        seconds = tokens.wait(token)
        if seconds:
            raise RequestError(
                f"token {token.name!r} may ask {token.per_minute:g} times a minute, and has. "
                f"Try again in {math.ceil(seconds)} s.",
                status=429,
                retry_after=seconds,
            )
        return token.opens


def _loopback(server: tuple[str, int] | None) -> bool:
    """Whether a connection came in on a loopback address; behind HAProxy, its own hop on this machine."""
    return server is not None and _is_address(server[0]) and ipaddress.ip_address(server[0]).is_loopback


def _unnamed(host: str) -> bool:
    """Whether a Host header says localhost or a bare address, with or without a port."""
    bare = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return bare.lower() == "localhost" or _is_address(bare)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
