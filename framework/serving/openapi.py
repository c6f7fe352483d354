"""The served models as an OpenAPI document: their real columns, types, categories and an example each."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from framework.data.schema import Column, Schema
from framework.problem import Problem
from framework.serving.request import MOST_ROWS
from framework.serving.served import Served

JSON_TYPES = {"number": "number", "boolean": "boolean", "category": "string", "text": "string", "date": "string"}
ERRORS = {
    "400": "the body is no JSON, or no rows",
    "413": "too many rows or bytes",
    "422": "the rows do not fit the model's columns",
}


def document(models: Iterable[Served], *, secured: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 description; secured: a bearer token is asked for."""
    models = list(models)
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Served models", "version": "1"},
        "paths": {f"/api/v1/predict/{model.name}": {"post": _operation(model)} for model in models}
        | {
            "/api/v1/models": {"get": _plain("models", "The served models with their versions and columns.")},
            "/healthz": {"get": {**_plain("healthz", "200 while the replica answers."), "security": []}},
        },
        "components": {"schemas": {"Error": _object({"error": {"type": "string"}})}},
    }
    for model in models:
        described["components"]["schemas"][f"{model.name}.row"] = row_schema(model.predictor.schema, model.example())
        described["components"]["schemas"][f"{model.name}.answer"] = _answer_schema(model)
    if secured:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


def row_schema(schema: Schema, example: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of one row."""
    properties = {column.name: column_schema(column) for column in schema.columns}
    return {**_object(properties), "additionalProperties": False, "examples": [example]}


def column_schema(column: Column) -> dict[str, Any]:
    """The JSON Schema of one value. `enum` lists the categories seen in training, null where values were missing.

    Other categories and nulls are scored as well, with a warning.
    """
    kind = "integer" if column.kind == "number" and column.whole else JSON_TYPES[column.kind]
    described: dict[str, Any] = {"type": [kind, "null"] if column.missing else kind}
    if column.kind == "date":
        described["format"] = "date-time"
    if column.kind == "category":
        described["enum"] = [*column.categories, *([None] if column.missing else [])]
    if column.example is not None:
        described["examples"] = [column.example]
    return described


def _operation(model: Served) -> dict[str, Any]:
    row = {"$ref": f"#/components/schemas/{_escaped(model.name)}.row"}
    rows = {"type": "array", "items": row, "minItems": 1, "maxItems": MOST_ROWS}
    body = {"oneOf": [row, rows, _object({"rows": rows})]}
    problem = model.predictor.problem
    asked = f"Predicts {problem.target!r} ({problem.kind})" if problem.target else f"Assigns clusters ({problem.kind})"
    answer = _content({"$ref": f"#/components/schemas/{_escaped(model.name)}.answer"})
    error = _content({"$ref": "#/components/schemas/Error"})
    return {
        "operationId": f"predict.{model.name}",
        "summary": f"{asked} for one row or many.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": model.example()}},
        },
        "responses": {
            "200": {"description": "An answer a row, in the order of the rows.", **answer},
            **{status: {"description": reason, **error} for status, reason in ERRORS.items()},
        },
    }


def _answer_schema(model: Served) -> dict[str, Any]:
    item: dict[str, Any] = {"prediction": _prediction_schema(model.predictor.problem, model.predictor.schema)}
    if model.predictor.problem.classified:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        item["probabilities"] = _object({str(label): share for label in model.predictor.schema.classes})
    elif model.predictor.band is not None:
        interval = f"of the interval that holds the truth {100 * model.predictor.band.level:g} times in 100"
        for end, which in (("low", "lower"), ("high", "upper")):
            item[f"prediction_{end}"] = {"type": "number", "description": f"The {which} end {interval}."}
    return _object(
        {
            "model": {"type": "string"},
            "version": {"type": ["string", "null"]},
            "predictions": {"type": "array", "items": _object(item)},
            "warnings": {"type": "array", "items": {"type": "string"}},
        }
    )


def _prediction_schema(problem: Problem, schema: Schema) -> dict[str, Any]:
    if problem.classified:
        return {"enum": list(schema.classes)}
    return {"type": "integer" if problem.kind == "clustering" else "number"}


def _plain(name: str, summary: str) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": {"200": {"description": "OK", **_content({})}}}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _escaped(name: str) -> str:
    """A name inside a JSON pointer that is itself part of a URI."""
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="~")
