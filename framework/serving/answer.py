"""Answers and refusals as JSON: `{"error": sentence}` for whatever went wrong."""

import asyncio
import logging
import math
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from cluster.user_error import UserError
from framework.data.schema import SchemaError
from framework.serving.request import BodyTooLargeError

log = logging.getLogger(__name__)


def answer(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Plain data, numpy scalars among it, as JSON."""
    body = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY, default=str)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def refusal(error: Exception) -> Response:
    """A person's mistake: its sentence under the status that fits."""
    if isinstance(error, BodyTooLargeError):
        return Draining(answer({"error": str(error)}, status=error.status, headers={"connection": "close"}))
    status = status_of(error)
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    if (seconds := getattr(error, "retry_after", None)) is not None:
        headers["retry-after"] = str(math.ceil(seconds))
    return answer({"error": str(error)}, status=status, headers=headers)


def status_of(error: Exception) -> int:
    """The HTTP status of what went wrong."""
    if not isinstance(error, UserError):
        return 500
    return int(getattr(error, "status", 422 if isinstance(error, SchemaError) else 400))


def user_error(request: Request, error: Exception) -> Response:
    return refusal(error)


def http_error(request: Request, error: Exception) -> Response:
    """An address or a method that is not there: says what is."""
    assert isinstance(error, HTTPException)
    path, headers = request.url.path[:200], dict(error.headers or {})
    sentence = error.detail
    if error.status_code == 404:
        sentence = f"there is no {path}. Ask POST /api/v1/predict/NAME, GET /api/v1/models, /healthz or /openapi.json."
    elif error.status_code == 405:
        taken = [route.methods for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
        headers = {"allow": ", ".join(sorted(set().union(*taken)))}
        sentence = f"{path} does not take {request.method}. It takes: {headers['allow']}."
    return answer({"error": sentence}, status=error.status_code, headers=headers)


def gone(request: Request, error: Exception) -> Response:
    """For a client that hung up within its body: nobody reads this."""
    return Response(status_code=400)


def failure(request: Request, error: Exception) -> Response:
    """Our own mistake."""
    log.error("a request failed", exc_info=error)
    return answer({"error": f"the server failed on this request: {type(error).__name__}."}, status=500)


class Draining(Response):
    """An answer that is out at once, while the rest of its request is read and dropped.

    Many clients send all of their body before they look: closing on them would be a reset without a reason.
    """

    MOST_SECONDS = 10.0

    def __init__(self, whole: Response) -> None:
        super().__init__(whole.body, whole.status_code, dict(whole.headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(self.MOST_SECONDS):
                while (await receive()).get("more_body", False):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b""})
