"""POST /api/v1/predict/NAME: rows in, an answer a row out, as JSON or as an Arrow stream."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.arrow import MEDIA_TYPE, rows_of_stream, stream_of
from framework.serving.asking import ask, heads_of
from framework.serving.replica import Replica
from framework.serving.request import parse_rows
from framework.serving.routes.guarded import guarded

ARROW = MEDIA_TYPE.encode()


def predict_routes(replica: Replica) -> list[Route]:
    async def predict(request: Request) -> Response:
        live = await replica.opened(request.path_params["name"])
        heads = heads_of(request)
        arrow = heads.get(b"content-type", b"").startswith(ARROW)
        answered = await ask(replica, live, request, rows_of_stream if arrow else parse_rows)
        if ARROW in heads.get(b"accept", b""):
            return Response(stream_of(answered), media_type=MEDIA_TYPE)
        return answer(answered)

    return [guarded("POST", "/api/v1/predict/{name}", predict, "predict")]
