"""What the page tells of a model, and what it does without any script."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from framework.predictor import Predictor
from framework.serving.importance import importance_of
from framework.serving.live import open_model
from framework.serving.page.models import card_of
from tests.framework.serving.http_client import Client, listen, sources
from tests.framework.serving.page.conftest import BIRDS, NASTY
from tests.framework.serving.page.visitor import Visitor, fields_of

PATH = f"/models/{quote(BIRDS, safe='')}"
ESCAPED = NASTY.replace("<", "&lt;").replace(">", "&gt;")


@pytest.fixture(scope="module")
def client(plain: dict[str, Any]) -> Iterator[Client]:
    client, server = listen(plain)
    yield client
    server.should_exit = True


@pytest.fixture(scope="module")
def visitor(client: Client) -> Visitor:
    return Visitor(client)


def test_the_models_are_listed_with_what_they_tell_and_how_well(visitor: Visitor, birds: Path) -> None:
    status, _, body = visitor.get("/")
    assert status == 200
    links = re.findall(r'<h2><a href="(/models/[^"]*)">', body)
    assert set(links) == {PATH, "/models/cars", "/models/flocks", "/models/near"}
    assert "Tells <strong>species</strong> (one of 3 classes) from 7 columns." in body
    assert f"<dd>{Predictor.open(birds).facts['validation_score']:.4f}</dd>" in body
    assert BIRDS.replace("<", "&lt;").replace(">", "&gt;") in body
    assert BIRDS not in body


def test_a_model_s_page_tells_its_leaderboard_card_and_importance(visitor: Visitor) -> None:
    status, _, body = visitor.get(PATH)
    assert status == 200
    for section in ("try", "importance", "leaderboard", "traffic", "drift", "card"):
        assert f'<section id="{section}"' in body, section
    assert "log loss lost when the column is shuffled." in body
    assert "left no model" in body  # the leaderboard's failures too
    assert "Limits" in body
    assert "What is species?" in body
    assert ESCAPED in body.replace("<wbr>", "")
    assert "<script>window" not in body.replace("<wbr>", "")
    assert "style=" not in body
    assert not re.search(r"\son\w+=", body)


def test_a_folder_without_a_card_has_a_page_too(visitor: Visitor) -> None:
    for name in ("cars", "flocks", "near"):
        status, _, body = visitor.get(f"/models/{name}")
        assert status == 200
        assert 'id="try"' in body
        assert 'id="card"' not in body


def test_a_model_that_is_not_served_is_a_sentence_on_a_page(visitor: Visitor) -> None:
    status, headers, body = visitor.get("/models/nobody")
    assert status == 404
    assert headers["content-type"].startswith("text/html")
    assert "no model &#39;nobody&#39; is served here" in body
    status, _, body = visitor.post(f"/models/{quote(BIRDS)}x")
    assert status == 404
    assert "<script>window" not in body


def test_without_scripts_a_form_is_answered_by_a_page_that_tells_what_the_api_tells(
    visitor: Visitor, client: Client
) -> None:
    page = visitor.get(PATH)[2]
    keys = fields_of(page)
    form = {
        keys["bill_length_mm"]: "49.5",
        keys["island"]: "Biscoe",
        keys["flipper_length_mm"]: "",
        keys[ESCAPED]: "15",
    }
    status, _, body = visitor.post(PATH, form)
    assert status == 200
    example = next(m for m in client.ask("GET", "/api/v1/models")[1]["models"] if m["name"] == BIRDS)["example"]
    row = {**example, "bill_length_mm": 49.5, "island": "Biscoe", "flipper_length_mm": None, NASTY: 15}
    (item,) = client.predict(quote(BIRDS, safe=""), row)[1]["predictions"]
    assert f'data-answer="{item["prediction"]}"' in body
    shares = {name: float(share) for name, share in re.findall(r'data-class="(\w+)" data-share="([^"]+)"', body)}
    assert shares == pytest.approx(item["probabilities"], abs=1e-6)
    assert 'value="49.5"' in body  # the form keeps what was written
    told = client.ask("POST", f"/api/v1{PATH}/explain", row)[1]
    added = told["explanations"][0]["contributions"][item["prediction"]]
    steps = re.findall(r'<tr data-column="([^"]+)">', body)
    assert sorted(steps) == sorted(name.replace(NASTY, ESCAPED) for name in added)
    assert steps[0] == max(added, key=lambda name: abs(added[name])).replace(NASTY, ESCAPED)


def test_a_number_is_told_to_the_last_digit(visitor: Visitor, client: Client) -> None:
    body = visitor.post("/models/cars", {fields_of(visitor.get("/models/cars")[2])["wt"]: "5.2"})[2]
    row = next(m for m in client.ask("GET", "/api/v1/models")[1]["models"] if m["name"] == "cars")["example"]
    (item,) = client.predict("cars", {**row, "wt": 5.2})[1]["predictions"]
    told = re.search(r'data-answer="([^"]+)"', body)
    assert told is not None
    assert float(told[1]) == pytest.approx(item["prediction"], abs=1e-6)


def test_what_is_no_number_is_a_sentence_beside_its_field(visitor: Visitor) -> None:
    keys = fields_of(visitor.get(PATH)[2])
    form = {keys["bill_length_mm"]: "<b>long", keys["island"]: "Biscoe"}
    status, _, body = visitor.post(PATH, form)
    assert status == 200
    slot = re.search(rf'<p class="error" id="{keys["bill_length_mm"]}-error">(.*?)</p>', body)
    assert slot is not None
    assert slot[1].startswith("bill_length_mm takes a number, such as ")
    assert "“&lt;b&gt;long” is none." in slot[1]
    assert "data-answer" not in body
    assert '<p class="problem" data-error-for=' in visitor.post(PATH, form, **{"x-fragment": "1"})[2]
    why = visitor.post(f"{PATH}/why", form, **{"x-fragment": "1"})
    assert (why[0], why[2].strip()) == (200, "")


def test_a_category_never_seen_is_answered_with_a_warning(visitor: Visitor) -> None:
    keys = fields_of(visitor.get(PATH)[2])
    body = visitor.post(PATH, {keys["island"]: "Elba"}, **{"x-fragment": "1"})[2]
    assert "data-answer" in body
    assert "&#39;Elba&#39; was never seen in training" in body


def test_clusters_are_told_and_not_explained(visitor: Visitor) -> None:
    body = visitor.post("/models/flocks")[2]
    assert re.search(r'class="answer" data-answer="\d">cluster \d<', body)
    assert "no quantity" in visitor.post("/models/flocks/why", **{"x-fragment": "1"})[2]


def test_a_form_that_is_none_or_too_large_is_a_sentence(visitor: Visitor) -> None:
    status, _, body = visitor.post("/models/cars", {"c0": "x" * 300_000})
    assert status == 413
    assert "at most" in body
    status, _, body = visitor._ask("POST", "/models/cars", b"\xff\xfe", {"sec-fetch-site": "same-origin"})
    assert status == 400
    assert "cannot be read" in body
    status, _, body = visitor.post("/models/cars", {f"x{place}": "" for place in range(20_001)})
    assert status == 400


def test_assets_are_kept_by_browsers_and_no_other_file_is_reached(visitor: Visitor) -> None:
    style = re.search(r'href="(/assets/page\.css\?v=\w+)"', visitor.get("/")[2])
    assert style is not None
    status, headers, _ = visitor.get(style[1])
    assert status == 200
    assert headers["content-type"].startswith("text/css")
    assert "immutable" in headers["cache-control"]
    assert visitor.get("/assets/base.html")[0] == 404
    assert visitor.get("/assets/..%2Fweb.py")[0] == 404


def test_the_api_tells_importances_as_they_were_registered_else_computed_else_none(client: Client) -> None:
    status, told = client.ask("GET", f"/api/v1/models/{quote(BIRDS, safe='')}")
    assert status == 200
    assert told["importance"]["measure"] == "log loss lost when the column is shuffled."
    found = [each["importance"] for each in told["importance"]["columns"]]
    assert found == sorted(found, reverse=True)
    assert {each["column"] for each in told["importance"]["columns"]} == {each["name"] for each in told["columns"]}
    assert client.ask("GET", "/api/v1/models/cars")[1]["importance"] is None  # it keeps no reference to compose rows of


def test_without_a_registered_explanation_the_exact_explainer_tells_importances(birds: Path, tmp_path: Path) -> None:
    folder = Predictor.open(birds).save(tmp_path / "model")
    served = open_model("own", uri=str(folder), version=None, folder=str(folder))
    found = importance_of(served)
    assert found is not None
    assert "composed of the training columns" in found.measure
    assert len(found.columns) == 7
    assert found.columns[0][1] > found.columns[-1][1] >= 0
    assert importance_of(served) is found


@pytest.mark.parametrize("content", ["{", "[]", '{"measure": "m", "columns": [["a"]]}', '{"title": 1}'])
def test_damaged_files_beside_a_model_leave_a_page_without_them(birds: Path, tmp_path: Path, content: str) -> None:
    folder = Predictor.open(birds).save(tmp_path / "model")
    for name in ("card.json", "importance.json"):
        (folder / name).write_text(content)
    served = open_model("damaged", uri=str(folder), version=None, folder=str(folder))
    assert card_of(served) is None
    found = importance_of(served)
    assert found is not None
    assert "composed" in found.measure
    client, server = listen({"models": sources(damaged=folder)})
    try:
        assert Visitor(client).get("/models/damaged")[0] == 200
    finally:
        server.should_exit = True
