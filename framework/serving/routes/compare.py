"""POST /api/v1/models/compare: the same rows asked of several models, their answers side by side."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cluster.user_error import UserError
from framework.serving.answer import answer, status_of
from framework.serving.asking import body_of, heads_of, score, within
from framework.serving.replica import Replica
from framework.serving.request import RequestError, Row, parse_json, rows_of
from framework.serving.routes.guarded import guarded
from framework.serving.served import Answer

MOST_MODELS = 8
WAY_OUT = 'Send {"models": [NAME, NAME], "rows": [...]}.'


def compare_routes(replica: Replica) -> list[Route]:
    async def compare(request: Request) -> Response:
        heads = heads_of(request)

        async def work() -> dict[str, Any]:
            names, rows = await body_of(request, heads, _asked)
            answered = await asyncio.gather(*(_answer(replica, name, rows) for name in names))
            return {
                "models": {
                    name: {key: each[key] for key in ("version", "warnings")} for name, each in _zip(names, answered)
                },
                "rows": [
                    {name: each["predictions"][place] for name, each in _zip(names, answered)}
                    for place in range(len(rows))
                ],
            }

        return answer(await within(heads, work))

    return [guarded("POST", "/api/v1/models/compare", compare, "predict")]


async def _answer(replica: Replica, name: str, rows: list[Row]) -> Answer:
    """The model's answer. Raises RequestError naming the model that refuses the rows."""
    live = await replica.opened(name)
    try:
        return await score(live, rows)
    except UserError as error:
        wait = getattr(error, "retry_after", None)
        raise RequestError(f"{name}: {error}", status=status_of(error), retry_after=wait) from error


def _asked(body: bytes) -> tuple[list[str], list[Row]]:
    content = parse_json(body, way_out=WAY_OUT)
    if not isinstance(content, dict) or content.keys() != {"models", "rows"}:
        raise RequestError(f"the body holds something else than models and rows. {WAY_OUT}")
    names = content["models"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError(f"models is no list of names. {WAY_OUT}")
    if not 2 <= len(set(names)) == len(names) <= MOST_MODELS:
        raise RequestError(
            f"{len(set(names))} different names in {len(names)}; 2 to {MOST_MODELS} models are compared."
        )
    if not isinstance(content["rows"], list):
        raise RequestError(f"rows is no list. {WAY_OUT}")
    return names, rows_of(content["rows"])


def _zip(names: list[str], answered: list[Answer]) -> list[tuple[str, Answer]]:
    return list(zip(names, answered, strict=True))
