"""Who may ask: whoever bears the token, or whoever sits at this machine."""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from framework.serving.answer import refusal
from framework.serving.request import RequestError


class Guard:
    """Lets in whoever bears the token; without a token, whoever asks on this machine's loopback address.

    Without a token a Host header with a foreign name is refused too: a web page that points its own name at 127.0.0.1
    (DNS rebinding) must not read the answers.
    """

    def __init__(self, app: ASGIApp, token: Callable[[], str | None]) -> None:
        """token: tells the `digest` of the token to bear, None where none is asked for."""
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wrong = self._wrong(scope) if scope["type"] == "http" else None
        answering = self._app if wrong is None else refusal(wrong)
        await answering(scope, receive, send)

    def _wrong(self, scope: Scope) -> RequestError | None:
        token = self._token()
        if token is None:
            host = next((value for key, value in scope["headers"] if key == b"host"), b"localhost")
            if _loopback(scope.get("server")) and _unnamed(host.decode("latin-1")):
                return None
            return RequestError("without a token this server answers on its loopback address only.", status=403)
        if scope["path"] == "/healthz":
            return None
        shown = next((value for key, value in scope["headers"] if key == b"authorization"), b"")
        scheme, _, bearer = shown.partition(b" ")
        if scheme.lower() == b"bearer" and hmac.compare_digest(digest(bearer.strip()), token):
            return None
        return RequestError("this server asks for a token: send the header Authorization: Bearer TOKEN.", status=401)


def digest(token: bytes) -> str:
    """What a configuration keeps of a token: its SHA-256, hex."""
    return hashlib.sha256(token).hexdigest()


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
