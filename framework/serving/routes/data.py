"""POST /api/v1/data/NAME: rows that are made. GET: what may be asked of them."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.replica import Replica
from framework.serving.routes.guarded import guarded


def data_routes(replica: Replica) -> list[Route]:
    async def made(request: Request) -> Response:
        return await replica.data.named(request.path_params["name"]).answer(request)

    async def told(request: Request) -> Response:
        return answer(replica.data.named(request.path_params["name"]).told())

    return [
        guarded("POST", "/api/v1/data/{name}", made, "predict"),
        guarded("GET", "/api/v1/data/{name}", told, "predict", "read"),
    ]
