"""GET /models/NAME/traffic: which versions answer, how the requests are shared out, and how well each does."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.page.web import page, piece
from framework.serving.replica import Replica

SHADES = 4  # of the accent, for as many arms; then they repeat


def traffic_routes(replica: Replica) -> list[Route]:
    async def one(request: Request) -> Response:
        name = str(request.path_params["name"])
        replica.source(name)
        told = await asyncio.to_thread(replica.routing.told, name)
        shown = {"traffic": told, "arms": arms_of(told), "shades": SHADES}
        return piece(request, "_traffic.html", title=f"Traffic of {name}", **shown)

    return [page(replica, "GET", "/models/{name}/traffic", one, "read")]


def arms_of(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The arms with where each begins on the bar, and the share of its requests that failed; shares from 0 to 1."""
    found, begin = [], 0.0
    for arm in told["arms"]:
        share = arm["weight"] / 100
        failed = arm["errors"] / arm["requests"] if arm["requests"] else 0.0
        found.append({**arm, "share": share, "begin": begin, "failed": failed})
        begin += share
    return found
