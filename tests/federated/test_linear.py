"""Linear models by sums: those of the pooled rows, told by nothing but sums, of rows enough."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cluster.connect import Session
from federated import FederatedLinear, Policy
from federated.audit import verify
from federated.border import AUDIT
from federated.dealt import deal
from federated.exchange import FederationError
from federated.linear.model import LinearModel
from federated.linear.silo import LinearSilo
from federated.linear.sums import Curve, definite, hidden, meetings, penalised, products, ridge
from federated.message import BoundaryError, Message
from federated.newton import Newton
from framework import Context, load
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold
from tests.federated.portfolios import fold_of, rents

OPEN = Policy(minimum_count=1, minimum_rows=1)  # nothing is held back: the sums are those of all rows
FIXED: dict[str, Any] = {"strength": 3.0, "log_target": False, "bends": True, "hosts": 0, "policy": OPEN}


@cache
def fitted(target: str = "rent") -> tuple[LinearModel, Fold, pd.DataFrame]:
    fold, X = fold_of(target)
    return FederatedLinear(**FIXED).fit(fold, Context(folder=Path(mkdtemp()))), fold, X


def test_a_ridge_by_sums_is_the_pooled_one() -> None:
    from sklearn.linear_model import Ridge

    model, fold, X = fitted()
    pooled = Ridge(alpha=3.0, solver="cholesky").fit(model.design.matrix(fold.train.X)[:, 1:], fold.train.y)
    assert model.beta[1:] == pytest.approx(pooled.coef_, abs=1e-8)
    assert model.beta[0] == pytest.approx(pooled.intercept_, abs=1e-8)
    assert model.predict(X) == pytest.approx(pooled.predict(model.design.matrix(X)[:, 1:]), abs=1e-8)


def test_a_logistic_regression_by_newtons_steps_is_the_pooled_one() -> None:
    from sklearn.linear_model import LogisticRegression

    model, fold, X = fitted("dear")
    asked = LogisticRegression(C=3.0, tol=1e-14, max_iter=1000, solver="newton-cholesky")
    pooled = asked.fit(model.design.matrix(fold.train.X)[:, 1:], fold.train.y)
    assert model.beta[1:] == pytest.approx(pooled.coef_[0], abs=1e-8)
    assert model.predict(X) == pytest.approx(pooled.predict_proba(model.design.matrix(X)[:, 1:]), abs=1e-8)


def test_weights_count_in_the_sums() -> None:
    table = rents().drop(columns="dear")
    table["times"] = np.where(np.arange(len(table)) % 3, 1.0, 3.0)
    fold = load(table, target="rent", silo="owner", weight="times").fold
    model = FederatedLinear(**FIXED).fit(fold, Context(folder=Path(mkdtemp())))
    from sklearn.linear_model import Ridge

    X = model.design.matrix(fold.train.X)[:, 1:]
    pooled = Ridge(alpha=3.0, solver="cholesky").fit(X, fold.train.y, sample_weight=fold.train.weight)
    assert model.beta[1:] == pytest.approx(pooled.coef_, abs=1e-8)


def test_the_gradient_and_curvature_are_those_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    X, weight, beta = rng.normal(size=(40, 3)), rng.uniform(1, 2, 40), rng.normal(size=3)
    y = (rng.random(40) < 0.4).astype(float)
    told, near = Curve.of(X, y, weight, beta), 1e-5
    for place in range(3):
        step = near * np.eye(3)[place]
        above, below = (Curve.of(X, y, weight, beta + sign * step) for sign in (1, -1))
        assert told.gradient[place] == pytest.approx((above.loss - below.loss) / (2 * near), rel=1e-6)
        assert told.hessian[place] == pytest.approx((above.gradient - below.gradient) / (2 * near), rel=1e-5, abs=1e-6)


def test_newtons_method_descends_from_where_a_whole_step_would_not() -> None:
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(40, 3)), np.ones(40)
    y = (rng.random(40) < 0.4).astype(float)
    way = Newton(np.array([9.0, -9.0, 9.0]))  # all probabilities are near 0 or 1: the curvature says nothing
    losses: list[float] = []
    while not way.done and len(losses) < 200:
        losses.append(Curve.of(X, y, weight, way.beta).loss)
        way.go(*penalised(Curve.of(X, y, weight, way.beta).to_arrays(), way.beta, 1.0))
    free = np.array([0.0, 1.0, 1.0])
    assert max(losses) > losses[0]  # a step went too far, and was halved
    assert Curve.of(X, y, weight, way.beta).gradient + free * way.beta == pytest.approx(np.zeros(3), abs=1e-8)


def flags(*columns: list[int]) -> np.ndarray:
    """Ones, a number, and a flag of each list of rows; of 60 rows, shape (60, 2 + flags)."""
    rows = np.arange(60)
    return np.column_stack([np.ones(60), np.sin(rows), *[np.isin(rows, column) for column in columns]])


PARTS = np.array([False, False, True, True, True])


def test_no_sum_is_of_fewer_rows_than_a_silo_says() -> None:
    few, many = [1, 2, 3], list(range(20))
    X = hidden(flags(few, many, list(range(17, 40))), PARTS, 5)
    assert not X[:, 2].any()  # 3 rows have it
    rare = meetings(X, PARTS, 5)
    assert {tuple(place) for place in np.argwhere(rare)} == {(3, 4), (4, 3)}  # which meet in the rows 17 to 19
    assert rare[3, 4] == 4  # 20 · 23 / 60 would be more than the 4 that are most
    told = products(X, np.ones(60), rare)
    assert told[3, 4] == pytest.approx(4)
    told[3, 4] = told[4, 3] = 3
    np.testing.assert_allclose(told, X.T @ X)  # all others are as they are, and the rows too
    once = meetings(hidden(flags(few, many, list(range(19, 42))), PARTS, 5), PARTS, 5)
    np.testing.assert_array_equal(rare, once)  # it does not tell that these meet once, and not three times
    np.testing.assert_array_equal(hidden(flags(few, many, many), PARTS, 1), flags(few, many, many))
    assert not meetings(flags(few, many, [0, 25]), PARTS, 1).any()


def test_what_is_told_of_a_rare_pair_is_what_chance_makes_of_the_others() -> None:
    X = flags([], list(range(6)), list(range(3, 43))) * np.array([1, 1, 1, 2.0, 3.0])
    weight = np.where(np.arange(60) % 2, 1.0, 3.0)
    rare = meetings(X, PARTS, 5)
    assert rare[3, 4] == pytest.approx(6 * 40 / 60)
    assert products(X, weight, rare)[3, 4] == pytest.approx(4 * 2.0 * 2.0 * 3.0)  # of mean weight 2


def test_estimates_do_not_make_a_sum_of_squares_negative() -> None:
    X = flags(list(range(30)), list(range(30, 60)), list(range(15, 45)))
    gram = X.T @ X
    assert definite(gram) is gram
    broken = gram.copy()
    broken[2, 3] = broken[3, 2] = 40.0  # flags of 30 rows each cannot meet in 40
    apart = broken - np.outer(broken[0], broken[0]) / 60
    assert np.linalg.eigvalsh(apart)[0] < -5
    mended = definite(broken)
    assert np.linalg.eigvalsh(mended)[0] > -1e-9
    np.testing.assert_array_equal(mended[0], gram[0])
    values, vectors = np.linalg.eigh(apart)
    nearest = (vectors * np.maximum(values, 0)) @ vectors.T
    np.testing.assert_allclose(mended - np.outer(gram[0], gram[0]) / 60, nearest, atol=1e-9)


def test_rare_pairs_cost_little_of_the_pooled_answer() -> None:
    rng = np.random.default_rng(0)
    total, cross, true = np.zeros((9, 9)), np.zeros((9, 1)), np.array([1.0, 2, -2, 1, -1, 3, -3, 1, 2])
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(30):
        X = np.column_stack([np.ones(40), rng.random((40, 8)) < rng.uniform(0.15, 0.4, 8)]).astype(float)
        y = X @ true + rng.normal(0, 0.5, 40)
        parts = np.arange(9) > 0
        kept = hidden(X, parts, 5)
        rare = meetings(kept, parts, 5)
        assert (rare > 0).any()
        total, cross = total + products(kept, np.ones(40), rare), cross + (kept.T @ y)[:, None]
        rows.append((X, y))
    every, answers = np.concatenate([X for X, _ in rows]), np.concatenate([y for _, y in rows])
    pooled = ridge(every.T @ every, (every.T @ answers)[:, None], 1.0)[:, 0]
    told = ridge(definite(total), cross, 1.0)[:, 0]
    missed, base = every @ (told - pooled), every @ pooled
    assert np.mean(missed**2) < 0.01 * base.var()


def test_rare_pairs_do_not_move_where_newtons_method_ends() -> None:
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(80), rng.normal(size=80), rng.random((80, 3)) < 0.15]).astype(float)
    y, weight = (rng.random(80) < 0.4).astype(float), np.ones(80)
    rare = meetings(X, PARTS, 5)
    assert rare.any()
    exact, near = Newton(np.zeros(5)), Newton(np.zeros(5))
    for _ in range(60):
        if not exact.done:
            exact.go(*penalised(Curve.of(X, y, weight, exact.beta).to_arrays(), exact.beta, 1.0))
        if not near.done:
            near.go(*penalised(Curve.of(X, y, weight, near.beta, rare).to_arrays(), near.beta, 1.0))
    assert exact.done
    assert near.done
    assert near.best == pytest.approx(exact.best, abs=1e-8)


def test_a_step_that_nobody_has_looked_at_is_not_the_answer() -> None:
    way = Newton(np.zeros(2))
    way.go(4.0, np.array([1.0, 1.0]), np.eye(2))
    assert way.beta.any()
    assert not way.best.any()


def test_a_silo_tells_no_rare_category_and_few_rows_judge_nothing() -> None:
    fold, _ = fold_of()
    rare = fold.train.X.copy()
    rare["kind"] = rare["kind"].astype(object)
    rare.loc[np.flatnonzero((rare.owner == "owner 0").to_numpy())[:3], "kind"] = "loft"
    rare.loc[np.flatnonzero((rare.owner == "owner 0").to_numpy())[3:], "kind"] = "flat"
    rare["kind"] = pd.Categorical(rare["kind"], categories=["flat", "house", "loft"])
    fold = replace(fold, train=replace(fold.train, X=rare), valid=fold.valid.take(np.arange(4)))
    silo = LinearSilo(deal(fold)[0])
    job = FederatedLinear(hosts=0).job(fold, 0)
    model = FederatedLinear(hosts=0, strength=1.0, bends=False, log_target=False).fit(
        fold, Context(folder=Path(mkdtemp()))
    )
    silo.answer(Message("join", facts={"job": job.to_facts()}).to_bytes())
    preparation = {"schema": model.design.rows.native.schema.to_json(), "target": {}, "run": "a"}
    quantiles = np.zeros((257, len(model.design.rows.cards)), dtype=np.float32)
    silo.answer(Message("prepare", facts=preparation, groups={"preparation": {"quantiles": quantiles}}).to_bytes())
    told = Message.from_bytes(silo.answer(Message("sum", round=1).to_bytes()))
    assert told.kind == "summed"
    gram = told.groups["0"]["gram"]
    flags = 1 + 2 * model.design.low.size
    diagonal = np.diag(gram)[flags:]
    assert ((diagonal == 0) | (diagonal >= 5)).all()
    assert diagonal.max() >= 5
    asked = Message("judge", facts={"targets": [{}]}, groups={"beta": {"0": np.zeros(len(gram))}})
    assert Message.from_bytes(silo.answer(asked.to_bytes())).groups == {}
    again = Message.from_bytes(silo.answer(Message("sum", round=2).to_bytes()))
    assert "joined for 1 sums" in again.facts["reason"]


def test_nothing_leaves_in_the_shape_of_rows() -> None:
    told = Message("summed", "a", groups={"0": {"gram": np.zeros((60, 4))}})
    with pytest.raises(BoundaryError, match=r"shape \(60, 4\), which is no part of the model"):
        told.check_leaving({"gram": (4, 4)})
    with pytest.raises(BoundaryError, match="rows"):
        Message("summed", "a", groups={"rows": {"gram": np.zeros((4, 4))}}).check_leaving({"gram": (4, 4)})


def test_the_silos_choose_the_setting_and_it_is_saved_and_settled(tmp_path: Path) -> None:
    fold, X = fold_of()
    asked = FederatedLinear(hosts=0, audit=str(tmp_path / "audit"))
    model = asked.fit(fold, Context(folder=tmp_path))
    assert set(model.found) == {"strength", "log_target", "bends"}
    settled = asked.settled(model)
    assert settled.strength == model.found["strength"]
    again = settled.fit(fold.pooled(), Context(folder=tmp_path))
    assert again.found == model.found
    folder = tmp_path / "model"
    folder.mkdir()
    store_model(model, folder)
    np.testing.assert_array_equal(open_model(folder).predict(X), model.predict(X))
    error = np.sqrt(np.mean((model.predict(fold.valid.X) - fold.valid.y) ** 2))
    assert error < 0.4 * fold.valid.y.std()
    kinds = set()
    for silo in fold.train.X.owner.unique():
        verify(tmp_path / "audit" / silo.replace(" ", "%20") / AUDIT)
        lines = (tmp_path / "audit" / silo.replace(" ", "%20") / AUDIT).read_text().splitlines()
        kinds |= {json.loads(line)["kind"] for line in lines}
    assert kinds == {"joined", "categories", "moments", "histograms", "ready", "summed", "judged"}


def test_a_log_is_learned_where_every_answer_has_one() -> None:
    table = rents().drop(columns="dear")
    table["rent"] = np.exp(0.02 * table["size"] + 0.5 * table["heated"])
    fold = load(table, target="rent", silo="owner").fold
    assert FederatedLinear(hosts=0).fit(fold, Context(folder=Path(mkdtemp()))).found["log_target"]
    table.loc[7, "rent"] = 0.0
    fold = load(table, target="rent", silo="owner").fold
    assert not FederatedLinear(hosts=0).fit(fold, Context(folder=Path(mkdtemp()))).found["log_target"]


def test_silos_that_refuse_are_named() -> None:
    fold, _ = fold_of()
    with pytest.raises(FederationError, match=r"'owner \d' does not train by Sums"):
        FederatedLinear(hosts=0, policy=Policy(strategies=frozenset({"FedAvg"}))).fit(
            fold, Context(folder=Path(mkdtemp()))
        )


@pytest.mark.parametrize("target", ["rent", "dear"])
def test_the_model_is_the_same_in_actors(ray_session: Session, target: str, tmp_path: Path) -> None:
    here, fold, X = fitted(target)
    there = FederatedLinear(**{**FIXED, "hosts": 2}).fit(fold, Context(folder=tmp_path))
    np.testing.assert_array_equal(there.beta, here.beta)
    np.testing.assert_array_equal(there.predict(X), here.predict(X))
