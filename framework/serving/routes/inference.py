"""The Open Inference Protocol V2 under /v2: what KServe's and Triton's clients speak."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.answer import answer
from framework.serving.asking import ask, heads_of
from framework.serving.infer import Infer, inputs_of, outputs_of, parse_infer, tensors_of
from framework.serving.live import Live
from framework.serving.replica import Replica
from framework.serving.request import RequestError, Row
from framework.serving.routes.guarded import guarded, unguarded

VERSION = "1"  # of the HTTP interface, as openapi.json tells it
LENGTH = "inference-header-content-length"


def inference_routes(replica: Replica) -> list[Route]:
    async def infer(request: Request) -> Response:
        live, asked = await _live(replica, request), list[Infer]()
        head = heads_of(request).get(LENGTH.encode())

        def read(body: bytes) -> list[Row]:
            asked.append(parse_infer(body, head=None if head is None else head.decode("latin-1")))
            return asked[0].rows

        named = "version" in request.path_params
        answered = await ask(replica, live, request, read, routed=not named)
        body, length = tensors_of(live.served, answered, asked[0])
        if length is None:
            return Response(body, media_type="application/json")
        return Response(body, media_type="application/octet-stream", headers={LENGTH: str(length)})

    async def model(request: Request) -> Response:
        served = (await _live(replica, request)).served
        told = {
            kind: [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in tensors]
            for kind, tensors in (("inputs", inputs_of(served)), ("outputs", outputs_of(served)))
        }
        versions = [] if served.version is None else [served.version]
        return answer({"name": served.name, "versions": versions, "platform": "contenders", **told})

    async def model_ready(request: Request) -> Response:
        return answer({"name": (await _live(replica, request)).served.name, "ready": True})

    async def server(request: Request) -> Response:
        return answer({"name": "contenders", "version": VERSION, "extensions": ["binary_tensor_data"]})

    async def alive(request: Request) -> Response:
        return answer({"live": True})

    async def ready(request: Request) -> Response:
        return answer({"ready": True})

    routes = [unguarded("/v2/health/live", alive), unguarded("/v2/health/ready", ready)]
    routes.append(guarded("GET", "/v2", server, "predict", "read"))
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        routes += [
            guarded("POST", f"{path}/infer", infer, "predict"),
            guarded("GET", path, model, "predict", "read"),
            guarded("GET", f"{path}/ready", model_ready, "predict", "read"),
        ]
    return routes


async def _live(replica: Replica, request: Request) -> Live:
    """The model that the address names. Raises RequestError (404) for another version than those that are served."""
    live, wanted = await replica.opened(request.path_params["name"]), request.path_params.get("version")
    if wanted is not None and (arm := replica.routing.version(live.served.name, wanted)) is not None:
        return arm
    if wanted is not None and wanted != live.served.version:
        served = f"version {live.served.version}" if live.served.version else "no numbered version"
        raise RequestError(f"of {live.served.name!r} {served} is served, not {wanted[:40]!r}.", status=404)
    return live
