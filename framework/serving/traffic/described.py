"""A name's traffic in the OpenAPI document."""

from typing import Any
from urllib.parse import quote

from framework.serving.operations import Operation, body_of, content_of, refusals, responses
from framework.serving.schemas import TEXT, VERSION, structure
from framework.serving.traffic.plan import STEPS

COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
NUMBER: dict[str, Any] = {"type": ["number", "null"]}
PART: dict[str, Any] = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}


def traffic_operations(name: str) -> dict[str, dict[str, Operation]]:
    """Path → method → operation, for one served name."""
    content = content_of(traffic_schema())
    told = responses("The name's traffic as it is now.", content, ("404", "503"))
    return {
        f"/api/v1/traffic/{quote(name, safe='')}": {
            "get": {
                "operationId": f"traffic.{name}",
                "summary": "Which versions answer, how they do, and what a test between them says so far.",
                "responses": told,
            },
            "put": {
                "operationId": f"share.{name}",
                "summary": "Shares the requests out between versions, to a shadow, or step by step to a new one.",
                "requestBody": body_of(asked_schema(), example={"arms": [{"version": "1", "weight": 100}]}),
                "responses": told | refusals(("400", "413", "415", "422")),
            },
            "delete": {
                "operationId": f"unshare.{name}",
                "summary": "Ends it: the model that the name is served with answers alone.",
                "responses": told,
            },
        }
    }


def asked_schema() -> dict[str, Any]:
    """What PUT takes. A version is its number in the registry, or an alias."""
    version = {"type": ["string", "integer"], "examples": ["3", "challenger"]}
    weight = {"type": "number", "minimum": 0, "maximum": 1e6, "default": 100}
    canary = {
        "steps": {"type": "array", "items": {"type": "number"}, "default": list(STEPS), "description": "Percent."},
        "requests": {"type": "integer", "minimum": 1, "default": 200, "description": "Of a step, at least."},
        "seconds": {"type": "number", "minimum": 0, "default": 60, "description": "Of a step, at least."},
        "errors": {"type": "number", "default": 0.01, "description": "The share of errors it may have more."},
        "latency": {"type": "number", "default": 1.5, "description": "How many times slower it may answer."},
        "drift": {"type": "number", "default": 0.5, "description": "Of its mean answer, in standard deviations."},
        "alpha": {"type": "number", "default": 0.05, "description": "The chance of taking a good version back."},
    }
    arm = {"version": version, "weight": weight}
    key = {"type": ["string", "null"], "description": "The column of the rows that makes a version stick to a key."}
    properties = {
        "arms": {"type": "array", "items": _some(arm, "version"), "minItems": 1, "maxItems": 10},
        "key": key,
        "shadow": _or_null(_some({"version": version, "share": {**PART, "default": 1}}, "version")),
        "canary": _or_null(_some(canary)),
        "promote_automatically": {"type": "boolean", "default": False},
        "effect": {**NUMBER, "description": "The difference of the metric that is worth finding."},
        "alpha": {"type": "number", "default": 0.05},
    }
    return _some(properties, "arms")


def traffic_schema() -> dict[str, Any]:
    """What GET tells."""
    latency = structure({"p50": NUMBER, "p99": NUMBER})
    counts = {"requests": COUNT, "errors": COUNT, "latency_ms": latency}
    percent = {"type": "number", "minimum": 0, "maximum": 100, "description": "Percent of the requests."}
    arm = structure({"version": VERSION, "uri": TEXT, "weight": percent, **counts, "outcomes": COUNT})
    agreement = structure({"rows": COUNT, "same": NUMBER, "difference": NUMBER})
    shadow = {"version": TEXT, "uri": TEXT, "share": PART, **counts, "dropped": COUNT, "agreement": agreement}
    place = {**COUNT, "description": "The place in steps, from 0."}
    canary = {"steps": {"type": "array", "items": percent}, "step": place, "state": TEXT, "why": TEXT}
    ends = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
    test = {"metric": TEXT, "difference": NUMBER, "interval": ends, "p_value": NUMBER, "rows": COUNT}
    return structure(
        {
            "name": TEXT,
            "mode": {"enum": ["single", "split", "canary"]},
            "key": VERSION,
            "arms": {"type": "array", "items": arm, "minItems": 1},
            "shadow": _or_null(structure(shadow)),
            "canary": _or_null(structure(canary)),
            "test": _or_null(structure(test)),
            "state": {"enum": ["", "running", "passed", "rolled back", "promoted", "withdrawn"]},
            "why": TEXT,
        }
    )


def _some(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"type": "null"}]}
