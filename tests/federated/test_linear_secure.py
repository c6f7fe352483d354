"""Linear models whose sums nobody sees but added up: those of open sums, and no row or sum of one silo in any byte."""

from collections.abc import Sequence
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
from federated.agreement import Agreement
from federated.channel import Direct, Ticket
from federated.dealt import deal
from federated.exchange import Exchange, FederationError
from federated.linear.job import LinearJob
from federated.linear.model import LinearModel
from federated.linear.packing import Units, pack_curves, pack_moments, unpack_curves, unpack_moments
from federated.linear.silo import LinearSilo
from federated.linear.solution import Setting, Solution, Solving
from federated.linear.sums import Curve, Moments
from federated.message import OPEN, SUMS, Message
from federated.secure_aggregation import collector, participant
from federated.secure_aggregation.figures import Figures
from federated.secure_aggregation.member import Member
from federated.secure_aggregation.rules import Rules
from federated.silo import Silo
from framework import Context, load
from framework.data.frame import Fold
from tests.federated.portfolios import fold_of, rents
from tests.federated.sums import Watched

ANSWERS = ("advert", "sealed", "masked", "consent", "unmasked")
FIXED: dict[str, Any] = {"strength": 1.0, "log_target": False, "bends": True, "hosts": 0}
SETTING = [Setting(1.0, bends=True)]


def fitted(target: str = "rent", **settings: Any) -> LinearModel:
    fold, _ = fold_of(target)
    return FederatedLinear(**{"hosts": 0, **settings}).fit(fold, Context(folder=Path(mkdtemp())))


@pytest.mark.parametrize("target", ["rent", "dear"])
@pytest.mark.parametrize("settings", [{}, FIXED], ids=["chosen", "fixed"])
def test_a_model_by_masked_sums_is_the_one_by_open_sums(target: str, settings: dict[str, Any]) -> None:
    _, X = fold_of(target)
    told, masked = fitted(target, **settings), fitted(target, secure=True, **settings)
    assert masked.found == told.found
    # Newton's method ends earlier by rounded sums: see ROUNDED in federated.linear.solution
    np.testing.assert_allclose(masked.predict(X), told.predict(X), rtol=1e-9 if target == "rent" else 1e-6)


@cache
def solved(target: str = "rent", *, secure: bool = False, leaves: bool = False) -> Solution:
    kind = Leaving if leaves else Direct
    return solution(kind(deal(fold_of(target)[0]), kind=LinearSilo), target, secure=secure)


def solution(channel: Direct, target: str, *, secure: bool) -> Solution:
    fold, _ = fold_of(target)
    job: LinearJob = FederatedLinear(secure=secure).job(fold, 0)
    exchange = Exchange(channel, 60.0, float("inf"), job)
    exchange.preparation, rows = Agreement(exchange, job, quorum=2, units=True).reach(channel.registry)
    return Solving(exchange, job, exchange.preparation, rows, 2, channel.registry).best(SETTING)


class Leaving(Direct):
    """Open sums, of which that of owner 3 is missing in round 1."""

    def take(self, ticket: Ticket) -> bytes:
        told = Message.from_bytes(super().take(ticket))
        if (told.kind, told.silo, told.round) == ("summed", "owner 3", 1):
            return Message("failure", told.silo, told.round, {"type": "PowerCut"}).to_bytes()
        return super().take(ticket)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("target", ["rent", "dear"])
def test_a_silo_gone_at_any_step_costs_no_more_than_its_own_part(target: str, kind: str) -> None:
    channel = Watched(deal(fold_of(target)[0]), kind=LinearSilo, gone={"owner 3": kind}, in_round=1)
    beta = solution(channel, target, secure=True).beta
    masked = kind in ("consent", "unmasked")  # then its part is in the sum
    whole, without = solved(target).beta, solved(target, leaves=True).beta
    if target == "rent":  # one sum is all there is
        assert np.allclose(beta, whole, rtol=0, atol=1e-8 * np.abs(whole).max()) == masked
        assert np.allclose(beta, without, rtol=0, atol=1e-8 * np.abs(without).max()) != masked
    else:  # a step from another start comes to the same place
        assert np.allclose(beta, whole, rtol=0, atol=1e-6)
    assert not np.allclose(whole, without, rtol=0, atol=1e-3) or target == "dear"


@pytest.mark.parametrize(("kind", "words"), zip(ANSWERS, ("keys", "shares", "masked", "agreed", "open"), strict=True))
def test_below_the_threshold_there_is_no_model_and_the_silos_are_named(kind: str, words: str) -> None:
    gone = {"owner 1": kind, "owner 4": kind}
    channel = Watched(deal(fold_of()[0]), kind=LinearSilo, gone=gone, in_round=1)
    with pytest.raises(FederationError, match=rf"round 1: 3 of 5 silos .*{words}.*4 are needed .*owner 1: it failed"):
        solution(channel, "rent", secure=True)


def test_two_silos_are_too_few() -> None:
    fold = load(rents(silos=2).drop(columns="dear"), target="rent", silo="owner").fold
    with pytest.raises(FederationError, match=r"secure aggregation needs at least 3 silos .* 2 of 2 take part"):
        FederatedLinear(hosts=0, secure=True).fit(fold, Context(folder=Path(mkdtemp())))


def canary_fold() -> tuple[Fold, pd.DataFrame]:
    """Silos of few rows and many columns; in each one row has a kind that no other row of the silo has."""
    rng, frames = np.random.default_rng(5), []
    for place in range(4):
        rows = pd.DataFrame(rng.normal(size=(24, 12)), columns=[f"x{n}" for n in range(12)])
        rows["kind"], rows["owner"] = rng.choice(["a", "b"], 24), f"owner {place}"
        rows.loc[5, "kind"] = "canary"
        rows["rent"] = 500.0 + rows.x0 * 20 + rng.normal(size=24)
        frames.append(rows)
    table = pd.concat(frames, ignore_index=True)
    fold = load(table, target="rent", silo="owner").fold
    train = fold.train.X.assign(rent=fold.train.y)
    alone = train.groupby("owner", observed=True).kind.transform(lambda kinds: (kinds == "canary").sum()) == 1
    return fold, train[(train.kind == "canary") & alone]


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What each silo adds to each sum, in fixed point, before its masks."""
    parts: list[bytes] = []
    begin = Member.begin

    def begun(self: Member, question: Message, run: str, summand: Any) -> Any:
        rules = Rules.from_facts(question.facts["sum"])
        vector = rules.fixed_point.encode(summand.to_vector(rules))
        filled = np.flatnonzero(vector)
        if len(filled):
            parts.append(vector[filled[0] : filled[0] + 6].tobytes())
            parts.append(vector.tobytes())
        return begin(self, question, run, summand)

    monkeypatch.setattr(Member, "begin", begun)
    return parts


@pytest.mark.parametrize("way", ["open", "secure", "unmasked"])
def test_no_planted_row_and_no_sum_of_one_silo_is_in_any_byte_received(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks that are taken out show that the test would see what they hide."""
    fold, planted = canary_fold()
    assert len(planted) >= 2
    parts = recorded(monkeypatch)
    if way == "unmasked":
        for side in (participant, collector):
            monkeypatch.setattr(side, "add_mask", lambda vector, key, *, sign=1: None)
    secure = way != "open"
    sources = deal(fold, Policy(minimum_count=1))
    channel = Watched(sources, kind=LinearSilo)
    job = FederatedLinear(secure=secure).job(fold, 0)
    exchange = Exchange(channel, 60.0, float("inf"), job)
    exchange.preparation, rows = Agreement(exchange, job, quorum=2, units=True).reach(channel.registry)
    solving = Solving(exchange, job, exchange.preparation, rows, 2, channel.registry)
    told = solving._ask(Message("sum", round=1), "summed")
    received = b"".join(channel.received)
    kinds = {Message.from_bytes(data).kind for data in channel.received}
    # A silo's one row of a kind is a row of its Σ x xᵀ, and its answer stands in Σ x y.
    for _, row in planted.iterrows():
        x = solving.design.matrix(planted.loc[[row.name]])[0]
        own = [x[1:13].tobytes(), np.array([row.rent]).tobytes()]
        assert [part in received for part in own] == [not secure] * 2
        assert not any(np.array([row[f"x{n}"]]).tobytes() in received for n in range(12))
    silos: dict[str, Silo] = channel._silos
    for silo in silos.values():
        assert isinstance(silo, LinearSilo)
        assert silo._sums is not None
        sums = Moments.of(silo._sums.x, np.zeros((len(silo._sums.x), 2)), silo._sums.weight)
        assert (sums.gram[1].tobytes() in received) != secure
    assert (len(told), bool(kinds & OPEN)) == ((1, False) if secure else (4, True))
    assert (set(SUMS) <= kinds) == secure
    assert len(parts) == (2 * 4 * 5 if secure else 0)  # both of four silos in five sums
    assert all((part in received) == (way == "unmasked") for part in parts)


def test_sums_are_packed_and_come_back() -> None:
    rng = np.random.default_rng(2)
    X, w = rng.normal(size=(30, 6)), rng.uniform(1, 2, 30)
    X[:, 0] = 1.0
    y = rng.lognormal(6.0, 1.0, 30)
    units = Units(shift=400.0, scale=300.0, log=6.0)

    def sums(both: np.ndarray) -> dict[str, np.ndarray]:
        return {**Moments.of(X, both, w).to_arrays(), "square": (both**2 * w[:, None]).sum(axis=0)}

    plain = sums(np.column_stack([y, np.log(y)]))
    back = units.back(unpack_moments(pack_moments(sums(units.told(y))), 6))
    assert set(back) == set(plain)
    for name, array in plain.items():
        np.testing.assert_allclose(back[name], array, rtol=1e-10, atol=1e-9)
    y[3] = -1.0
    back = units.back(unpack_moments(pack_moments(sums(units.told(y))), 6))
    assert np.isnan(back["cross"][:, 1]).all()
    np.testing.assert_allclose(back["cross"][:, 0], X.T @ (w * y), rtol=1e-10, atol=1e-9)
    curves = {name: Curve.of(X, (y > 400) * 1.0, w, rng.normal(size=6)).to_arrays() for name in ("3", "1")}
    for name, curve in unpack_curves(pack_curves(curves), 6, ["3", "1"]).items():
        for part, array in curve.items():
            np.testing.assert_allclose(array, curves[name][part], rtol=1e-12)


def test_a_loss_beyond_all_bounds_counts_as_the_largest_and_a_sum_beyond_them_does_not_leave() -> None:
    rules = Rules(3, 3, 10.0, "once", reach=100.0)
    told = Figures(np.array([np.inf, np.nan, 1e9, 50.0, -50.0]), losses=3).to_vector(rules)
    assert told.tolist() == [100.0, 100.0, 100.0, 5.0, -5.0]
    table = rents().drop(columns="dear")
    table["times"] = 1e9
    fold = load(table, target="rent", silo="owner", weight="times").fold
    with pytest.raises(FederationError, match=r"its part holds values beyond 65536, for which the sum has no room"):
        FederatedLinear(secure=True, **FIXED).fit(fold, Context(folder=Path(mkdtemp())))


@pytest.mark.parametrize("lowest", [1.0, 0.0])
def test_a_log_is_learned_where_every_answer_of_every_silo_has_one(lowest: float) -> None:
    table = rents().drop(columns="dear")
    table["rent"] = np.exp(0.02 * table["size"] + 0.5 * table["heated"])
    table.loc[7, "rent"] = lowest
    fold = load(table, target="rent", silo="owner").fold
    model = FederatedLinear(hosts=0, secure=True).fit(fold, Context(folder=Path(mkdtemp())))
    assert model.found["log_target"] == (lowest > 0)


def test_a_silo_of_a_secure_job_tells_no_sum_of_its_own() -> None:
    channel = Watched(deal(fold_of()[0]), kind=LinearSilo)
    beta = solution(channel, "rent", secure=True).beta
    silo = channel._silos["owner 0"]
    questions: Sequence[Message] = (
        Message("sum", round=1),
        Message("judge", round=1, facts={"targets": [{}]}, groups={"beta": {"0": beta}}),
    )
    for asked in questions:  # without the rules of a sum
        answer = Message.from_bytes(silo.answer(asked.to_bytes()))
        assert (answer.kind, answer.groups) == ("failure", {})
    again = Message.from_bytes(silo.answer(Message("sum", round=2).to_bytes()))
    assert "joined for 1 sums" in again.facts["reason"]


def test_a_silo_without_a_key_takes_no_part() -> None:
    fold, _ = fold_of()
    silo = LinearSilo(deal(fold)[0])
    job = FederatedLinear(secure=True).job(fold, 0)
    told = Message.from_bytes(silo.answer(Message("join", facts={"job": job.to_facts()}).to_bytes()))
    assert told.kind == "refusal"
    assert "no key to sign with, which secure aggregation needs" in told.facts["reason"]
    assert replace(job, secure=False) == LinearJob.from_facts(replace(job, secure=False).to_facts())


@pytest.mark.parametrize("target", ["rent", "dear"])
def test_the_model_is_the_same_in_actors(ray_session: Session, target: str) -> None:
    here, there = fitted(target, secure=True, **FIXED), fitted(target, secure=True, **{**FIXED, "hosts": 2})
    np.testing.assert_allclose(there.beta, here.beta, rtol=0, atol=1e-9 * np.abs(here.beta).max())
