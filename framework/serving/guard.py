"""Who may ask: whoever bears a token, or whoever sits at this machine."""

import ipaddress
import math
import time
from collections.abc import Callable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from framework.serving.access import UNNAMED, Role, Token, Tokens
from framework.serving.answer import refusal
from framework.serving.guesses import Guesses, address_of
from framework.serving.page import cookie
from framework.serving.request import RequestError

OPEN = frozenset({"/healthz", "/v2/health/live", "/v2/health/ready"})  # load balancers bear no token
API, APIS = frozenset({"/v2", "/openapi.json", "/healthz"}), ("/api/", "/v2/")
PAGE, PAGES = frozenset({"/", "/sign-in", "/sign-out", "/jobs"}), ("/models/", "/jobs/", "/assets/")  # for browsers


class Guard:
    """Lets in whoever bears a token; on a server that asks for none, whoever asks on this machine's loopback address.

    There a Host header with a foreign name is refused too: a web page that points its own name at 127.0.0.1
    (DNS rebinding) must not read the answers.
    What a request may do stands in its scope, as "roles", and whose token it bears, as "bearer"; each route says which
    roles it asks for. The page is opened by the cookie of who signed in, too; the API is not, so that no other page can
    have a browser ask it. Of the page's addresses whoever bears nothing gets through, with no role: to the sign-in; and
    so does a browser of an address that is nobody's, to be told so on a page.
    Whoever shows many wrong tokens has to wait (429), by the address that they come from.
    """

    def __init__(self, app: ASGIApp, tokens: Callable[[], Tokens], guesses: Guesses) -> None:
        self._app = app
        self._tokens = tokens
        self._guesses = guesses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                scope["roles"], scope["bearer"] = self._opened(scope)
            except RequestError as wrong:
                await refusal(wrong)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _opened(self, scope: Scope) -> tuple[frozenset[Role], str | None]:
        """The roles of a request, and the name of the token that it bears."""
        tokens, path = self._tokens(), scope["path"]
        if not tokens.asked_for:
            host = _header(scope, b"host") or b"localhost"
            if _loopback(scope.get("server")) and _unnamed(host.decode("latin-1")):
                return UNNAMED, None
            raise RequestError("without a token this server answers on its loopback address only.", status=403)
        if path in OPEN:
            return frozenset(), None
        shown = _header(scope, b"authorization")
        if not shown and (is_page(path) or (not is_api(path) and is_browser(scope))):
            return self._signed_in(tokens, scope)
        scheme, _, bearer = shown.partition(b" ")
        told = bearer.strip() if scheme.lower() == b"bearer" else b""
        token = tokens.borne(told) if told else None
        seconds = self._guesses.wait(address_of(scope), token) if told else 0.0
        if seconds:
            raise RequestError(
                f"too many wrong tokens came from this address. Try again in {math.ceil(seconds)} s.",
                status=429,
                retry_after=seconds,
            )
        if token is None:
            raise RequestError("this server asks for a token: send the header Authorization: Bearer TOKEN.", status=401)
        return _counted(tokens, token)

    def _signed_in(self, tokens: Tokens, scope: Scope) -> tuple[frozenset[Role], str | None]:
        cookies = _header(scope, b"cookie")
        token = cookie.borne(tokens, cookies.decode("latin-1"), now=time.time()) if cookies else None
        if token is None or scope["path"].startswith("/assets/"):  # a style sheet is no request to a model
            return frozenset(), None
        return _counted(tokens, token)


def is_api(path: str) -> bool:
    """Whether an address is of programs."""
    return path in API or path.startswith(APIS)


def is_browser(scope: Scope) -> bool:
    """Whether a person's browser asks for a page."""
    return scope["method"] in ("GET", "HEAD") and b"text/html" in _header(scope, b"accept")


def is_page(path: str) -> bool:
    """Whether an address is the page's, for browsers."""
    return path in PAGE or path.startswith(PAGES)


def _counted(tokens: Tokens, token: Token) -> tuple[frozenset[Role], str]:
    """What a token opens. Raises RequestError (429) where it asks too often."""
    seconds = tokens.wait(token)
    if seconds:
        raise RequestError(
            f"token {token.name!r} may ask {token.per_minute:g} times a minute, and has. "
            f"Try again in {math.ceil(seconds)} s.",
            status=429,
            retry_after=seconds,
        )
    return token.opens, token.name


def _header(scope: Scope, name: bytes) -> bytes:
    """The first header of this name; empty for none."""
    return next((value for key, value in scope["headers"] if key == name), b"")


@lru_cache(maxsize=1_024)
def _loopback(server: tuple[str, int] | None) -> bool:
    """Whether a connection came in on a loopback address; behind HAProxy, its own hop on this machine."""
    return server is not None and _is_address(server[0]) and ipaddress.ip_address(server[0]).is_loopback


@lru_cache(maxsize=1_024)
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
