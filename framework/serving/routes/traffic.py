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
from framework.serving.traffic.plan import TrafficError


def traffic_routes(replica: Replica) -> list[Route]:
    async def get(request: Request) -> Response:
        return answer(await asyncio.to_thread(replica.routing.told, _name(request)))

    async def put(request: Request) -> Response:
        name = _name(request)
        asked = await body_of(request, heads_of(request), parse_traffic)
        await asyncio.to_thread(direct, replica, name, asked)
        return answer(await asyncio.to_thread(replica.routing.told, name))

    async def delete(request: Request) -> Response:
        name = _name(request)
        await asyncio.to_thread(replica.routing.undirect, name)
        return answer(await asyncio.to_thread(replica.routing.told, name))

    def _name(request: Request) -> str:
        name = str(request.path_params["name"])
        replica.source(name)
        return name

    return [
        guarded("GET", "/api/v1/traffic/{name}", get, "read"),
        guarded("PUT", "/api/v1/traffic/{name}", put),
        guarded("DELETE", "/api/v1/traffic/{name}", delete),
    ]


def direct(replica: Replica, name: str, asked: Asked) -> None:
    """Shares a served name's requests out as asked, and returns when every replica does so.

    Raises RequestError: 404 for a version that is not there, 503 where the registry is not, 422 for what does not go.
    """
    from framework.registry import RegistryError
    from framework.tracking import TrackingError

    if name in replica.shelf:
        raise TrafficError(f"{name!r} is opened on demand, and its traffic cannot be shared out. Serve it by itself.")
    source = replica.configuration["models"][name]
    try:
        plan = plan_of(asked, replica.models[name].served, local=source["folder"] is not None)
    except RegistryError as error:
        raise RequestError(str(error), status=404) from error
    except TrackingError as error:
        raise RequestError(str(error), status=503) from error
    replica.routing.direct(name, plan)
