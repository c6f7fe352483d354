"""The body of a request for synthetic rows, or one sentence on why it is none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from framework.serving.request import RequestError, parse_json, shown
from synthetic.service.written import FORMATS

MOST_BYTES = 64 * 1024
MOST_CONDITIONS = 100
LONGEST = 1_000  # letters of a value
MOST_SEED = 2**53 - 1  # the largest whole number that every JSON reader keeps
KEYS = ("n", "conditions", "seed", "format", "model")
WAY_OUT = 'Send {"n": 100}, and where wanted conditions, seed, format and model.'


@dataclass(frozen=True)
class Asked:
    """rows: how many. conditions: column → value, None: missing. seed: the same one gives the same rows; None: any.
    model: by its name; None: the only one."""

    rows: int
    conditions: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    format: str = "jsonl"
    model: str | None = None


def parse_asked(body: bytes, *, most: int) -> Asked:
    """Raises RequestError naming the first thing that is wrong. most: rows of one request."""
    content = parse_json(body, way_out=WAY_OUT)
    if not isinstance(content, dict):
        raise RequestError(f"the body is no object. {WAY_OUT}")
    if strange := [key for key in content if key not in KEYS]:
        raise RequestError(f"the body holds {shown(strange[0])}, which is none of {', '.join(KEYS)}. {WAY_OUT}")
    rows = _whole("n", content.get("n"), 1, None)
    if rows > most:
        raise RequestError(f"n is {rows:,}; at most {most:,} rows are made for one request. Split them.", status=413)
    form = content.get("format", "jsonl")
    if form not in FORMATS:
        raise RequestError(f"format is {shown(form)}; there are: {', '.join(FORMATS)}.")
    model = content.get("model")
    if model is not None and not isinstance(model, str):
        raise RequestError(f"model is {shown(model)}; it takes a name.")
    seed = content.get("seed")
    return Asked(
        rows,
        _conditions(content.get("conditions")),
        None if seed is None else _whole("seed", seed, 0, MOST_SEED),
        str(form),
        model,
    )


def _conditions(told: Any) -> dict[str, Any]:
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise RequestError(f"conditions is {shown(told)}; it takes an object of column: value.")
    if len(told) > MOST_CONDITIONS:
        raise RequestError(f"{len(told):,} conditions; at most {MOST_CONDITIONS} are taken.", status=413)
    for name, value in told.items():
        if isinstance(value, dict | list):
            raise RequestError(f"the condition on {shown(name)} holds {shown(value)}; a value is a single one.")
        if len(name) > LONGEST or (isinstance(value, str) and len(value) > LONGEST):
            raise RequestError(f"the condition on {shown(name)} has more than {LONGEST:,} letters.", status=413)
    return told


def _whole(name: str, told: Any, least: int, most: int | None) -> int:
    if isinstance(told, bool) or not isinstance(told, int) or told < least or (most is not None and told > most):
        bounds = f"from {least} on" if most is None else f"from {least} to {most}"
        raise RequestError(f"{name} is {'missing' if told is None else shown(told)}; it takes a whole number {bounds}.")
    return told
