"""What can be told from a model of the rows it learned from."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from federated import FederatedAverage, membership, strategies
from federated.membership import MembershipError, halves, leaks, likelihood_ratio, measured
from federated.privacy import RecordLevel
from framework.data.load import load
from tests.federated.portfolios import rents

# 40 rows a silo of which no law holds: what a net knows of them it has learned by heart.
WIDE = (("size", 16), ("width", 256), ("layers", 2), ("dropout", 0.0))
BY_HEART = {"shape": WIDE, "strategy": strategies.FedAvg(), "hosts": 0, "batch": 64, "rate": 0.005, "clip": 0.0}


def test_it_finds_what_was_learned_by_heart_and_nothing_where_rows_are_hidden() -> None:
    table = rents(40, 3).drop(columns="dear")
    table["rent"] = np.random.default_rng(1).permutation(table["rent"].to_numpy())
    fold = load(table, target="rent", silo="owner").fold.pooled()  # without rows that would stop it in time
    overfitted = FederatedAverage(**BY_HEART, rounds=15, epochs=8)  # type: ignore[arg-type]
    private = FederatedAverage(**BY_HEART, rounds=2, epochs=1, privacy=RecordLevel(1.0, statistics=0.0))  # type: ignore[arg-type]
    found, by_loss = leaks(overfitted, fold, models=6)
    hidden, _ = leaks(private, fold, models=6)
    assert (found.attack, by_loss.attack) == ("likelihood ratio", "loss")
    assert found.auc > 0.75
    assert by_loss.auc > 0.75
    assert found.auc_interval[0] > 0.65
    assert found.tpr > 0.03
    assert hidden.auc < 0.65
    assert hidden.auc_interval[0] < 0.55
    assert (hidden.models, hidden.rows) == (6, len(fold.train))
    assert "AUC" in str(hidden)


def test_the_ratio_is_that_of_two_normal_densities() -> None:
    rng = np.random.default_rng(0)
    inside = rng.random((400, 3)) < 0.5
    told = np.where(inside, rng.normal(2.0, 1.0, inside.shape), rng.normal(0.0, 1.0, inside.shape))
    told[0] = [0.0, 1.0, 3.0]
    ratio = likelihood_ratio(told, inside, 0)
    assert ratio == pytest.approx([-2.0, 0.0, 4.0], abs=0.5)  # log φ(t - 2) - log φ(t) = 2 t - 2


def test_the_area_is_scikit_learns_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(2)
    inside = rng.random((5, 200)) < 0.5
    scores = rng.normal(size=inside.shape) + inside
    leak = measured("loss", scores, inside, seed=0)
    assert leak.auc == pytest.approx(np.mean([roc_auc_score(m, s) for m, s in zip(inside, scores, strict=True)]))
    assert leak.auc_interval[0] < leak.auc < leak.auc_interval[1]
    blind = measured("loss", rng.normal(size=inside.shape), inside, seed=0)
    assert blind.auc_interval[0] < 0.5 < blind.auc_interval[1]
    assert blind.tpr < 0.05


def test_each_silo_is_halved() -> None:
    silos = np.array(["a"] * 10 + ["b"] * 5)
    chosen = halves(silos, np.random.default_rng(0))
    assert (chosen[:10].sum(), chosen[10:].sum()) == (5, 3)


def test_too_few_models_are_refused(tmp_path: Path) -> None:
    fold = load(rents(20, 2).drop(columns="dear"), target="rent", silo="owner").fold
    with pytest.raises(MembershipError, match="3 models are too few"):
        membership.leaks(FederatedAverage(), fold, models=3)
