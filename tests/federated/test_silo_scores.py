"""What silos are compared by, held against scikit-learn on numbers."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, mean_squared_error, r2_score

from federated.comparison import SiloComparison
from federated.silo_figure import GREY, drawn
from federated.silo_scores import scores_of
from framework import load
from framework.data.split import Split
from framework.figures import BLUE, ORANGE
from tests.federated.portfolios import rents


def split_of(target: str) -> Split:
    return load(rents().drop(columns="dear" if target == "rent" else "rent"), target=target, silo="owner")


def test_values_are_scored_by_r2_and_rmse_of_each_silo() -> None:
    split = split_of("rent")
    told = split.test.y + np.random.default_rng(0).normal(0, 50, len(split.test))
    found = scores_of(split, "owner", "guess", told)
    owners = split.test.X.owner.astype(str).to_numpy()
    assert [score.silo for score in found] == sorted(set(owners))
    for score in found:
        mine = owners == score.silo
        assert score.rows == mine.sum()
        assert score.rmse == pytest.approx(mean_squared_error(split.test.y[mine], told[mine]) ** 0.5)
        assert score.r2 == pytest.approx(r2_score(split.test.y[mine], told[mine]))


def test_classes_are_scored_by_brier() -> None:
    split = split_of("dear")
    second = np.random.default_rng(0).random(len(split.test))
    owners = split.test.X.owner.astype(str).to_numpy()
    for score in scores_of(split, "owner", "guess", np.column_stack([1 - second, second])):
        mine = owners == score.silo
        y = split.test.y[mine]
        assert score.rmse**2 == pytest.approx(brier_score_loss(y, second[mine]))
        skill = 1 - brier_score_loss(y, second[mine]) / brier_score_loss(y, np.full(len(y), y.mean()))
        assert score.r2 == pytest.approx(skill)


@cache
def forecast() -> tuple[Split, np.ndarray]:
    """A small and a large series, and a forecast that is as far off, of its own kind, for both."""
    months, drawn = pd.date_range("2015-01-01", periods=48, freq="MS"), np.random.default_rng(0)
    made = [
        pd.DataFrame(
            {"city": name, "month": months, "sales": size * (10 + np.arange(48) % 12 + drawn.normal(0, 1, 48))}
        )
        for name, size in (("small", 1.0), ("large", 1000.0))
    ]
    split = load(pd.concat(made), target="sales", kind="forecast", time="month", series="city", silo="city", horizon=6)
    return split, split.test.y + np.asarray(split.test.truth.scale)


def test_forecasts_are_scored_by_mase_too_which_no_size_of_a_series_moves() -> None:
    split, told = forecast()
    found = {score.silo: score for score in scores_of(split, "city", "guess", told)}
    assert found["large"].rmse > 500 * found["small"].rmse
    assert [found[silo].mase for silo in ("small", "large")] == pytest.approx([1.0, 1.0])
    assert set(found["small"].to_json()) == {"silo", "rows", "method", "seed", "r2", "rmse", "mase"}
    still = replace(split.test.truth, scale=np.zeros(len(split.test)))
    scores = scores_of(replace(split, test=replace(split.test, truth=still)), "city", "guess", told)
    assert {score.mase for score in scores} == {None}


def compared(seeds: int) -> SiloComparison:
    split, told = forecast()
    methods = ("local net", "fedavg", "pooled net")
    errors = dict(zip(methods, (2.0, 1.5, 1.0), strict=True))
    truth = np.asarray(split.test.y)
    silos = [
        replace(score, seed=seed)
        for method in methods
        for seed in range(seeds)
        for score in scores_of(split, "city", method, truth + errors[method] * (told - truth))
    ]
    each = {method: [0.5] * seeds for method in methods}
    return SiloComparison("sales", "mase", silos, each, each, "local net", "pooled net")


def test_a_table_says_how_its_columns_are_read() -> None:
    one, two = str(compared(1)), str(compared(2))
    assert "sales: 2 silos, 1 seed(s): no spread is known" in one
    assert "sales: 2 silos, 2 seed(s); ± between seeds, all of which keep back the same last steps" in two
    assert "MASE (lower is better)" in one
    assert "gap closed: of the way in mean RMSE" in one
    line = next(line for line in one.splitlines() if line.startswith("fedavg"))
    assert line.endswith(" 50%")
    alone = replace(compared(1), local="nobody")
    assert "%" not in str(alone)
    assert str(alone).splitlines()[-1].startswith("R² and MASE")


def test_a_figure_of_forecasts_shows_small_series_beside_large_ones() -> None:
    axes = compared(1).figure().axes[0]
    assert "MASE of sales" in axes.get_xlabel()
    points = [collection.get_offsets()[:, 0].tolist() for collection in axes.collections]
    assert points == [pytest.approx([error, error]) for error in (2.0, 1.5, 1.0)]


def test_a_silo_whose_answers_are_alike_has_no_r2() -> None:
    split = split_of("rent")
    truth = replace(split.test.truth, y=np.zeros(len(split.test)))
    alike = replace(split, test=replace(split.test, truth=truth))
    assert {score.r2 for score in scores_of(alike, "owner", "guess", np.ones(len(split.test)))} == {None}


def test_the_figure_has_a_point_for_each_silo_and_tells_who_pooled() -> None:
    from matplotlib.colors import to_hex

    errors = {name: {"a": 1.0, "b": 3.0} for name in ("local net", "fedavg", "pooled net")}
    axes = drawn("RMSE", errors).axes[0]
    colours = [to_hex(points.get_facecolor()[0]) for points in axes.collections]
    assert colours == [GREY, BLUE, ORANGE]
    assert [points.get_offsets()[:, 0].tolist() for points in axes.collections] == [[1.0, 3.0]] * 3
    assert [text.get_text() for text in axes.texts].count("2.0000") == 3
