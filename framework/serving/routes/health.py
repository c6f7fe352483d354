"""Whether the replica lives, and what its interface is."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.openapi import document
from framework.serving.replica import Replica
from framework.serving.routes.guarded import guarded, unguarded


def health_routes(replica: Replica) -> list[Route]:
    async def health(request: Request) -> Response:
        data = {"data": sorted(replica.data.makers)} if replica.data.makers else {}
        return answer({"status": "ok", "models": replica.names(), **data})

    async def openapi(request: Request) -> Response:
        live = {each.served.name: each.served for each in (*replica.shelf.in_memory(), *replica.models.values())}
        served = [each for _, each in sorted(live.items())]
        return answer(document(served, secured=replica.tokens.asked_for, further=replica.data.described()))

    return [
        unguarded("/healthz", health),
        guarded("GET", "/openapi.json", openapi, "predict", "read", "train"),
    ]
