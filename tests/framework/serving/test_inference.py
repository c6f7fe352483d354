"""The Open Inference Protocol, spoken by Triton's own client."""

import json
import struct
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from framework.serving.infer import parse_infer
from framework.serving.request import RequestError
from tests.framework.serving.http_client import Client

ROWS = 12


@pytest.fixture(scope="module")
def penguins(aviary: Client) -> list[dict[str, Any]]:
    models = aviary.ask("GET", "/api/v1/models")[1]["models"]
    row = next(model["example"] for model in models if model["name"] == "species")
    return [{**row, "bill_length_mm": None if place == 3 else 35.0 + place} for place in range(ROWS)]


@pytest.fixture(scope="module")
def server(aviary: Client) -> triton.InferenceServerClient:
    return triton.InferenceServerClient(f"{aviary.host}:{aviary.port}")


def inputs(
    server: triton.InferenceServerClient, rows: list[dict[str, Any]], *, binary: bool
) -> list[triton.InferInput]:
    """The rows as the model's own metadata asks for them."""
    made = []
    for column in server.get_model_metadata("species")["inputs"]:
        values = [row[column["name"]] for row in rows]
        tensor = triton.InferInput(column["name"], [len(rows), 1], column["datatype"])
        if column["datatype"] == "BYTES":
            array = np.array([[value] for value in values], dtype=object)
        else:
            array = np.array([[np.nan if value is None else value] for value in values], dtype=np.float64)
        tensor.set_data_from_numpy(array, binary_data=binary)
        made.append(tensor)
    return made


def test_the_server_and_its_models_are_live_ready_and_described(server: triton.InferenceServerClient) -> None:
    assert server.is_server_live()
    assert server.is_server_ready()
    assert server.is_model_ready("species")
    assert not server.is_model_ready("specie")
    assert not server.is_model_ready("species", "2")
    assert server.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    told = server.get_model_metadata("species")
    assert [each["name"] for each in told["outputs"]] == [
        "prediction",
        "proba_Adelie",
        "proba_Chinstrap",
        "proba_Gentoo",
    ]
    assert {each["name"]: each["datatype"] for each in told["inputs"]}["island"] == "BYTES"
    assert server.get_model_metadata("cars")["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": [-1]}]
    assert server.get_model_metadata("flocks")["outputs"][0]["datatype"] == "INT64"


def test_by_its_defaults_all_goes_as_bytes_and_the_answer_is_json_s(
    server: triton.InferenceServerClient, aviary: Client, penguins: list[dict[str, Any]]
) -> None:
    expected = aviary.predict("species", penguins)[1]["predictions"]
    answer = server.infer("species", inputs(server, penguins, binary=True), request_id="42")
    assert answer.get_response()["id"] == "42"
    assert answer.get_response()["outputs"][0]["parameters"]["binary_data_size"]
    assert [label.decode() for label in answer.as_numpy("prediction")] == [item["prediction"] for item in expected]
    gentoo = [item["probabilities"]["Gentoo"] for item in expected]
    assert answer.as_numpy("proba_Gentoo").tolist() == gentoo


def test_chosen_outputs_come_as_chosen(
    server: triton.InferenceServerClient, aviary: Client, penguins: list[dict[str, Any]]
) -> None:
    whole = [{**row, "bill_length_mm": 40.0} for row in penguins]  # JSON has no NaN
    wanted = [
        triton.InferRequestedOutput("proba_Gentoo", binary_data=True),
        triton.InferRequestedOutput("prediction", binary_data=False),
    ]
    answer = server.infer("species", inputs(server, whole, binary=False), outputs=wanted)
    expected = aviary.predict("species", whole)[1]["predictions"]
    outputs = answer.get_response()["outputs"]
    assert [each["name"] for each in outputs] == ["proba_Gentoo", "prediction"]
    assert "data" not in outputs[0]
    assert outputs[1]["data"] == [item["prediction"] for item in expected]
    assert answer.as_numpy("proba_Gentoo").tolist() == [item["probabilities"]["Gentoo"] for item in expected]


def test_whole_numbers_and_values_go_as_any_of_their_types(
    server: triton.InferenceServerClient, aviary: Client
) -> None:
    models = aviary.ask("GET", "/api/v1/models")[1]["models"]
    row = next(model["example"] for model in models if model["name"] == "cars")
    expected = aviary.predict("cars", {**row, "cyl": 6})[1]["predictions"][0]["prediction"]
    for dtype, datatype in ((np.uint8, "UINT8"), (np.int64, "INT64"), (np.float16, "FP16"), (np.float32, "FP32")):
        tensors = []
        for name, value in {**row, "cyl": 6}.items():
            kind = (dtype, datatype) if name == "cyl" else (np.float64, "FP64")
            tensors.append(triton.InferInput(name, [1], kind[1]))
            tensors[-1].set_data_from_numpy(np.array([value], dtype=kind[0]))
        assert server.infer("cars", tensors).as_numpy("prediction").tolist() == [expected]


def test_the_client_is_told_what_is_wrong(server: triton.InferenceServerClient, penguins: list[dict[str, Any]]) -> None:
    whole = inputs(server, penguins, binary=True)
    with pytest.raises(InferenceServerException, match="missing column: 'island'"):
        server.infer("species", [each for each in whole if each.name() != "island"])
    with pytest.raises(InferenceServerException, match="no output 'margin'"):
        server.infer("species", whole, outputs=[triton.InferRequestedOutput("margin")])
    with pytest.raises(InferenceServerException, match="asks for classification"):
        server.infer("species", whole, outputs=[triton.InferRequestedOutput("prediction", class_count=2)])
    with pytest.raises(InferenceServerException, match="compressed body"):
        server.infer("species", whole, request_compression_algorithm="gzip")
    with pytest.raises(InferenceServerException, match="no numbered version is served, not '2'"):
        server.infer("species", whole, model_version="2")


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]} | changes


def binary(size: Any, **changes: Any) -> dict[str, Any]:
    told = tensor(parameters={"binary_data_size": size}, **changes)
    return {key: value for key, value in told.items() if key != "data"}


@pytest.mark.parametrize(
    ("content", "blob", "said"),
    [
        ([], b"", "no inputs"),
        ({}, b"", "no inputs"),
        ({"inputs": []}, b"", "no inputs"),
        ({"inputs": [3]}, b"", "input 1 is no tensor"),
        ({"inputs": [tensor(name=3)]}, b"", "input 1 is no tensor"),
        ({"inputs": [tensor(), tensor()]}, b"", "there twice"),
        ({"inputs": [tensor(datatype="BF16")]}, b"", "datatype 'BF16'"),
        ({"inputs": [tensor(shape=[2, 2])]}, b"", r"shape \[2, 2\]"),
        ({"inputs": [tensor(shape=[True])]}, b"", r"shape \[True\]"),
        ({"inputs": [tensor(shape=[0], data=[])]}, b"", r"shape \[0\]"),
        ({"inputs": [tensor(shape=[10**9])]}, b"", "10,000 rows"),
        ({"inputs": [tensor(data=[1.0])]}, b"", "has 1 values"),
        ({"inputs": [tensor(data={})]}, b"", "has no data"),
        ({"inputs": [tensor(data=[[1, 2], [3, 4]])]}, b"", "row 1 holds a list"),
        ({"inputs": [tensor(), tensor(name="b", shape=[1], data=[1])]}, b"", "1 to 2 rows"),
        ({"inputs": [tensor()], "outputs": 3}, b"", "outputs is no list"),
        ({"inputs": [binary(16)]}, b"12345678", "8 bytes are left"),
        ({"inputs": [binary(-8)]}, b"12345678", "binary_data_size -8"),
        ({"inputs": [binary(15)]}, b"1" * 15, "no whole number"),
        ({"inputs": [binary(24)]}, b"1" * 24, "has 3 values"),
        ({"inputs": [binary(16)]}, b"1" * 17, "1 bytes follow"),
        ({"inputs": [binary(3, datatype="BYTES")]}, b"111", "within a length"),
        ({"inputs": [binary(4, datatype="BYTES")]}, b"\0" * 4, "has 1 texts, and the shape says 2"),
        ({"inputs": [binary(12, datatype="BYTES")]}, b"\0" * 12, "has 2 texts and more"),
        ({"inputs": [binary(5, datatype="BYTES")]}, struct.pack("<I", 2**31) + b"1", "within a text"),
        ({"inputs": [binary(5, datatype="BYTES")]}, struct.pack("<I", 1) + b"\xff", "no UTF-8, in row 1"),
    ],
)
def test_a_request_that_is_none_gets_a_sentence(content: Any, blob: bytes, said: str) -> None:
    head = json.dumps(content).encode()
    with pytest.raises(RequestError, match=said):
        parse_infer(head + blob, head=str(len(head)) if blob else None)


@pytest.mark.parametrize("field", ["name", "datatype", "shape", "data", "parameters"])
def test_lists_a_thousand_deep_get_a_sentence(field: str) -> None:
    deep = "[" * 1_000 + "]" * 1_000
    told = {"name": '"a"', "datatype": '"FP64"', "shape": "[1]", "data": "[1]"}
    told[field] = f'{{"binary_data_size": {deep}}}' if field == "parameters" else deep
    body = ", ".join(f'"{key}": {value}' for key, value in told.items())
    with pytest.raises(RequestError):
        parse_infer(f'{{"inputs": [{{{body}}}]}}'.encode(), head=None)


@pytest.mark.parametrize("head", ["", "-1", "1e3", "99999", "²"])
def test_a_length_that_is_none_gets_a_sentence(head: str) -> None:
    with pytest.raises(RequestError, match="Inference-Header-Content-Length"):
        parse_infer(b"{}", head=head)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]) | PLAIN,
        "datatype": st.sampled_from(["FP64", "BYTES", "BOOL", "INT8"]) | PLAIN,
        "shape": st.sampled_from([[1], [2], [2, 1]]) | PLAIN,
        "data": st.lists(PLAIN, max_size=3) | PLAIN,
        "parameters": st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20) | PLAIN}) | PLAIN,
    },
)


@given(st.lists(FIELDS, max_size=3) | PLAIN, PLAIN, PLAIN, st.binary(max_size=30))
def test_no_request_does_anything_but_parse_or_raise_a_request_error(
    tensors: Any, outputs: Any, parameters: Any, blob: bytes
) -> None:
    head = json.dumps({"inputs": tensors, "outputs": outputs, "parameters": parameters}).encode()
    try:
        asked = parse_infer(head + blob, head=str(len(head)))
    except RequestError:
        return
    assert asked.rows
