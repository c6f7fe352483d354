"""Trees that silos grow together: an ordinary booster, near the pooled one, and no row on its way."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from federated import BaggedTrees, FederatedTrees, Policy
from federated.agreement import Agreement
from federated.audit import verify
from federated.border import AUDIT
from federated.exchange import Exchange, FederationError
from federated.job import JobError
from federated.message import Message
from federated.rounds import Terms
from federated.trees.grown import Grown
from federated.trees.growth import CHECKPOINT, Growth
from federated.trees.job import TreeJob
from federated.trees.model import BagOfTrees, WithoutTexts
from federated.trees.reach import reached
from federated.trees.session import Call, Session
from framework import Context, load
from framework.contender import Contender, Model, OutOfTimeError
from framework.contenders.store import open_model, store_model
from framework.contenders.xgboost import XGBoostModel
from framework.data.frame import Fold
from framework.explainers.exact import explainer_of
from tests.federated.portfolios import filed, rents

QUICK: dict[str, Any] = {"hosts": 0, "rounds": 6, "learning_rate": 0.3, "depth": 3, "session": 3}
MADE: dict[str, Contender] = {
    "together": FederatedTrees(**QUICK),
    "bagged": BaggedTrees(**{name: value for name, value in QUICK.items() if name != "session"}),
}
TARGETS = {"regression": "rent", "binary": "dear", "multiclass": "kind"}
every = pytest.mark.parametrize("name", MADE)


def context(**given: Any) -> Context:
    return Context(seed=3, folder=Path(mkdtemp()), **given)


@cache
def fold_of(kind: str) -> tuple[Fold, pd.DataFrame]:
    """A fold of three owners, and rows that nobody has learned from."""
    table = rents(rows=80, silos=3).drop(columns={"rent": "dear"}.get(TARGETS[kind], "rent"))
    split = load(table.dropna(subset=[TARGETS[kind]]), target=TARGETS[kind], silo="owner")
    return split.fold, split.test.X


@cache
def fitted(name: str, kind: str) -> Model:
    return MADE[name].fit(fold_of(kind)[0], context())


@every
@pytest.mark.parametrize("kind", TARGETS)
def test_it_answers_in_the_shape_of_its_kind_and_is_kept(name: str, kind: str, tmp_path: Path) -> None:
    fold, X = fold_of(kind)
    model = fitted(name, kind)
    told = model.predict(X)
    assert told.shape == ((len(X), len(fold.classes)) if fold.classes else (len(X),))
    assert np.isfinite(told).all()
    if fold.classes:
        assert told.sum(axis=1) == pytest.approx(np.ones(len(X)))
    one = np.concatenate([model.predict(X.iloc[[row]].reset_index(drop=True)) for row in range(4)])
    assert one == pytest.approx(told[:4], rel=1e-5)
    store_model(model, tmp_path)
    np.testing.assert_array_equal(open_model(tmp_path).predict(X), told)


def test_the_model_is_an_ordinary_booster_whose_contributions_add_up() -> None:
    fold, X = fold_of("regression")
    model = fitted("together", "regression")
    assert type(model) is XGBoostModel
    explained = explainer_of(model, fold.schema, None)
    assert explained is not None
    told = explained(X)
    assert (told.values.sum(axis=1) + told.base)[:, 0] == pytest.approx(model.predict(X), rel=1e-4)


@every
def test_the_same_seed_gives_the_same_model(name: str) -> None:
    fold, X = fold_of("regression")
    again = MADE[name].fit(fold, context())
    np.testing.assert_array_equal(again.predict(X), fitted(name, "regression").predict(X))


def test_it_is_near_the_pooled_trees_and_better_than_bagged_ones() -> None:
    fold = load(rents(rows=400, silos=3).drop(columns="dear"), target="rent", silo="owner").fold
    chance = {"subsample": 1.0, "columns": 1.0}  # none
    whole: dict[str, Any] = {**QUICK, "rounds": 20, "session": 20, **chance}
    together = FederatedTrees(**whole)
    bagged = BaggedTrees(**{name: value for name, value in whole.items() if name != "session"})

    def missed(made: Contender) -> float:
        model = made.fit(fold, context())
        return float(np.sqrt(np.mean((model.predict(fold.valid.X) - fold.valid.y) ** 2)))

    grown, pooled = missed(together), missed(together.alike("pooled"))
    assert grown == pytest.approx(pooled, rel=0.05)
    assert grown < 0.8 * missed(bagged)


@every
def test_settled_it_makes_the_rounds_that_were_best_without_rows_to_stop_by(name: str) -> None:
    fold, X = fold_of("regression")
    settled = MADE[name].settled(fitted(name, "regression"))
    model = settled.fit(fold.pooled(), context())
    assert np.isfinite(model.predict(X)).all()
    trees = [model.booster] if isinstance(model, XGBoostModel) else model.boosters  # type: ignore[attr-defined]
    assert {booster.num_boosted_rounds() for booster in trees} == {settled.rounds}  # type: ignore[attr-defined]
    assert settled.settled(model) == settled


def test_it_stops_when_the_silos_together_gain_no_more_and_cuts_to_the_best_round() -> None:
    fold, _ = fold_of("regression")
    scores: dict[int, float] = {}
    made = FederatedTrees(**{**QUICK, "rounds": 500, "learning_rate": 1.0, "session": 5}, patience=4)
    model = made.fit(fold, context(sink=lambda step, metrics: scores.update({step: metrics["valid_rmse"]})))
    assert isinstance(model, XGBoostModel)
    best = min(scores, key=lambda step: scores[step])
    assert best + 4 < len(scores) <= best + 4 + 5
    assert model.found["rounds"] == model.booster.num_boosted_rounds() == best + 1
    # The sum over silos is the error of all their rows to stop by.
    missed = np.sqrt(np.mean((model.predict(fold.valid.X) - fold.valid.y) ** 2))
    assert missed == pytest.approx(scores[best], rel=1e-5)


def test_texts_are_left_out_and_asked_with_all_the_same(tmp_path: Path) -> None:
    table = rents(rows=60, silos=3).drop(columns="dear")
    table["note"] = [f"flat {place} of {owner}, seen {place * 7}" for place, owner in enumerate(table.owner)]
    split = load(table, target="rent", silo="owner")
    assert {column.kind for column in split.fold.schema.columns} >= {"text"}
    model = FederatedTrees(**{**QUICK, "rounds": 2}).fit(split.fold, context())
    assert isinstance(model, WithoutTexts)
    store_model(model, tmp_path)
    np.testing.assert_array_equal(open_model(tmp_path).predict(split.test.X), model.predict(split.test.X))


def test_a_bag_is_the_mean_of_the_silos_counted_by_their_rows() -> None:
    fold, X = fold_of("regression")
    bag = fitted("bagged", "regression")
    assert isinstance(bag, BagOfTrees)
    assert list(bag.rows) == fold.train.X.owner.value_counts().sort_index().tolist()
    each = [XGBoostModel(bag.native, booster, 0, {}).predict(X) for booster in bag.boosters]
    assert bag.predict(X) == pytest.approx(sum(n * y for n, y in zip(bag.rows, each, strict=True)) / sum(bag.rows))


def test_what_a_silo_does_not_allow_is_refused_by_it(tmp_path: Path) -> None:
    fold, _ = fold_of("regression")
    for policy, sentence in (
        (Policy(minimum_count=20), "grows no leaf of fewer than 20 rows, and min_child_weight=5 is asked"),
        (Policy(strategies=frozenset({"FedAvg"})), "does not train by Histograms; it does by: FedAvg"),
        (Policy(epsilon=1.0), "is asked to train without record-level privacy"),
    ):
        with pytest.raises(FederationError, match=sentence):
            FederatedTrees(**QUICK, policy=policy).fit(fold, context())
    with pytest.raises(FederationError, match="lets no model leave that is of its rows alone"):
        BaggedTrees(hosts=0, policy=Policy(personal=False)).fit(fold, context())
    with pytest.raises(JobError, match="depth=0 must be at least 1"):
        FederatedTrees(hosts=0, depth=0).fit(fold, context())


def test_a_silo_does_what_it_has_joined_for_and_nothing_else() -> None:
    job = FederatedTrees(**QUICK).job(fold_of("regression")[0], seed=0)
    with reached(filed(rents(rows=20, silos=2)), None, hosts=0, cpus=1.0) as (silos, _):
        exchange = Exchange(silos, 600.0, float("inf"), job)
        _, rows = Agreement(exchange, job, quorum=2, units=False).reach()

        def refused(question: Message) -> str:
            exchange.refused.clear()
            assert not exchange.ask(question, list(rows), expected="grown")
            return exchange.refused["owner 0"]

        assert refused(Message("bag")) == "silo 'owner 0' joined for Histograms, and is asked for Bagging."
        more = {"first": 5, "trees": 2}  # of six rounds
        assert refused(Message("grow", facts=more)) == "silo 'owner 0' joined for 6 rounds, and is asked for more."


def test_it_is_audited_and_no_row_is_in_what_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = rents(rows=60, silos=3).drop(columns="dear")
    canary = {"size": 1234.5678, "age": 98.7654, "rent": 4321.8765}
    table.loc[range(3, 180, 20), list(canary)] = list(canary.values())
    told = bytearray()
    take = Session.take

    async def recorded(self: Session, call: Call) -> bytes:
        told.extend(call.data)
        return await take(self, call)

    monkeypatch.setattr(Session, "take", recorded)
    fold = load(table, target="rent", silo="owner", seed=1).fold
    assert canary["rent"] in fold.train.y
    FederatedTrees(**{**QUICK, "rounds": 3}, audit=str(tmp_path)).fit(fold, context())
    assert len(told) > 10_000
    for value in canary.values():
        assert all(np.array([value], dtype=dtype).tobytes() not in told for dtype in (np.float32, np.float64))
    for place in range(3):
        path = tmp_path / f"owner%20{place}" / AUDIT
        assert verify(path)[0] >= 7
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["facts"] for line in lines if line["kind"] == "grown"] == [["scores", "sha256"]]
        assert [bool(line["arrays"]) for line in lines if line["kind"] == "grown"] == [place == 0]


class StoppedError(Exception):
    """What ends a coordinator here."""


def grow(job: TreeJob, folder: Path, report: Callable[[int, float], None], **terms: float) -> Grown:
    """Three owners and a coordinator in this process."""
    with reached(filed(rents(rows=60, silos=3)), None, hosts=0, cpus=1.0) as (silos, tracker):
        return Growth(silos, tracker, job, Terms(**terms), trees=3, folder=folder).run(report)  # type: ignore[arg-type]


def test_a_deadline_ends_it_with_the_trees_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(FederatedTrees(**QUICK).job(fold_of("regression")[0], seed=0), rounds=100_000)
    gone = [0.0]
    monkeypatch.setattr("federated.trees.growth.time", SimpleNamespace(time=lambda: time.time() + gone[0]))

    def report(number: int, score: float) -> None:
        gone[0] += 1000.0  # each tree takes as long

    grown = grow(job, tmp_path, report, deadline=time.time() + 10_000.0)
    assert grown.best <= len(grown.scores) == 9
    with pytest.raises(OutOfTimeError, match="did not grow a tree together in the time there was"):
        FederatedTrees(**QUICK).fit(fold_of("regression")[0], context(deadline=time.time()))


def test_a_coordinator_goes_on_from_its_checkpoint_to_the_same_booster(tmp_path: Path) -> None:
    job = FederatedTrees(**QUICK).job(fold_of("regression")[0], seed=0)

    def stop(number: int, score: float) -> None:
        if number == 2:
            raise StoppedError

    whole = grow(job, tmp_path / "whole", lambda number, score: None)
    with pytest.raises(StoppedError):  # after its first session, which is kept
        grow(job, tmp_path / "halved", stop)
    again = grow(job, tmp_path / "halved", lambda number, score: None)
    assert again.sessions == whole.sessions == 2
    assert again.booster == whole.booster
    assert again.scores == whole.scores
    with pytest.raises(FederationError, match=f"{CHECKPOINT} is the checkpoint of another job"):
        grow(replace(job, rounds=9), tmp_path / "halved", stop)
