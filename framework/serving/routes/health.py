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
        return answer({"status": "ok", "models": sorted(replica.models)})

    async def openapi(request: Request) -> Response:
        served = [live.served for _, live in sorted(replica.models.items())]
        return answer(document(served, secured=replica.tokens.asked_for))

    return [
        unguarded("/healthz", health),
        guarded("GET", "/openapi.json", openapi, "predict", "read", "train"),
    ]
