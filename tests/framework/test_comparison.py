"""Models side by side: every score, interval and test against an independent reference."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.metrics import log_loss, mean_absolute_error, root_mean_squared_error

from framework.comparison import ComparisonError, compare_models
from framework.conformal import forecast_band
from framework.contender import Context
from framework.contenders import Constant, KMeans, LightGBM, Linear, SeasonalNaive, Statistical
from framework.data.fresh import answered
from framework.data.load import load
from framework.metric import MetricError
from framework.predictor import Predictor
from tests.boards import board, tumours


@pytest.fixture(scope="module")
def values():
    """Three models of a value, and rows they have not seen."""
    table = load_diabetes(as_frame=True).frame
    asked = {"target": "target", "name": "diabetes", "kind": "regression"}
    contenders = {"constant": Constant(), "linear": Linear(), "trees": LightGBM(rounds=20)}
    models = {name: board(table.iloc[:250], each, **asked).winner.predictor for name, each in contenders.items()}
    return models, table.iloc[250:]


def test_scores_are_scikit_learns_and_the_best_comes_first(values):
    models, rows = values
    compared = compare_models(models, answered(rows, models["linear"].problem))
    expected = {
        name: root_mean_squared_error(rows["target"], each.predict(rows)[0]["prediction"])
        for name, each in models.items()
    }
    assert [line.name for line in compared.lines] == sorted(expected, key=expected.get)
    for line in compared.lines:
        assert line.score == pytest.approx(expected[line.name])
        assert line.interval.low < line.score < line.interval.high
    best, *others = compared.lines
    assert np.isnan(best.noise)
    assert best.behind == 0
    last = others[-1]
    assert (last.name, last.noise < 0.02) == ("constant", True)
    assert last.behind == pytest.approx(last.score - best.score)
    assert last.behind_interval.low < last.behind < last.behind_interval.high
    assert compared.test == "paired bootstrap"


def test_another_metric_may_be_asked_for_and_one_that_does_not_fit_is_refused(values):
    models, rows = values
    fresh = answered(rows, models["linear"].problem)
    compared = compare_models(models, fresh, scored="mae")
    told = {line.name: line.score for line in compared.lines}
    assert told["trees"] == pytest.approx(
        mean_absolute_error(rows["target"], models["trees"].predict(rows)[0]["prediction"])
    )
    with pytest.raises(MetricError, match="'roc_auc' cannot score kind='regression'"):
        compare_models(models, fresh, scored="roc_auc")


def test_weighted_rows_count_by_their_weight():
    table = load_diabetes(as_frame=True).frame.assign(w=np.tile([0.0, 2.0], 221))
    asked = {"target": "target", "name": "diabetes", "kind": "regression", "weight": "w"}
    models = {name: board(table.iloc[:250], each, **asked).winner.predictor for name, each in
              {"constant": Constant(), "linear": Linear()}.items()}  # fmt: skip
    rows = table.iloc[250:]
    compared = compare_models(models, answered(rows, models["linear"].problem))
    half = rows[rows["w"] > 0]
    expected = root_mean_squared_error(half["target"], models["linear"].predict(half)[0]["prediction"])
    assert compared.lines[0].score == pytest.approx(expected)


def test_classes_in_any_writing_are_the_models_own():
    table = load_iris(as_frame=True).frame.sample(frac=1.0, random_state=0, ignore_index=True)
    asked = {"target": "target", "name": "iris", "kind": "multiclass"}
    models = {name: board(table.iloc[:90], each, **asked).winner.predictor for name, each in
              {"linear": Linear(), "trees": LightGBM(rounds=5)}.items()}  # fmt: skip
    rows = table.iloc[90:]
    first = models["linear"]
    compared = compare_models(models, answered(rows, first.problem, first.schema.classes))
    told = {line.name: line.score for line in compared.lines}
    expected = log_loss(rows["target"], first.predict(rows)[0].filter(like="proba_").to_numpy())
    assert told["linear"] == pytest.approx(expected, rel=1e-5)
    written = rows.assign(target=rows["target"].astype(str))
    again = compare_models(models, answered(written, first.problem, first.schema.classes))
    assert [line.score for line in again.lines] == [line.score for line in compared.lines]


def test_it_prints_as_a_table_and_stands_on_a_page(values):
    models, rows = values
    compared = compare_models(
        {"<b>": models["linear"], "trees": models["trees"]}, answered(rows, models["linear"].problem)
    )
    lines = str(compared).splitlines()
    assert lines[0] == "RMSE (lower is better) on 192 rows of a pandas DataFrame"
    assert lines[3].startswith("1")
    assert "&lt;b&gt;" in compared._repr_html_()
    page = compared.document().to_html()
    assert "paired bootstrap, corrected by Holm" in page
    assert "<td><b>" not in page
    told = compared.to_json()
    assert [each["name"] for each in told["models"]] == [line.name for line in compared.lines]
    assert told["direction"] == "min"


def test_models_of_different_questions_are_not_compared(values):
    models, rows = values
    classes = board(tumours().iloc[:200], target="target", name="tumours", kind="binary").winner.predictor
    with pytest.raises(ComparisonError, match="linear and other do not answer the same question: kind is 'regression'"):
        compare_models({"linear": models["linear"], "other": classes}, answered(rows, models["linear"].problem))


def passengers(months: int) -> pd.DataFrame:
    """Two series of the same months, one ten times the other."""
    steps = np.arange(months)
    values = 100 + steps + 30 * np.sin(2 * np.pi * steps / 12) + np.random.default_rng(0).normal(0, 3, months)
    moments = pd.date_range("2010-01-01", periods=months, freq="MS")
    return pd.concat([pd.DataFrame({"month": moments, "line": line, "passengers": size * values})
                      for line, size in (("a", 1.0), ("b", 10.0))])  # fmt: skip


def test_forecasts_are_scored_by_mase_with_what_the_model_knows_of_its_series():
    table = passengers(96)
    known, rows = table[table["month"] < "2017-01-01"], table[table["month"] >= "2017-01-01"]
    split = load(known, target="passengers", kind="forecast", time="month", series="line", horizon=12)
    models = {}
    for name, contender in {"naive": SeasonalNaive(), "theta": Statistical(method="theta")}.items():
        model = contender.fit(split.fold.pooled(), Context())
        band = forecast_band([contender.fit(split.fold, Context()).predict(split.fold.valid.X)], [split.fold])
        around = band.after(split.fold.pooled())
        models[name] = Predictor("passengers", split.problem, split.schema, model, {}, around)
    fresh = answered(rows, split.problem)
    compared = compare_models(models, fresh)
    scales = {line: np.abs(part["passengers"].diff(12)).mean() for line, part in known.iloc[:].groupby("line")}
    assert compared.metric.name == "mase"
    told = {line.name: line.score for line in compared.lines}
    errors = np.abs(models["naive"].predict(rows)[0]["prediction"].to_numpy() - fresh.raw["passengers"].to_numpy())
    horizon = models["naive"].band.horizon
    assert told["naive"] == pytest.approx(np.mean(errors / fresh.raw["line"].map(horizon.scales).to_numpy()))
    assert horizon.scales["b"] == pytest.approx(10 * horizon.scales["a"])
    assert horizon.scales["a"] == pytest.approx(scales["a"], rel=0.25)
    bare = {name: replace(model, band=None) for name, model in models.items()}
    with pytest.raises(ComparisonError, match=r"MASE needs the series' usual errors.*Compare by metric='mae'\."):
        compare_models(bare, fresh)
    assert compare_models(bare, fresh, scored="mae").lines[0].score > 0


def test_clusterings_are_scored_in_one_space():
    table = load_iris(as_frame=True).data
    split = load(table.iloc[::2], kind="clustering", name="iris")
    models = {str(k): Predictor("iris", split.problem, split.schema, KMeans(clusters=k).fit(split.fold, Context()))
              for k in (2, 7)}  # fmt: skip
    compared = compare_models(models, answered(table.iloc[1::2], split.problem))
    assert [line.name for line in compared.lines] == ["2", "7"]
    assert 0.4 < compared.lines[0].score < 0.8
