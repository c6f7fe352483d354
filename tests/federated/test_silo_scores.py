"""What silos are compared by, held against scikit-learn on numbers."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, mean_squared_error, r2_score

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
