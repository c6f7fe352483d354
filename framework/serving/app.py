"""The HTTP application of one replica: its routes, who may ask them, and how it refuses."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from cluster.user_error import UserError
from framework.serving.answer import failure, gone, user_error
from framework.serving.guard import Guard
from framework.serving.identified import Identified
from framework.serving.observing import Observer
from framework.serving.page.missing import missing
from framework.serving.page.routes import page_routes
from framework.serving.replica import Replica
from framework.serving.routes.compare import compare_routes
from framework.serving.routes.data import data_routes
from framework.serving.routes.explain import explain_routes
from framework.serving.routes.health import health_routes
from framework.serving.routes.inference import inference_routes
from framework.serving.routes.jobs import job_routes
from framework.serving.routes.models import model_routes
from framework.serving.routes.outcomes import outcome_routes
from framework.serving.routes.predict import predict_routes
from framework.serving.routes.traffic import traffic_routes
from framework.serving.traffic.plan import Plan

ROUTES = (
    predict_routes,
    inference_routes,
    compare_routes,
    explain_routes,
    outcome_routes,
    data_routes,
    model_routes,
    traffic_routes,
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

    async def traffic(self, name: str) -> dict[str, Any]:
        """As `Routing.told`, or {"error": sentence}."""
        return await _or_error(self.replica.routing.told, name)

    async def direct(self, name: str, plan: dict[str, Any]) -> dict[str, Any]:
        """As `Routing.direct`, then `traffic`."""
        told = await _or_error(self.replica.routing.direct, name, Plan.from_json(plan))
        return told if "error" in told else await self.traffic(name)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self.http(echo=False)

    def http(self, *, echo: bool = True) -> ASGIApp:
        """The HTTP interface as an ASGI application; the route that is asked most comes first. echo: see Identified."""
        replica = self.replica
        routes = [*(route for routes in ROUTES for route in routes(replica)), *page_routes(replica)]
        handlers: Any = {
            HTTPException: missing,
            UserError: user_error,
            ClientDisconnect: gone,
            Exception: failure,
        }

        @contextlib.asynccontextmanager
        async def living(_: Starlette) -> AsyncIterator[None]:
            yield
            await asyncio.to_thread(replica.observing.close)  # ends in order: what observers still hold is written

        app = Starlette(routes=routes, exception_handlers=handlers, lifespan=living)
        return Identified(Guard(app, lambda: replica.tokens, replica.guesses), echo=echo)


async def _or_error(work: Callable[..., dict[str, Any] | None], *arguments: Any) -> dict[str, Any]:
    """What work in a thread gives; a person's mistake as its sentence, because it has to cross to another process."""
    try:
        return await asyncio.to_thread(work, *arguments) or {}
    except UserError as error:
        return {"error": str(error)}
