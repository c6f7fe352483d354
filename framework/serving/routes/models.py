"""GET /api/v1/models and /api/v1/models/NAME: what is served. DELETE: what no longer is."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.described import details, summary
from framework.serving.removal import check_idle, remove
from framework.serving.replica import Replica
from framework.serving.routes.guarded import guarded


def model_routes(replica: Replica) -> list[Route]:
    async def listed(request: Request) -> Response:
        models = [summary(live.served) for _, live in sorted(replica.models.items())]
        return answer({"models": models, "on_demand": replica.shelf.told()})

    async def one(request: Request) -> Response:
        served = (await replica.opened(request.path_params["name"])).served
        return answer(await asyncio.to_thread(details, served))

    async def delete(request: Request) -> Response:
        name = request.path_params["name"]
        check_idle(name, replica.sources())
        return answer(await asyncio.to_thread(remove, name))

    return [
        guarded("GET", "/api/v1/models", listed, "predict", "read"),
        guarded("GET", "/api/v1/models/{name}", one, "predict", "read"),
        guarded("DELETE", "/api/v1/models/{name}", delete),
    ]
