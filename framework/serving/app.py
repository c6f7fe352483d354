"""The HTTP application: which models it holds, who may ask them, and how it answers."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cluster.user_error import UserError
from framework.predictor import Predictor
from framework.serving.answer import answer, failure, gone, http_error, user_error
from framework.serving.batcher import Batcher, OverloadError
from framework.serving.guard import Guard
from framework.serving.openapi import document
from framework.serving.request import RequestError, parse_rows, read_body
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
            HTTPException: http_error,
            UserError: user_error,
            ClientDisconnect: gone,
            Exception: failure,
        }
        return Guard(Starlette(routes=routes, exception_handlers=handlers), lambda: self.configuration["token"])

    async def _predict(self, request: Request) -> Response:
        name = request.path_params["name"]
        live = self.models.get(name)
        if live is None:
            names = ", ".join(sorted(self.models)) or "none"
            raise RequestError(f"no model {name!r} is served here. Served: {names}.", status=404)
        body = await read_body(request.stream(), declared=request.headers.get("content-length"))
        rows = parse_rows(body) if len(body) < LARGE else await asyncio.to_thread(parse_rows, body)
        try:
            answered = await live.batcher.ask(rows, rows=len(rows))
        except OverloadError:
            raise RequestError("too many rows are waiting. Try again in a second.", status=503) from None
        return answer(answered)

    async def _list(self, request: Request) -> Response:
        return answer({"models": [_description(live.served) for _, live in sorted(self.models.items())]})

    async def _health(self, request: Request) -> Response:
        return answer({"status": "ok", "models": sorted(self.models)})

    async def _openapi(self, request: Request) -> Response:
        served = [live.served for _, live in sorted(self.models.items())]
        return answer(document(served, secured=self.configuration["token"] is not None))


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
