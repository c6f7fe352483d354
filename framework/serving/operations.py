"""What may be asked of one served model, as OpenAPI operations."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from framework.serving import arrow, explaining
from framework.serving.infer import inputs_of
from framework.serving.request import MOST_ROWS
from framework.serving.schemas import TENSOR, TEXT, TEXTS, explanation_schema, job_schema, structure
from framework.serving.served import Served

Operation = dict[str, Any]
JSON = "application/json"
BYTES = "application/octet-stream"
REASONS = {
    "400": "the body or a header is not understood",
    "401": "no token, or a wrong one",
    "403": "the token has not the role, or the server has no token and this is not its machine",
    "404": "no model of this name is served, or no such version",
    "409": "the model serves traffic, the file is there already, or the job has ended",
    "413": "too many rows, columns or bytes",
    "415": "a compressed body",
    "422": "the rows do not fit the model's columns",
    "429": "the token is over its rate: Retry-After says until when",
    "503": "too much is waiting, until Retry-After; or the registry cannot be reached",
    "504": "X-Timeout-Seconds are over",
}
ASKED = ("400", "404", "413", "415", "422", "503", "504")
TIMEOUT = {
    "name": "X-Timeout-Seconds",
    "in": "header",
    "description": "Seconds within which an answer is of use; then it is 504.",
    "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 3600},
}
LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Bytes of JSON, where tensors follow as bytes.",
    "schema": {"type": "integer", "minimum": 0},
}


def operations(model: Served) -> dict[str, dict[str, Operation]]:
    """Path → method → operation."""
    called, problem = quote(model.name, safe=""), model.predictor.problem
    row = reference(model.name, "row")
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": MOST_ROWS}
    asked = f"Predicts {problem.target!r} ({problem.kind})" if problem.target else f"Assigns clusters ({problem.kind})"
    body = body_of({"oneOf": [row, rows, structure({"rows": rows})]}, example=model.example())
    body["content"][arrow.MEDIA_TYPE] = {"schema": {"type": "string", "format": "binary"}}
    answered = content_of(reference(model.name, "answer"))
    answered["content"][arrow.MEDIA_TYPE] = {"schema": {"type": "string", "format": "binary"}}
    return {
        f"/api/v1/predict/{called}": {
            "post": {
                "operationId": f"predict.{model.name}",
                "summary": f"{asked} for one row or many.",
                "parameters": [TIMEOUT],
                "requestBody": body,
                "responses": responses("An answer a row, in the order of the rows.", answered, ASKED),
            }
        },
        f"/api/v1/models/{called}": {
            "get": {
                "operationId": f"details.{model.name}",
                "summary": "The question, the columns with their categories, and the facts of the contest.",
                "responses": responses("All that its folder says.", content_of({"type": "object"}), ("404",)),
            }
        },
        f"/api/v1/models/{called}/explain": {"post": _explain(model, row)},
        f"/api/v1/batch/{called}": {"post": _batch(model)},
        **_inference(model, called),
    }


def _explain(model: Served, row: dict[str, Any]) -> Operation:
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": explaining.MOST_ROWS}
    seconds = {"type": "number", "exclusiveMinimum": 0, "maximum": explaining.MOST_SECONDS}
    background = {"type": "array", "items": row, "maxItems": explaining.MOST_BACKGROUND}
    whole = {
        **structure({"rows": rows}),
        "properties": {"rows": rows, "background": background, "seconds": seconds},
        "additionalProperties": False,
    }
    return {
        "operationId": f"explain.{model.name}",
        "summary": "What each column added to each answer: base + contributions = prediction.",
        "parameters": [TIMEOUT],
        "requestBody": body_of({"oneOf": [row, rows, whole]}, example=model.example()),
        "responses": responses("An explanation a row.", content_of(explanation_schema()), ASKED),
    }


def _batch(model: Served) -> Operation:
    accepted = {"202": {"description": "The job that has begun.", **content_of(job_schema())}}
    return {
        "operationId": f"batch.{model.name}",
        "summary": "A file of rows in, a file of answers out, both below the server's roots: a job.",
        "requestBody": body_of({**structure({"data": TEXT, "out": TEXT}), "additionalProperties": False}),
        "responses": accepted | refusals(("400", "403", "404", "409", "413", "415", "422", "503")),
    }


def _inference(model: Served, called: str) -> dict[str, dict[str, Operation]]:
    """The Open Inference Protocol V2."""
    request = {
        **structure({"inputs": {"type": "array", "items": TENSOR, "minItems": 1}}),
        "properties": {
            "id": TEXT,
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "items": TENSOR, "minItems": 1},
            "outputs": {"type": "array", "items": structure({"name": TEXT})},
        },
    }
    row = model.example()
    tensors = [{"name": n, "datatype": kind, "shape": [1], "data": [row[n]]} for n, kind in inputs_of(model)]
    body = body_of(request, example={"inputs": tensors})
    body["content"][BYTES] = {"schema": {"type": "string", "format": "binary"}}
    answered = content_of(structure({"model_name": TEXT, "outputs": {"type": "array", "items": TENSOR}}))
    answered["content"][BYTES] = {"schema": {"type": "string", "format": "binary"}}
    named = {"type": "array", "items": structure({"name": TEXT, "datatype": TEXT, "shape": {"type": "array"}})}
    described = structure({"name": TEXT, "versions": TEXTS, "platform": TEXT, "inputs": named, "outputs": named})
    ready = structure({"name": TEXT, "ready": {"type": "boolean"}})
    found: dict[str, dict[str, Operation]] = {}
    for version in ["", *([f"/versions/{model.version}"] if model.version else [])]:
        path, suffix = f"/v2/models/{called}{version}", f"{model.name}{version.replace('/', '.')}"
        told = (("metadata", path, "Its tensors.", described), ("ready", f"{path}/ready", "It answers.", ready))
        for name, at, summary, schema in told:
            answer = responses(summary, content_of(schema), ("404",))
            found[at] = {"get": {"operationId": f"v2.{name}.{suffix}", "summary": summary, "responses": answer}}
        found[f"{path}/infer"] = {
            "post": {
                "operationId": f"v2.infer.{suffix}",
                "summary": "The same answers as tensors, in JSON or in bytes.",
                "parameters": [TIMEOUT, LENGTH],
                "requestBody": body,
                "responses": responses("The outputs.", answered, ASKED),
            }
        }
    return found


def responses(summary: str, content: dict[str, Any], refused: Iterable[str]) -> dict[str, Any]:
    """The answer, and the refusals of these statuses."""
    return {"200": {"description": summary, **content}, **refusals(refused)}


def refusals(statuses: Iterable[str]) -> dict[str, Any]:
    """Each with one sentence; when to come back where that would help."""
    error = content_of({"$ref": "#/components/schemas/Error"})
    retry = {"headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}}
    return {
        status: {"description": REASONS[status], **error, **(retry if status in ("429", "503") else {})}
        for status in statuses
    }


def body_of(schema: dict[str, Any], **extra: Any) -> dict[str, Any]:
    return {"required": True, "content": {JSON: {"schema": schema, **extra}}}


def content_of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {JSON: {"schema": schema}}}


def reference(model: str, what: str) -> dict[str, Any]:
    """A schema of the document's, by its pointer inside a URI."""
    return {"$ref": f"#/components/schemas/{quote(model.replace('~', '~0').replace('/', '~1'), safe='~')}.{what}"}
