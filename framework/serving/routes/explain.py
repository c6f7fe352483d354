"""POST /api/v1/models/NAME/explain: what each column added to each answer."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cluster.user_error import UserError
from framework.serving.answer import answer
from framework.serving.asking import body_of, heads_of, within
from framework.serving.explaining import Explained, explanation, parse_explained
from framework.serving.replica import Replica
from framework.serving.request import RequestError, reason
from framework.serving.routes.guarded import guarded
from framework.serving.served import Served

MOST_WAITING = 4  # explanations; each may take seconds, one at a time, beside the predictions


def explain_routes(replica: Replica) -> list[Route]:
    thread = ThreadPoolExecutor(1, thread_name_prefix="explaining")
    asked_for: set[asyncio.Future[dict[str, Any]]] = set()

    async def explain(request: Request) -> Response:
        served, heads = replica.live(request.path_params["name"]).served, heads_of(request)

        async def work() -> dict[str, Any]:
            asked = await body_of(request, heads, parse_explained)
            if len(asked_for) >= MOST_WAITING:
                raise RequestError("too many explanations are waiting.", status=503, retry_after=asked.seconds)
            future = asyncio.get_running_loop().run_in_executor(thread, _explained, served, asked)
            asked_for.add(future)
            future.add_done_callback(asked_for.discard)
            return await future

        return answer(await within(heads, work))

    return [guarded("POST", "/api/v1/models/{name}/explain", explain, "predict")]


def _explained(served: Served, asked: Explained) -> dict[str, Any]:
    try:
        return explanation(served, asked)
    except (ValueError, ArithmeticError) as error:  # the border to the model: a row that it chokes on
        if isinstance(error, UserError):
            raise
        raise RequestError(f"model {served.name} cannot explain these rows: {reason(error)}", status=422) from error
