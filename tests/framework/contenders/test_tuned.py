"""A sweep: what it tries, whom it stops, what it leaves, and what a killed one goes on from."""

import json
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from sklearn.datasets import load_breast_cancer, load_diabetes

from cluster.connect import Session
from framework.contender import Context
from framework.contenders import Constant, Linear, TorchDDP, Tuned, XGBoost
from framework.contenders.tuned import TunedError, TunedModel
from framework.contenders.xgboost import XGBoostModel
from framework.contest.attempt import pack, unpack
from framework.data.frame import Fold
from framework.data.load import load
from framework.metric import metric
from framework.search_space import Real, SearchSpaceError, Space, Whole
from framework.sweep.ledger import Ledger, LedgerError
from framework.sweep.rungs import rungs
from framework.sweep.searcher import grid, study
from framework.sweep.trial import Trial

SMALL: Space = {"learning_rate": Real(0.03, 0.3, log=True), "depth": Whole(2, 6)}
TRIALS = 16
TRIED = 24  # settings of a search without any fit


@pytest.fixture(scope="module")
def fold() -> Fold:
    return load(load_breast_cancer(as_frame=True).frame, target="target", kind="binary").fold


@pytest.fixture(scope="module")
def swept(
    ray_session: Session, fold: Fold, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Tuned, TunedModel, list[Trial]]:
    tuned = Tuned(XGBoost(rounds=240), trials=TRIALS, parallel=2)
    told: list[Trial] = []
    context = Context(deadline=time.time() + 240, folder=tmp_path_factory.mktemp("sweep"), counter=told.append)
    return tuned, tuned.fit(fold, context), told


def test_the_defaults_and_the_portfolio_are_tried_first(swept: Any) -> None:
    _, model, _ = swept
    assert [trial.number for trial in model.trials] == list(range(TRIALS))
    assert model.trials[0].settings == {}
    assert [trial.settings for trial in model.trials[1:5]] == list(XGBoost.portfolio)
    assert all(set(trial.settings) == set(XGBoost.space) for trial in model.trials[5:])
    for trial in model.trials[5:]:
        assert all(XGBoost.space[name].holds(value) for name, value in trial.settings.items())


def test_the_best_trials_model_is_what_is_left(swept: Any, fold: Fold) -> None:
    tuned, model, _ = swept
    scored = metric(fold.problem.metric)
    best = max((trial for trial in model.trials if trial.finished), key=lambda trial: trial.score)
    assert scored.direction == "max"
    assert scored.score(fold.valid.truth, model.predict(fold.valid.X)) == pytest.approx(best.score, abs=1e-6)
    opened = unpack(pack(model))
    assert isinstance(opened, XGBoostModel)
    assert np.array_equal(opened.predict(fold.valid.X), model.predict(fold.valid.X))
    settled = tuned.settled(model)
    assert isinstance(settled, XGBoost)
    assert settled.name == tuned.name == "tuned/xgboost"
    assert settled.patience == 0
    for name, value in best.settings.items():
        assert name == "learning_rate" or getattr(settled, name) == value


def test_every_trial_is_told_as_it_ends(swept: Any) -> None:
    _, _, told = swept
    assert sorted(trial.number for trial in told) == list(range(TRIALS))
    assert {trial.status for trial in told} <= {"finished", "pruned"}
    assert all(math.isfinite(trial.score) == trial.finished and trial.seconds > 0 for trial in told)


def test_bad_trials_are_stopped_at_a_rung(swept: Any) -> None:
    _, model, _ = swept
    pruned = [trial for trial in model.trials if trial.status == "pruned"]
    assert pruned
    for trial in model.trials:
        assert {step for step, _ in trial.steps} <= set(rungs(240))
        losses = [loss for _, loss in trial.steps]
        assert losses == sorted(losses, reverse=True)
    # Of those stopped at the first rung none was better there than the best that went on.
    first = rungs(240)[0]
    at_first = {trial.number: dict(trial.steps).get(first, math.inf) for trial in model.trials}
    went_on = min(at_first[trial.number] for trial in model.trials if trial.status == "finished")
    assert all(at_first[trial.number] > went_on for trial in pruned if len(trial.steps) == 1)


def test_no_process_keeps_a_cpu_when_it_is_over(swept: Any) -> None:
    assert within(120.0, lambda: ray.available_resources().get("CPU", 0.0) == ray.cluster_resources()["CPU"])


def test_it_ends_before_its_deadline_with_what_it_has(ray_session: Session, fold: Fold, tmp_path: Path) -> None:
    endless = XGBoost(rounds=1_000_000, patience=0, learning_rate=0.001)
    tuned = Tuned(endless, trials=50, space=SMALL, scheduler=None, parallel=2)
    deadline = time.time() + 25.0
    model = tuned.fit(fold, Context(deadline=deadline, folder=tmp_path))
    assert time.time() < deadline + 60  # its fits alone would take days
    assert 1 <= len(model.trials) < 50
    assert any(trial.finished for trial in model.trials)
    assert model.predict(fold.valid.X).shape == (len(fold.valid), 2)


def test_without_time_for_a_sweep_it_is_the_contender_itself(fold: Fold, tmp_path: Path) -> None:
    said: list[str] = []
    context = Context(deadline=time.time() + 5.0, folder=tmp_path, teller=said.append)
    model = Tuned(Linear()).fit(fold, context)
    assert model.trials == ()
    assert "no time" in said[0]
    assert Tuned(Linear()).settled(model).name == "tuned/linear"


def test_a_sweep_that_is_killed_goes_on_without_losing_a_trial(
    ray_session: Session, fold: Fold, tmp_path: Path
) -> None:
    tuned = Tuned(XGBoost(rounds=60), trials=300, space=SMALL, scheduler=None, parallel=2)
    place, pid = tmp_path / "trials", tmp_path / "pid"

    def first(fold: Fold) -> None:
        pid.write_text(str(os.getpid()))
        tuned.fit(fold, Context(deadline=time.time() + 300, folder=tmp_path, checkpoints=str(place)))

    running = ray.remote(num_cpus=0, max_retries=0)(first).remote(fold)
    ledger = Ledger.at(str(place))
    assert within(120.0, lambda: len(ledger.trials()) >= 7)
    os.kill(int(pid.read_text()), signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayError):
        ray.get(running, timeout=120)
    assert within(120.0, lambda: ray.available_resources().get("CPU", 0.0) == ray.cluster_resources()["CPU"])

    before = ledger.trials()
    few = Tuned(XGBoost(rounds=60), trials=len(before) + 3, space=SMALL, scheduler=None, parallel=2)
    told: list[Trial] = []
    context = Context(deadline=time.time() + 240, folder=tmp_path, checkpoints=str(place), counter=told.append)
    model = few.fit(fold, context)
    assert list(model.trials[: len(before)]) == before
    assert [trial.number for trial in told] != []
    assert {trial.number for trial in told}.isdisjoint(trial.number for trial in before)
    assert len(model.trials) == len(before) + 3
    best = max((trial for trial in model.trials if trial.finished), key=lambda trial: trial.score)
    score = metric(fold.problem.metric).score(fold.valid.truth, model.predict(fold.valid.X))
    assert score == pytest.approx(best.score, abs=1e-6)

    with pytest.raises(LedgerError, match="another sweep"):
        Tuned(XGBoost(rounds=61), space=SMALL).fit(fold, context)


def test_a_trial_that_fails_does_not_end_the_sweep(ray_session: Session, tmp_path: Path) -> None:
    fold = load(load_diabetes(as_frame=True).frame, target="target", kind="regression").fold
    wild = {"subsample": Real(0.5, 3.0)}  # the engine refuses more than 1
    tuned = Tuned(XGBoost(rounds=20), trials=8, search="random", space=wild)
    model = tuned.fit(fold, Context(deadline=time.time() + 240, folder=tmp_path))
    ended = {trial.status for trial in model.trials}
    assert {"failed", "finished"} <= ended
    failed = [trial for trial in model.trials if trial.status == "failed"]
    assert all(trial.settings["subsample"] > 1 and "subsample" in trial.reason for trial in failed)


def test_a_sweep_of_a_contender_on_two_workers_leaves_the_cpus_to_them(
    ray_session: Session, fold: Fold, tmp_path: Path
) -> None:
    tuned = Tuned(XGBoost(rounds=12, patience=0, workers=2), trials=1)
    assert tuned.resources.options() == {"num_cpus": 0}
    model = tuned.fit(fold, Context(deadline=time.time() + 240, folder=tmp_path))
    assert [trial.status for trial in model.trials] == ["finished"]
    assert {step for step, _ in model.trials[0].steps} == set(rungs(12))  # it was asked while it trained
    settled = tuned.settled(model)
    assert isinstance(settled, XGBoost)
    assert (settled.workers, settled.rounds) == (2, 12)


def test_a_rung_that_a_group_of_workers_skipped_is_asked_at_the_step_after() -> None:
    from framework.sweep.work import Ladder

    asked: list[tuple[int, float]] = []
    ladder = Ladder(frozenset({1, 3, 9}), lambda step, loss: asked.append((step, loss)))
    for step, loss in ((1, 0.5), (2, 0.7), (9, 0.4), (10, 0.3)):  # counted from 0
        ladder.climb(step, {"valid_loss": loss})
    assert asked == [(2, 0.5), (3, 0.5), (10, 0.4)]


def test_a_population_that_is_killed_goes_on_with_its_members_to_the_best_of_them(
    ray_session: Session, fold: Fold, tmp_path: Path
) -> None:
    net = TorchDDP(net="mlp", looks=150, shape=(("width", 16),))
    tuned, place, pid = Tuned(net, trials=2, search="pbt", parallel=2), tmp_path / "trials", tmp_path / "pid"

    def first(fold: Fold) -> None:
        pid.write_text(str(os.getpid()))
        tuned.fit(fold, Context(deadline=time.time() + 600, folder=tmp_path, checkpoints=str(place)))

    began = time.time()
    running = ray.remote(num_cpus=0, max_retries=0)(first).remote(fold)
    ledger = Ledger.at(str(place))
    assert within(240.0, lambda: len(ledger.members()) == 2)
    took = time.time() - began  # on this machine, as busy as it is, to start and to train a span
    os.kill(int(pid.read_text()), signal.SIGKILL)
    with pytest.raises(ray.exceptions.RayError):
        ray.get(running, timeout=120)
    assert within(120.0, lambda: ray.available_resources().get("CPU", 0.0) == ray.cluster_resources()["CPU"])

    left, best = ledger.members(), ledger.best()
    assert best is not None
    assert best[0] >= max(member.report["score"] for member in left)
    assert ledger.trials() == []
    remarks: list[str] = []
    deadline = time.time() + 30 + 3 * took
    context = Context(deadline=deadline, folder=tmp_path, checkpoints=str(place), teller=remarks.append)
    model = tuned.fit(fold, context)
    assert remarks[0].startswith("goes on with 2 members, after ")
    assert [trial.number for trial in model.trials] == [member.number for member in left]
    for trial, member in zip(model.trials, left, strict=True):
        assert trial.settings == member.asked
        assert trial.steps[0] == (member.looks, member.report["loss"])
        assert all(step > member.looks for step, _ in trial.steps[1:])
    assert any(len(trial.steps) > 1 for trial in model.trials)
    score = metric(fold.problem.metric).score(fold.valid.truth, model.predict(fold.valid.X))
    assert score >= max(best[0], *(trial.score for trial in model.trials)) - 1e-6
    settled = tuned.settled(model)
    assert isinstance(settled, TorchDDP)
    assert TorchDDP.space["learning_rate"].holds(settled.learning_rate)


def test_pb2_searches_rates_by_factors_and_stays_within_the_space() -> None:
    from framework.sweep.population import GENE, Population

    space = {"learning_rate": TorchDDP.space["learning_rate"], "weight_decay": TorchDDP.space["weight_decay"]}
    plan = Population.of(space, 200, "pb2")
    genes = plan.genes({"learning_rate": 0.001, "weight_decay": 0.01})
    assert genes == {GENE + "learning_rate": pytest.approx(-3), GENE + "weight_decay": pytest.approx(-2)}
    assert plan.settings(genes) == pytest.approx({"learning_rate": 0.001, "weight_decay": 0.01})
    assert plan.settings(dict.fromkeys(genes, 5.0)) == pytest.approx({"learning_rate": 0.01, "weight_decay": 0.1})
    assert plan.scheduler("pb2")._hyperparam_bounds[GENE + "learning_rate"] == pytest.approx([-4, -2])


def test_only_what_can_change_while_it_trains_has_a_population(fold: Fold, tmp_path: Path) -> None:
    with pytest.raises(TunedError, match="cannot be tuned by pbt"):
        Tuned(XGBoost(), search="pbt").fit(fold, Context(deadline=time.time() + 60, folder=tmp_path))


def test_a_grid_is_as_fine_as_the_trials_allow() -> None:
    points = grid(SMALL, 12, seed=0)
    assert points == grid(SMALL, 12, seed=0)
    assert len(points) == 9
    assert len({tuple(point.values()) for point in points}) == 9
    assert {point["depth"] for point in points} == {2, 4, 6}
    few = grid(XGBoost.space, 10, seed=0)
    assert len({tuple(point.values()) for point in few}) == 10


@pytest.mark.parametrize("search", ["tpe", "gp"])
def test_a_search_that_learns_comes_nearer_than_chance(search: str) -> None:
    from framework.sweep.searcher import Books

    def distance(search: str) -> float:
        told: list[Trial] = []
        space = {"learning_rate": Real(0.001, 1.0, log=True), "subsample": Real(0.0, 1.0)}
        books = Books(
            XGBoost(), space, study=study(search, larger=True, seed=1), queue=({},), trials=TRIED, tell=told.append
        )
        while (asked := books.suggest(str(len(told)))) != "FINISHED":
            made = {"learning_rate": 0.03, "subsample": 0.8, **asked["settings"]}
            score = -abs(math.log10(made["learning_rate"]) + 1) - 4 * abs(made["subsample"] - 0.35)
            books.on_trial_complete(str(len(told)), {"step": 1, "loss": -score, "score": score, "found": "{}"})
        assert len(told) == TRIED
        return max(trial.score for trial in told)

    assert distance(search) > distance("random") + 0.05


@pytest.mark.parametrize(
    ("tuned", "error", "sentence"),
    [
        (lambda: Tuned(Linear(), search="genetic"), TunedError, "no search 'genetic'"),
        (lambda: Tuned(Linear(), scheduler="median"), TunedError, "no scheduler 'median'"),
        (lambda: Tuned(Linear(), trials=0), TunedError, "needs 1 at least"),
        (lambda: Tuned(Linear(), space={}), SearchSpaceError, "empty search space"),
        (lambda: Tuned(Constant()), SearchSpaceError, "empty search space"),
        (lambda: Tuned(Linear(), space={"depth": Whole(1, 2)}), SearchSpaceError, "no field 'depth'"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    tuned: Callable[[], Tuned], error: type[Exception], sentence: str, fold: Fold, tmp_path: Path
) -> None:
    with pytest.raises(error, match=sentence):
        tuned().fit(fold, Context(deadline=time.time() + 60, folder=tmp_path))


def test_a_trial_survives_the_way_through_json() -> None:
    trial = Trial(3, {"depth": 4, "rate": 0.1}, "finished", 0.9, 1.5, ((9, 0.5), (27, 0.4)), {"engine": (("a", 1),)})
    assert Trial.from_json(json.loads(json.dumps(trial.to_json()))) == trial
    pruned = Trial(4, {}, "pruned")
    assert math.isnan(Trial.from_json(json.loads(json.dumps(pruned.to_json()))).score)


def test_a_trial_file_cut_short_counts_as_none(tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path / "new"), {"of": 1}, who="it")
    ledger.add(Trial(0, {}, "finished", 0.5))
    (tmp_path / "new" / "trial-00001.json").write_text('{"number": 1, "sett')
    assert [trial.number for trial in ledger.trials()] == [0]


def within(seconds: float, claim: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    end = time.time() + seconds
    while time.time() < end:
        if claim():
            return True
        time.sleep(0.2)
    return False
