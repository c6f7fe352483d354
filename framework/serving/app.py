"""The HTTP application: which models it holds, who may ask them, and how it answers."""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cluster.user_error import UserError
from framework.data.schema import SchemaError
from framework.predictor import Predictor
from framework.serving.batcher import Batcher, Overloaded
from framework.serving.openapi import document
from framework.serving.request import RequestError, TooLarge, parse_rows, read_body
from framework.serving.served import Answer, Served
from framework.serving.served import Request as Rows

log = logging.getLogger(__name__)

LARGE = 64 * 1024  # bytes; larger bodies are parsed in a thread, so that small requests do not wait for them


@dataclass(frozen=True)
class Live:
    """A served model with the queue in front of it."""

    served: Served
    batcher: Batcher[Rows, Answer]


class Application:
    """What one replica runs: the models of its configuration, and the HTTP interface to them.

    configuration: {"models": {name: {"uri", "version", "folder"}}, "token": SHA-256 of the bearer token, hex, or None}.
    """

    def __init__(self) -> None:
        self.configuration: dict[str, Any] = {"models": {}, "token": None}
        self.models: dict[str, Live] = {}
        self.failed: dict[str, str] = {}

    async def reconfigure(self, configuration: dict[str, Any]) -> None:
        """Opens the models that are new, forgets those that are gone; the others never notice.

        A model that cannot be opened is told in `about`, and an older one under its name stays.
        """
        wanted: Mapping[str, Mapping[str, Any]] = configuration["models"]
        self.failed = {}
        models: dict[str, Live] = {}
        for name, source in wanted.items():
            live = self.models.get(name)
            if live is not None and source == self.configuration["models"].get(name):
                models[name] = live
                continue
            try:
                served = await asyncio.to_thread(open_model, name, **source)
                models[name] = Live(served, Batcher(served.score))
            except Exception as error:  # the border to a model's files: the other models live on
                log.exception("model %s could not be opened", name)
                self.failed[name] = str(error)
                if live is not None:
                    models[name] = live
        self.models, self.configuration = models, configuration

    def about(self) -> dict[str, Any]:
        """The configuration in force and the models that failed to open, for `serve` and `unserve`."""
        return {"configuration": self.configuration, "failed": self.failed}

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self.http()

    def http(self) -> ASGIApp:
        """The HTTP interface as an ASGI application."""
        routes = [
            Route("/api/v1/predict/{name}", self._predict, methods=["POST"]),
            Route("/api/v1/models", self._list, methods=["GET"]),
            Route("/healthz", self._health, methods=["GET"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
        ]
        handlers: Any = {
            HTTPException: _http_error,
            TooLarge: _too_large,
            UserError: _user_error,
            ClientDisconnect: _gone,
            Exception: _failure,
        }
        return Guard(Starlette(routes=routes, exception_handlers=handlers), self)

    async def _predict(self, request: Request) -> Response:
        name = request.path_params["name"]
        live = self.models.get(name)
        if live is None:
            names = ", ".join(sorted(self.models)) or "none"
            raise RequestError(f"no model {name!r} is served here. Served: {names}.", status=404)
        body = await read_body(request.stream(), declared=request.headers.get("content-length"))
        rows = parse_rows(body) if len(body) < LARGE else await asyncio.to_thread(parse_rows, body)
        try:
            answer = await live.batcher.ask(rows, rows=len(rows))
        except Overloaded:
            raise RequestError("too many rows are waiting. Try again in a second.", status=503) from None
        return _json(answer)

    async def _list(self, request: Request) -> Response:
        return _json({"models": [_description(live.served) for _, live in sorted(self.models.items())]})

    async def _health(self, request: Request) -> Response:
        return _json({"status": "ok", "models": sorted(self.models)})

    async def _openapi(self, request: Request) -> Response:
        served = [live.served for _, live in sorted(self.models.items())]
        return _json(document(served, secured=self.configuration["token"] is not None))


class Guard:
    """Lets in whoever bears the token; without a token, whoever asks on this machine's loopback address.

    Without a token a Host header with a foreign name is refused too: a web page that points its own name at 127.0.0.1
    (DNS rebinding) must not read the answers.
    """

    def __init__(self, app: ASGIApp, application: Application) -> None:
        self._app = app
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await _user_error(None, refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> RequestError | None:
        token = self._application.configuration["token"]
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


def open_model(name: str, *, uri: str, version: str | None, folder: str | None) -> Served:
    """The model of a URI, ready to answer: its first prediction, the slow one, is behind it.

    folder: where its files are on this machine; None: they are fetched from the registry.
    """
    if folder is None:
        from framework.registry import resolve

        folder = str(resolve(uri))
    served = Served(name, uri, version, Predictor.open(folder))
    served.score([[served.example()]])
    return served


def _description(served: Served) -> dict[str, Any]:
    problem, schema = served.predictor.problem, served.predictor.schema
    return {
        "name": served.name,
        "uri": served.uri,
        "version": served.version,
        "kind": problem.kind,
        "target": problem.target,
        "classes": list(schema.classes),
        "columns": [{"name": column.name, "kind": column.kind} for column in schema.columns],
        "example": served.example(),
    }


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


def _json(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY, default=str)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def _user_error(request: Request | None, error: Exception) -> Response:
    status = getattr(error, "status", 422 if isinstance(error, SchemaError) else 400)
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return _json({"error": str(error)}, status=status, headers=headers)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    said = {
        404: f"there is no {path}. Ask POST /api/v1/predict/NAME, GET /api/v1/models, /healthz or /openapi.json.",
        405: f"{path} does not take {request.method}. Predictions are asked by POST, all else by GET.",
    }
    return _json({"error": said.get(error.status_code, error.detail)}, status=error.status_code, headers=error.headers)


def _too_large(request: Request, error: Exception) -> Response:
    return Draining(_json({"error": str(error)}, status=413, headers={"connection": "close"}))


class Draining(Response):
    """An answer that is out at once, while the rest of its request is read and dropped.

    Many clients send all of their body before they look: closing on them would be a reset without a reason.
    """

    MOST_SECONDS = 10.0

    def __init__(self, answer: Response) -> None:
        super().__init__(answer.body, answer.status_code, dict(answer.headers))

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


def _gone(request: Request, error: Exception) -> Response:
    """For a client that hung up within its body: nobody reads this."""
    return Response(status_code=400)


def _failure(request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return _json({"error": f"the server failed on this request: {type(error).__name__}."}, status=500)
