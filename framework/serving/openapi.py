"""The whole HTTP interface as an OpenAPI document, with the served models' real columns in it."""

from collections.abc import Iterable, Mapping
from typing import Any

from framework.monitoring.outcomes import MOST_ID
from framework.serving.operations import ASKED, TIMEOUT, Operation, body_of, content_of, operations, refusals, responses
from framework.serving.request import MOST_ROWS
from framework.serving.routes.jobs import MOST_LISTED
from framework.serving.schemas import (
    TEXT,
    TEXTS,
    VERSION,
    answer_schema,
    job_schema,
    row_schema,
    structure,
    training_schema,
)
from framework.serving.served import Served
from framework.serving.traffic.described import traffic_operations
from framework.serving.training.training import LONGEST, MOST_MINUTES, MOST_SEED

FREE = ("/healthz", "/v2/health/live", "/v2/health/ready")  # of a token
GUARDED = ("401", "403", "429")


def document(
    models: Iterable[Served], *, secured: bool, further: Mapping[str, dict[str, Operation]] | None = None
) -> dict[str, Any]:
    """The OpenAPI 3.1 description; secured: a bearer token is asked for. further: paths that were plugged in."""
    models = list(models)
    paths: dict[str, dict[str, Operation]] = {}
    for model in models:
        paths |= operations(model)
    for model in models:
        paths |= traffic_operations(model.name)
    paths |= _of_the_server([model.name for model in models])
    paths |= further or {}
    schemas: dict[str, Any] = {"Error": structure({"error": TEXT})}
    for model in models:
        schemas[f"{model.name}.row"] = row_schema(model.predictor.schema, model.example())
        schemas[f"{model.name}.answer"] = answer_schema(model)
    for path, methods in paths.items():
        for operation in methods.values():
            if path in FREE:
                operation["security"] = []
            operation["responses"] |= refusals(GUARDED if secured and path not in FREE else ("403",))
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Served models", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }
    if secured:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def _of_the_server(names: list[str]) -> dict[str, dict[str, Operation]]:
    summary = structure({"name": TEXT, "uri": TEXT, "version": VERSION, "kind": TEXT, "columns": {"type": "array"}})
    health = structure({"status": TEXT, "models": TEXTS})
    deleted = structure({"deleted": TEXT, "versions": {"type": "array", "items": {"type": "integer"}}})
    each = structure({"name": TEXT, "uri": TEXT, "version": VERSION, "in_memory": {"type": "boolean"}})
    counts = {key: {"type": "integer"} for key in ("slots", "opened", "put_away")}
    on_demand = structure({**counts, "models": {"type": "array", "items": each}})
    listed = structure({"models": {"type": "array", "items": summary}, "on_demand": on_demand})
    return {
        "/api/v1/models": {
            "get": _told("models", "The served models; of those opened on demand, which are in memory.", listed)
        },
        "/api/v1/models/compare": {"post": _compare(names)},
        "/api/v1/outcomes": {"post": _outcomes()},
        "/api/v1/models/{name}": {
            "delete": {
                **_told(
                    "delete", "Takes a model that does not serve out of the registry.", deleted, ("404", "409", "503")
                ),
                "parameters": [{"name": "name", "in": "path", "required": True, "schema": TEXT}],
            }
        },
        **_jobs(),
        "/healthz": {"get": _told("healthz", "200 while the replica answers.", health)},
        "/openapi.json": {"get": _told("openapi", "This document.", {"type": "object"})},
        "/v2": {"get": _told("v2", "The server, to the Open Inference Protocol.", structure({"name": TEXT}))},
        "/v2/health/live": {"get": _told("v2.live", "It lives.", structure({"live": {"type": "boolean"}}))},
        "/v2/health/ready": {"get": _told("v2.ready", "It answers.", structure({"ready": {"type": "boolean"}}))},
    }


def _jobs() -> dict[str, dict[str, Operation]]:
    id = {"name": "id", "in": "path", "required": True, "schema": TEXT}
    limit = {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": MOST_LISTED}}
    listed = structure({"jobs": {"type": "array", "items": job_schema()}})
    limits: dict[str, Any] = {"longest": LONGEST, "most_minutes": MOST_MINUTES, "most_seed": MOST_SEED}
    train = {
        "operationId": "train",
        "summary": "A contest of so many minutes on rows below the server's roots: a job.",
        "requestBody": body_of(training_schema(**limits)),
        "responses": _begun("The job, which waits or has begun.", ("400", "403", "404", "413", "415", "422", "503")),
    }
    cancel = {
        "operationId": "cancel",
        "summary": "Ends a job before its time.",
        "parameters": [id],
        "responses": _begun("It is being cancelled.", ("404", "409")),
    }
    return {
        "/api/v1/models/train": {"post": train},
        "/api/v1/jobs": {"get": {**_told("jobs", "The newest first.", listed, ("400",)), "parameters": [limit]}},
        "/api/v1/jobs/{id}": {
            "get": {**_told("job", "How far a job is.", job_schema(), ("404",)), "parameters": [id]},
            "delete": cancel,
        },
    }


def _begun(description: str, refused: tuple[str, ...]) -> dict[str, Any]:
    return {"202": {"description": description, **content_of(job_schema())}} | refusals(refused)


def _compare(names: list[str]) -> Operation:
    """Names are listed, rows are not: each model has its own columns."""
    models = {"type": "array", "items": {"enum": names} if names else TEXT, "minItems": 2, "uniqueItems": True}
    rows = {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": MOST_ROWS}
    about = {"type": "object", "additionalProperties": structure({"version": VERSION, "warnings": TEXTS})}
    answer = structure({"models": about, "rows": {"type": "array", "items": {"type": "object"}}})
    return {
        "operationId": "compare",
        "summary": "The same rows asked of several models, their answers side by side.",
        "parameters": [TIMEOUT],
        "requestBody": body_of(structure({"models": models, "rows": rows})),
        "responses": responses("By row and model.", content_of(answer), ASKED),
    }


def _outcomes() -> Operation:
    value = {"type": ["string", "number", "boolean"]}
    told = {
        **structure({"request": {"type": "string", "minLength": 1, "maxLength": MOST_ID}, "outcome": value}),
        "additionalProperties": False,
    }
    told["properties"] |= {"row": {"type": "integer", "minimum": 0, "default": 0}}
    many = {"type": "array", "items": told, "minItems": 1, "maxItems": MOST_ROWS}
    taken = content_of(structure({"taken": {"type": "integer"}}))
    return {
        "operationId": "outcomes",
        "summary": "What came true, by the X-Request-ID of the predictions, where a prediction log is kept.",
        "requestBody": body_of({"oneOf": [told, many]}),
        "responses": responses("How many were taken.", taken, ("400", "404", "413", "415")),
    }


def _told(name: str, summary: str, schema: dict[str, Any], refused: tuple[str, ...] = ()) -> Operation:
    return {"operationId": name, "summary": summary, "responses": responses(summary, content_of(schema), refused)}
