"""POST /api/v1/outcomes: what came true, by the ids of the requests that asked, into the prediction log."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.monitoring.outcomes import Outcome, parse
from framework.monitoring.prediction_log import PredictionLog
from framework.serving.answer import answer
from framework.serving.asking import body_of, heads_of
from framework.serving.replica import Replica
from framework.serving.request import MOST_ROWS, RequestError, parse_json
from framework.serving.routes.guarded import guarded

WAY_OUT = 'Send [{"request": ID, "row": 0, "outcome": VALUE}, ...].'


def outcome_routes(replica: Replica) -> list[Route]:
    async def post(request: Request) -> Response:
        posted = await body_of(request, heads_of(request), parse_outcomes)
        log = next((each for each in replica.observing.observers if isinstance(each, PredictionLog)), None)
        if log is None:
            raise RequestError(
                "no prediction log is kept here, so no outcome belongs to any. Serve with --log.", status=404
            )
        return answer({"taken": await asyncio.to_thread(log.outcomes.post, posted)})

    return [guarded("POST", "/api/v1/outcomes", post, "predict")]


def parse_outcomes(body: bytes) -> list[Outcome]:
    """One outcome or a list of them. Raises RequestError or LogError naming the first that is none."""
    content = parse_json(body, way_out=WAY_OUT)
    told = content if isinstance(content, list) else [content]
    if not told:
        raise RequestError(f"the list of outcomes is empty. {WAY_OUT}")
    if len(told) > MOST_ROWS:
        raise RequestError(f"{len(told):,} outcomes in one request; at most {MOST_ROWS:,} are taken.", status=413)
    return [parse(each, place) for place, each in enumerate(told, 1)]
