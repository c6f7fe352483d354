"""A served model as data: what its columns are, what it was made of, how good it was."""

from dataclasses import asdict
from typing import Any

from framework.data.schema import Column
from framework.serving.importance import importance_of
from framework.serving.served import Served


def summary(served: Served) -> dict[str, Any]:
    """What a client has to know to ask it."""
    problem, schema = served.predictor.problem, served.predictor.schema
    return {
        "name": served.name,
        "uri": served.uri,
        "version": served.version,
        "kind": problem.kind,
        "target": problem.target,
        "classes": list(schema.classes),
        "columns": [{"name": column.name, "kind": column.kind} for column in schema.columns],
        "example": served.example(),
    }


def details(served: Served) -> dict[str, Any]:
    """All that its model folder says of it: the question, the columns with their categories and what each is needed
    for, the interval, and the facts of the contest, its scores among them. May take a second, the first time."""
    predictor, importance = served.predictor, importance_of(served)
    return {
        **summary(served),
        "problem": asdict(predictor.problem),
        "columns": [_column(column) for column in predictor.schema.columns],
        "interval": None if predictor.band is None else {"level": predictor.band.level},
        "importance": None if importance is None else importance.to_json(),
        "facts": predictor.facts,
    }


def _column(column: Column) -> dict[str, Any]:
    told = {"name": column.name, "kind": column.kind, "missing": column.missing, "example": column.example}
    return told | ({"categories": list(column.categories)} if column.kind == "category" else {})
