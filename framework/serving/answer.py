"""Answers and refusals as JSON: `{"error": sentence}` for whatever went wrong."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

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
    status = getattr(error, "status", 422 if isinstance(error, SchemaError) else 400)
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return answer({"error": str(error)}, status=status, headers=headers)


def user_error(request: Request, error: Exception) -> Response:
    return refusal(error)


def http_error(request: Request, error: Exception) -> Response:
    """An address or a method that is not there: says what is."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    said = {
        404: f"there is no {path}. Ask POST /api/v1/predict/NAME, GET /api/v1/models, /healthz or /openapi.json.",
        405: f"{path} does not take {request.method}. Predictions are asked by POST, all else by GET.",
    }
    sentence = said.get(error.status_code, error.detail)
    return answer({"error": sentence}, status=error.status_code, headers=error.headers)


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
