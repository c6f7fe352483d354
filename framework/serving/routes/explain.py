"""POST /api/v1/models/NAME/explain: what each column added to each answer."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.asking import body_of, heads_of, within
from framework.serving.explaining import parse_explained
from framework.serving.explanations import explained
from framework.serving.replica import Replica
from framework.serving.routes.guarded import guarded


def explain_routes(replica: Replica) -> list[Route]:
    async def explain(request: Request) -> Response:
        served, heads = (await replica.opened(request.path_params["name"])).served, heads_of(request)

        async def work() -> dict[str, Any]:
            return await explained(served, await body_of(request, heads, parse_explained))

        return answer(await within(heads, work))

    return [guarded("POST", "/api/v1/models/{name}/explain", explain, "predict")]
