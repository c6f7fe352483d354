"""The playground's form: a field for each column of a model, and what was written into it as a row."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from framework.data.column import Column, SchemaError
from framework.data.values import is_missing
from framework.monitoring.reference import Summary
from framework.serving.request import Row
from framework.serving.served import Served

FIRST = 10  # fields that are shown at once; the others are folded
STEPS = 100  # of a slider, about


@dataclass(frozen=True)
class Slider:
    """From the first to the last of the training quantiles, in round numbers."""

    least: str
    most: str
    step: str


@dataclass(frozen=True)
class Field:
    """One column's. key: its name inside of the form. value: the text in it; "" is a missing value.

    usual: where nearly all training values lay, in words. error: why the text is none of the column's.
    """

    key: str
    column: Column
    value: str
    slider: Slider | None = None
    usual: str = ""
    error: str = ""


def fields(served: Served, ranked: Sequence[str] = ()) -> list[Field]:
    """The fields with their typical values, the most important columns first. ranked: names, in that order."""
    reference = served.predictor.reference
    place = {name: at for at, name in enumerate(ranked)}
    found = []
    for at, column in enumerate(served.predictor.schema.columns):
        summary = reference.columns[column.name][1] if reference and column.name in reference.columns else None
        slider = slider_of(column, summary)
        usual = f"mostly {slider.least} to {slider.most}" if slider else ""
        found.append(Field(f"c{at}", column, text_of(column), slider, usual))
    return sorted(found, key=lambda field: place.get(field.column.name, len(place)))


def filled(known: Sequence[Field], form: Mapping[str, str]) -> list[Field]:
    """The fields with what a form holds, each error in words. A field that the form lacks keeps its value."""
    return [_checked(replace(field, value=form.get(field.key, field.value))) for field in known]


def row_of(known: Sequence[Field]) -> Row:
    """The row that fields without an error tell, its columns in the model's order."""
    in_order = sorted(known, key=lambda field: int(field.key[1:]))
    return {field.column.name: value_of(field.column, field.value) for field in in_order}


def value_of(column: Column, text: str) -> Any:
    """What a text means in a column, JSON-able. Raises SchemaError."""
    if is_missing(text):
        return None
    if column.kind in ("number", "boolean"):
        number = float(column.take(np.array([text], dtype=object), [])[0])
        return bool(number) if column.kind == "boolean" else number
    column.take(np.array([text], dtype=object), [])
    return text


def text_of(column: Column) -> str:
    """A column's example as its field shows it."""
    example = column.example
    if example is None:
        return ""
    if isinstance(example, bool):
        return "yes" if example else "no"
    if column.kind == "number":
        return str(int(example)) if float(example).is_integer() else f"{example:.6g}"
    return str(example)[:10] if column.kind == "date" and str(example).endswith("T00:00:00") else str(example)


def slider_of(column: Column, summary: Summary | None) -> Slider | None:
    if column.kind != "number" or summary is None or len(summary.quantiles) < 2:
        return None
    least, most = summary.quantiles[0], summary.quantiles[-1]
    if not most > least:
        return None
    step = 10.0 ** math.floor(math.log10((most - least) / STEPS))
    step = max(1.0, step) if column.whole else step
    digits = max(0, -math.floor(math.log10(step)))
    ends = math.floor(least / step) * step, math.ceil(most / step) * step
    return Slider(*(f"{value:.{digits}f}" for value in (*ends, step)))


def _checked(field: Field) -> Field:
    try:
        value_of(field.column, field.value)
    except SchemaError:
        wanted = {"number": "a number", "boolean": "yes or no", "date": "a date"}.get(field.column.kind, "one text")
        such = text_of(field.column)
        hint = f", such as {such}" if such else ""
        wrote = field.value if len(field.value) <= 40 else f"{field.value[:39]}…"
        return replace(field, error=f"{field.column.name} takes {wanted}{hint}; “{wrote}” is none.")
    return field
