"""The Open Inference Protocol's requests, a tensor for each column, as rows; and answers as its responses.

https://github.com/kserve/open-inference-protocol (V2), with Triton's binary data extension, which its clients use by
default: the JSON first, its length in the header Inference-Header-Content-Length, then each tensor's bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from framework.data.schema import Column
from framework.serving.request import RequestError, Row, check_names, check_rows, parse_json
from framework.serving.served import Answer, Served, flat
from framework.serving.tensors import bytes_of, parameters_of, values_of

WAY_OUT = "Send an object with `inputs`, a tensor for each column."


@dataclass(frozen=True)
class Infer:
    """An inference request.

    outputs: which tensors are asked for, and whether as bytes; None: all of them. binary: whether these then are bytes.
    """

    id: str | None
    rows: list[Row]
    outputs: Mapping[str, bool] | None
    binary: bool


def parse_infer(body: bytes, *, head: str | None) -> Infer:
    """A request's rows: columns of numbers, booleans and texts (BYTES), each of shape [rows] or [rows, 1].

    head: the Inference-Header-Content-Length. A missing value is null, NaN or an empty text.
    Raises RequestError naming the tensor that is wrong, and how.
    """
    if head is not None and not (head.isascii() and head.isdigit() and int(head) <= len(body)):
        raise RequestError(f"Inference-Header-Content-Length is {head[:40]!r}; the body has {len(body):,} bytes.")
    length = len(body) if head is None else int(head)
    content = parse_json(body[:length], way_out=WAY_OUT)
    if not isinstance(content, dict) or not isinstance(content.get("inputs"), list) or not content["inputs"]:
        raise RequestError(f"the request has no inputs. {WAY_OUT}")
    blob, columns = memoryview(body)[length:], {}
    for place, tensor in enumerate(content["inputs"], start=1):
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise RequestError(f"input {place} is no tensor with a name. {WAY_OUT}")
        name = tensor["name"]
        if name in columns:
            raise RequestError(f"input {name[:200]!r} is there twice.")
        try:
            columns[name], blob = values_of(tensor, blob)
        except ValueError as error:
            raise RequestError(f"input {name[:200]!r} {error}.") from None
    if len(blob):
        raise RequestError(f"{len(blob):,} bytes follow the last input's. Give every input its binary_data_size.")
    check_names(columns)
    counts = {len(values) for values in columns.values()}
    if len(counts) > 1:
        raise RequestError(f"the inputs have {min(counts)} to {max(counts)} rows. Give all the same.")
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    check_rows(rows)
    asked = content.get("id")
    return Infer(
        asked if isinstance(asked, str) else None, rows, _outputs(content), _flag(content, "binary_data_output")
    )


def tensors_of(served: Served, answer: Answer, infer: Infer) -> tuple[bytes, int | None]:
    """The response's body, and the length of its JSON where tensors follow as bytes.

    Raises RequestError for an output that the model does not have.
    """
    told = flat(answer["predictions"])
    if infer.outputs is not None and (unknown := [name for name in infer.outputs if name not in told]):
        raise RequestError(f"there is no output {unknown[0][:200]!r}. The model has: {', '.join(told)}.")
    types, tensors, blobs = dict(outputs_of(served)), [], []
    for name, binary in (infer.outputs or dict.fromkeys(told, infer.binary)).items():
        values, datatype = told[name], types[name]
        if datatype == "BYTES":
            values = [str(value) for value in values]
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [len(values)]}
        if binary:
            blobs.append(bytes_of(values, datatype))
            tensor["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            tensor["data"] = values
        tensors.append(tensor)
    content: dict[str, Any] = {"model_name": served.name, "outputs": tensors}
    content |= {"model_version": served.version} if served.version is not None else {}
    content |= {"id": infer.id} if infer.id is not None else {}
    content |= {"parameters": {"warnings": "\n".join(answer["warnings"])}} if answer["warnings"] else {}
    head = orjson.dumps(content)
    return head + b"".join(blobs), len(head) if blobs else None


def inputs_of(served: Served) -> list[tuple[str, str]]:
    """Each column's name and datatype; others that can be read as its values are taken as well."""

    def datatype(column: Column) -> str:
        if column.kind == "boolean":
            return "BYTES" if column.missing else "BOOL"
        return "FP64" if column.kind == "number" else "BYTES"

    return [(column.name, datatype(column)) for column in served.predictor.schema.columns]


def outputs_of(served: Served) -> list[tuple[str, str]]:
    """Each output's name and datatype."""
    predictor = served.predictor
    if predictor.problem.classified:
        labels = predictor.schema.classes
        kinds = {type(label) for label in labels}
        datatype = {bool: "BOOL", int: "INT64", float: "FP64"}.get(kinds.pop(), "BYTES") if len(kinds) == 1 else "BYTES"
        return [("prediction", datatype), *((f"proba_{label}", "FP64") for label in labels)]
    ends = ("prediction_low", "prediction_high") if predictor.band is not None else ()
    counted = predictor.problem.kind == "clustering"
    return [("prediction", "INT64" if counted else "FP64"), *((name, "FP64") for name in ends)]


def _outputs(content: Mapping[str, Any]) -> dict[str, bool] | None:
    asked = content.get("outputs")
    if asked is None or asked == []:
        return None
    if not isinstance(asked, list) or not all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in asked
    ):
        raise RequestError("outputs is no list of objects with a name.")
    for each in asked:
        if refused := sorted(parameters_of(each).keys() & {"classification", "shared_memory_region"}):
            raise RequestError(f"output {each['name'][:200]!r} asks for {refused[0]}, which this server does not do.")
    by_default = _flag(content, "binary_data_output")
    return {each["name"]: parameters_of(each).get("binary_data", by_default) is True for each in asked}


def _flag(content: Mapping[str, Any], name: str) -> bool:
    return parameters_of(content).get(name) is True
