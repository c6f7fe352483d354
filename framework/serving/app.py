"""The HTTP application of one replica: its routes, who may ask them, and how it refuses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from cluster.user_error import UserError
from framework.serving.answer import failure, gone, http_error, user_error
from framework.serving.guard import Guard
from framework.serving.observing import Observer
from framework.serving.replica import Replica
from framework.serving.routes.compare import compare_routes
from framework.serving.routes.explain import explain_routes
from framework.serving.routes.health import health_routes
from framework.serving.routes.inference import inference_routes
from framework.serving.routes.jobs import job_routes
from framework.serving.routes.models import model_routes
from framework.serving.routes.outcomes import outcome_routes
from framework.serving.routes.predict import predict_routes

ROUTES = (
    predict_routes,
    inference_routes,
    compare_routes,
    explain_routes,
    outcome_routes,
    model_routes,
    job_routes,
    health_routes,
)


class Application:
    """What Ray Serve runs: a replica's models, and the HTTP interface to them. observers: as `Replica` has them."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self.replica = Replica(observers)

    async def reconfigure(self, configuration: dict[str, Any]) -> None:
        """As `Replica.reconfigure`."""
        await self.replica.reconfigure(configuration)

    def about(self) -> dict[str, Any]:
        """As `Replica.about`."""
        return self.replica.about()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self.http()

    def http(self) -> ASGIApp:
        """The HTTP interface as an ASGI application; the route that is asked most comes first."""
        replica = self.replica
        routes = [route for routes in ROUTES for route in routes(replica)]
        handlers: Any = {
            HTTPException: http_error,
            UserError: user_error,
            ClientDisconnect: gone,
            Exception: failure,
        }

        @contextlib.asynccontextmanager
        async def living(_: Starlette) -> AsyncIterator[None]:
            yield
            await asyncio.to_thread(replica.observing.close)  # ends in order: what observers still hold is written

        return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=living), lambda: replica.tokens)
