"""What may be asked of served synthesizers: for people, and as an OpenAPI operation."""

from collections.abc import Mapping
from typing import Any

from framework.serving.operations import body_of, responses
from synthetic.codec import Codec, Numbers
from synthetic.fitted import Fitted
from synthetic.service.asked import MOST_CONDITIONS, MOST_SEED
from synthetic.service.written import FORMATS, Arrow, Csv, JsonLines

REFUSED = ("400", "404", "413", "422", "503")


def model_of(fitted: Fitted) -> dict[str, Any]:
    """Its engine, how many rows it learned from, and its columns with the values that conditions may take."""
    facts = {key: fitted.facts.get(key) for key in ("engine", "licence", "rows")}
    return {**facts, "columns": [_column(codec) for codec in fitted.table.codecs]}


def _column(codec: Codec) -> dict[str, Any]:
    told = {"name": codec.name, "type": codec.dtype, "missing": codec.missing}
    if isinstance(codec, Numbers):
        return {**told, "kind": "date" if codec.unit else "number"}
    return {**told, "kind": "category", "values": list(codec.values)}


def operation(models: Mapping[str, Fitted], most_rows: int) -> dict[str, Any]:
    """POST, as `data.Maker.described` has it."""
    columns = sorted({name for fitted in models.values() for name in fitted.table.names})
    value = {"type": ["string", "number", "boolean", "null"]}
    conditions = {
        "type": "object",
        "properties": dict.fromkeys(columns, value),
        "additionalProperties": len(models) != 1,
        "maxProperties": MOST_CONDITIONS,
    }
    asked = {
        "type": "object",
        "required": ["n"] if len(models) == 1 else ["n", "model"],
        "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": most_rows},
            "conditions": conditions,
            "seed": {"type": ["integer", "null"], "minimum": 0, "maximum": MOST_SEED},
            "format": {"enum": list(FORMATS), "default": "jsonl"},
            "model": {"enum": list(models)},
        },
        "additionalProperties": False,
    }
    text, binary = {"type": "string"}, {"type": "string", "format": "binary"}
    kinds = {JsonLines.media_type: text, Csv.media_type: text, Arrow.media_type: binary}
    content = {"content": {kind: {"schema": schema} for kind, schema in kinds.items()}}
    return {
        "summary": "Synthetic rows. The same n, conditions and seed give the same rows.",
        "requestBody": body_of(asked, example={"n": 10, "seed": 1}),
        "responses": responses("The rows, in the format asked for; many are streamed.", content, REFUSED),
    }
