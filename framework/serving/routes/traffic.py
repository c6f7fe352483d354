"""GET /api/v1/traffic/NAME: which versions answer, and how well. PUT: shares requests out anew. DELETE: ends that."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.asking import body_of, heads_of
from framework.serving.replica import Replica
from framework.serving.request import RequestError
from framework.serving.routes.guarded import guarded
from framework.serving.traffic.asked import Asked, parse_traffic, plan_of


def traffic_routes(replica: Replica) -> list[Route]:
    async def get(request: Request) -> Response:
        return answer(await asyncio.to_thread(replica.routing.told, _name(request)))

    async def put(request: Request) -> Response:
        name = _name(request)
        asked = await body_of(request, heads_of(request), parse_traffic)
        await asyncio.to_thread(_direct, name, asked)
        return answer(await asyncio.to_thread(replica.routing.told, name))

    async def delete(request: Request) -> Response:
        name = _name(request)
        await asyncio.to_thread(replica.routing.undirect, name)
        return answer(await asyncio.to_thread(replica.routing.told, name))

    def _name(request: Request) -> str:
        return replica.live(request.path_params["name"]).served.name

    def _direct(name: str, asked: Asked) -> None:
        from framework.registry import RegistryError
        from framework.tracking import TrackingError

        source = replica.configuration["models"][name]
        try:
            plan = plan_of(asked, replica.models[name].served, local=source["folder"] is not None)
        except RegistryError as error:
            raise RequestError(str(error), status=404) from error
        except TrackingError as error:
            raise RequestError(str(error), status=503) from error
        replica.routing.direct(name, plan)

    return [
        guarded("GET", "/api/v1/traffic/{name}", get, "read"),
        guarded("PUT", "/api/v1/traffic/{name}", put),
        guarded("DELETE", "/api/v1/traffic/{name}", delete),
    ]
