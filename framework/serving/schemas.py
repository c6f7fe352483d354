"""JSON Schemas of what goes in and comes out of a served model: its real columns, types, categories and an example."""

from typing import Any

from framework.data.schema import Column, Schema
from framework.problem import Problem
from framework.serving.served import Served

JSON_TYPES = {"number": "number", "boolean": "boolean", "category": "string", "text": "string", "date": "string"}
TEXT: dict[str, Any] = {"type": "string"}
TEXTS: dict[str, Any] = {"type": "array", "items": TEXT}
VERSION: dict[str, Any] = {"type": ["string", "null"]}
TENSOR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
        "datatype": TEXT,
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
    "required": ["name", "shape", "datatype"],
}


def row_schema(schema: Schema, example: dict[str, Any]) -> dict[str, Any]:
    """One row."""
    properties = {column.name: column_schema(column) for column in schema.columns}
    return {**structure(properties), "additionalProperties": False, "examples": [example]}


def column_schema(column: Column) -> dict[str, Any]:
    """One value. `enum` lists the categories seen in training, null where values were missing.

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


def answer_schema(model: Served) -> dict[str, Any]:
    """A prediction's answer."""
    predictions = {"type": "array", "items": item_schema(model)}
    return structure({"model": TEXT, "version": VERSION, "predictions": predictions, "warnings": TEXTS})


def item_schema(model: Served) -> dict[str, Any]:
    """The answer to one row."""
    item: dict[str, Any] = {"prediction": _prediction_schema(model.predictor.problem, model.predictor.schema)}
    if model.predictor.problem.classified:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        item["probabilities"] = structure({str(label): share for label in model.predictor.schema.classes})
    elif model.predictor.band is not None:
        interval = f"of the interval that holds the truth {100 * model.predictor.band.level:g} times in 100"
        for end, which in (("low", "lower"), ("high", "upper")):
            item[f"prediction_{end}"] = {"type": "number", "description": f"The {which} end {interval}."}
    return structure(item)


def explanation_schema() -> dict[str, Any]:
    """What each column added: by output, the base; by row and output, the prediction and the contributions."""
    numbers = {"type": "object", "additionalProperties": {"type": "number"}}
    each = structure({"prediction": numbers, "contributions": {"type": "object", "additionalProperties": numbers}})
    return structure(
        {
            "model": TEXT,
            "version": VERSION,
            "how": {**TEXT, "description": "The algorithm."},
            "space": {**TEXT, "description": "What is added up: log-odds, probability or value."},
            "base": numbers,
            "off": {"type": "number", "description": "How far a sum is off its prediction, at most."},
            "explanations": {"type": "array", "items": each},
            "warnings": TEXTS,
        }
    )


def job_schema() -> dict[str, Any]:
    """A job of either kind: how far it is, and one sentence on why it failed; what it was asked for and has found."""
    number = {"type": ["number", "null"]}
    texts = {"id": TEXT, "name": TEXT, "message": TEXT, "error": VERSION, "data": TEXT}
    told = structure(
        {
            **texts,
            "kind": {"enum": ["batch", "train"]},
            "state": {"enum": ["waiting", "running", "done", "failed", "cancelled"]},
            "progress": {"type": "number", "minimum": 0, "maximum": 1},
            "asked": {"type": "number", "description": "UNIX seconds, as are started and ended."},
            **dict.fromkeys(("started", "ended", "seconds"), number),
        }
    )
    row = structure({"contender": TEXT, "score": number, "status": TEXT, "reason": TEXT})
    batch = {"model": TEXT, "version": VERSION, "out": TEXT, "rows": {"type": "integer"}, "warnings": TEXTS}
    train = {
        "target": TEXT,
        "minutes": number,
        "metric": VERSION,
        "contenders": {"type": "integer"},
        "contenders_done": {"type": "integer"},
        "leaderboard": {"type": "array", "items": row, "description": "The best first, while it goes on too."},
        "winner": structure({"contender": TEXT, "test_score": number}),
        "uri": {**TEXT, "description": "The registered version."},
    }
    return {**told, "properties": told["properties"] | batch | train}


def training_schema(*, longest: int, most_minutes: float, most_seed: int) -> dict[str, Any]:
    """What a contest is asked for by."""
    name = {"type": "string", "minLength": 1, "maxLength": longest}
    asked = structure({"data": name, "target": name})
    minutes = {"type": "number", "exclusiveMinimum": 0, "maximum": most_minutes}
    asked["properties"] |= {"minutes": minutes, "seed": {"type": "integer", "minimum": 0, "maximum": most_seed}}
    asked["properties"] |= {key: {**name, "type": ["string", "null"]} for key in ("name", "metric")}
    return {**asked, "required": ["data", "target", "minutes"], "additionalProperties": False}


def structure(properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _prediction_schema(problem: Problem, schema: Schema) -> dict[str, Any]:
    if problem.classified:
        return {"enum": list(schema.classes)}
    return {"type": "integer" if problem.kind == "clustering" else "number"}
