"""Cox models whose sums nobody sees but added up: those of open sums, and no row or sum of one silo in any byte."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cluster.connect import Session
from federated import Policy, cox
from federated.agreement import Agreement
from federated.exchange import Exchange, FederationError
from federated.message import OPEN as TELLING
from federated.message import SUMS, Message
from federated.newton import Newton
from federated.secure_aggregation import collector, participant
from federated.secure_aggregation.figures import Bounded
from federated.secure_aggregation.member import Member
from federated.secure_aggregation.rules import Rules
from federated.survival import masked_sums
from federated.survival.job import CoxJob
from federated.survival.packing import length_of, pack, shapes_of, unpack
from federated.survival.silo import CoxSilo
from federated.survival.solution import CoxError, CoxSolving, Found
from tests.federated.sums import Watched
from tests.federated.tenants import ASKED, OPEN, TENANTS, dealt, leavers

TIMES = (5.0, 10.0, 20.0, 40.0, 60.0)
BASELINES: dict[str, dict[str, Any]] = {"silo": {}, "common": {"baseline": "common", "times": TIMES}}
ANSWERS = ("advert", "sealed", "masked", "consent", "unmasked")


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_model_by_masked_sums_is_the_one_by_open_sums(baseline: str) -> None:
    table = leavers(silos=4)
    asked = {**ASKED, "columns": TENANTS, **BASELINES[baseline]}
    told, masked = cox(dealt(table, "owner"), **asked), cox(dealt(table, "owner"), **asked, secure=True)
    np.testing.assert_allclose(masked.coefficients, told.coefficients, rtol=0, atol=1e-8)
    np.testing.assert_allclose(masked.covariance, told.covariance, rtol=0, atol=1e-8)
    np.testing.assert_allclose(masked.hazard, told.hazard, rtol=0, atol=1e-8)
    assert len(masked.hazard) == (len(TIMES) if baseline == "common" else 0)
    for name in ("log_likelihood", "log_likelihood_at_0"):
        assert getattr(masked, name) == pytest.approx(getattr(told, name), abs=1e-6)
    assert (masked.events, masked.rows, masked.concordance) == (told.events, told.rows, told.concordance)
    assert masked.p == pytest.approx(told.p, rel=1e-6)
    assert {(part.events, part.log_likelihood, part.concordance) for part in masked.silos.values()} == {(None,) * 3}
    assert type(masked).from_json(masked.to_json()).to_json() == masked.to_json()


def fitted(
    channel: Watched, *, baseline: str = "silo", secure: bool = True, columns: Any = TENANTS, steps: int = 25
) -> Found:
    times = tuple(BASELINES[baseline].get("times", ()))
    job = CoxJob("left", ("0", "1"), "months", tuple(columns.items()), steps, times, secure=secure)
    exchange = Exchange(channel, 60.0, float("inf"), job)
    exchange.preparation, rows = Agreement(exchange, job, quorum=2, units=True).reach(channel.registry)
    return CoxSolving(exchange, job, exchange.preparation, rows, 2, channel.registry).found()


def watched(table: pd.DataFrame, policy: Policy = OPEN, **given: Any) -> Watched:
    return Watched(dealt(table, "owner", policy), kind=CoxSilo, **given)


@cache
def openly(gone: str = "") -> Found:
    """By open sums of five silos; gone: one that has not answered from the first of them on."""
    return fitted(watched(leavers(silos=5), secure=False, gone={gone: "summed"}, in_round=1), secure=False)


@pytest.mark.parametrize(
    ("kind", "round_"), [("advert", 1), ("masked", 1), ("unmasked", 1), ("sealed", 3), ("masked", 3), ("consent", 3)]
)
def test_a_silo_gone_at_any_step_costs_no_more_than_its_own_part(kind: str, round_: int) -> None:
    told = fitted(watched(leavers(silos=5), gone={"owner 3": kind}, in_round=round_))
    there = kind in ("consent", "unmasked")  # then its part is in the sum
    assert ("owner 3" in told.silos) == there
    expected = openly() if there else openly("owner 3")
    np.testing.assert_allclose(told.beta, expected.beta, rtol=0, atol=1e-8)
    assert np.abs(openly().beta - openly("owner 3").beta).max() > 1e-3
    assert told.likelihood == pytest.approx(expected.likelihood, abs=1e-6)
    assert told.events == expected.events
    if there or round_ == 1:
        assert told.start == pytest.approx(expected.start, abs=1e-6)
    else:  # what it was at 0 would be the difference of two sums
        assert np.isnan(told.start)


@pytest.mark.parametrize("kind", ["sealed", "masked"])
def test_the_sums_of_a_common_baseline_stay_those_of_the_same_silos(kind: str) -> None:
    table = leavers(silos=5)
    told = fitted(watched(table), baseline="common")
    assert told.silos == [f"owner {place}" for place in range(5)]
    with pytest.raises(FederationError, match=r"round 2: 0 silos agreed on who is left|round 2: 0 of 5 silos agreed"):
        fitted(watched(table, gone={"owner 3": kind}, in_round=2), baseline="common")


@pytest.mark.parametrize(("kind", "words"), zip(ANSWERS, ("keys", "shares", "masked", "agreed", "open"), strict=True))
def test_below_the_threshold_there_is_no_model_and_the_silos_are_named(kind: str, words: str) -> None:
    gone = {"owner 1": kind, "owner 4": kind}
    with pytest.raises(FederationError, match=rf"round 2: 3 of 5 silos .*{words}.*4 are needed .*owner 1: it failed"):
        fitted(watched(leavers(silos=5), gone=gone))


def test_two_silos_are_too_few() -> None:
    with pytest.raises(FederationError, match=r"secure aggregation needs at least 3 silos .* 2 of 2 take part"):
        cox(dealt(leavers(silos=2), "owner"), **ASKED, columns=TENANTS, secure=True)


def planted() -> tuple[pd.DataFrame, np.ndarray]:
    """Silos in which one tenant left first of all, after a time and with a rise that nobody else has."""
    table, canaries = leavers(rows=40, silos=4), []
    for place in range(4):
        row = 40 * place + 7
        table.loc[row, ["months", "left", "rise"]] = [0.001 + place * 1e-5, 1, 9.87654321 + place]
        canaries += [table.loc[row, "months"], table.loc[row, "rise"]]
    return table, np.array(canaries, dtype=np.float64)


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What each silo adds to each sum of the model, in fixed point, before its masks."""
    parts: list[bytes] = []
    begin = Member.begin

    def begun(self: Member, question: Message, run: str, summand: Any) -> Any:
        if isinstance(summand, Bounded):
            rules = Rules.from_facts(question.facts["sum"])
            vector = rules.fixed_point.encode(summand.to_vector(rules))
            parts.append(vector[1:].tobytes())
            parts.extend(vector[place : place + 3].tobytes() for place in range(1, len(vector) - 3))
        return begin(self, question, run, summand)

    monkeypatch.setattr(Member, "begin", begun)
    return parts


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("way", ["open", "secure", "unmasked"])
def test_no_planted_row_and_no_sum_of_one_silo_is_in_any_byte_received(
    way: str, baseline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks that are taken out show that the test would see what they hide."""
    table, canaries = planted()
    parts = recorded(monkeypatch)
    if way == "unmasked":
        for side in (participant, collector):
            monkeypatch.setattr(side, "add_mask", lambda vector, key, *, sign=1: None)
    secure = way != "open"
    channel = watched(table, Policy(minimum_count=1), secure=secure)
    found = fitted(channel, baseline=baseline, secure=secure)
    received = b"".join(channel.received)
    assert not [value for value in canaries if value.tobytes() in received]
    kinds = {Message.from_bytes(data).kind for data in channel.received}
    assert bool(kinds & TELLING) != secure
    assert (set(SUMS) <= kinds) == secure
    # A silo's own sums, as they would stand in an open message.
    silos: dict[str, Any] = channel._silos
    for silo in silos.values():
        bench = silo._sums
        own = bench.curve(found.beta) if baseline == "silo" else bench.at_risk(found.beta).to_arrays()
        alone = [own["gradient"], own["hessian"]] if baseline == "silo" else [own["s0"], own["s1"], own["own"]]
        assert [part.tobytes() in received for part in alone] == [not secure] * len(alone)
    assert bool(parts) == secure
    there = [part in received for part in parts if any(part)]
    assert all(there) if way == "unmasked" else not any(there)


def test_a_silo_of_a_secure_job_tells_no_sum_of_its_own() -> None:
    channel = watched(leavers(silos=3))
    beta = fitted(channel).beta
    for kind in ("curve", "rank"):  # without the rules of a sum
        asked = Message(kind, round=1, groups={"beta": {"0": beta}})
        answer = Message.from_bytes(channel._silos["owner 0"].answer(asked.to_bytes()))
        assert (answer.kind, answer.groups) == ("failure", {})
    again = Message.from_bytes(
        channel._silos["owner 0"].answer(Message("curve", round=26, groups={"beta": {"0": beta}}).to_bytes())
    )
    assert "joined for 25 sums" in again.facts["reason"]
    silo = CoxSilo(dealt(leavers(), "owner")[0])
    job = CoxJob("left", ("0", "1"), "months", tuple(TENANTS.items()), 3, secure=True)
    told = Message.from_bytes(silo.answer(Message("join", facts={"job": job.to_facts()}).to_bytes()))
    assert (told.kind, "no key to sign with" in told.facts["reason"]) == ("refusal", True)
    assert CoxJob.from_facts(job.to_facts()) == job


def test_sums_are_packed_and_come_back() -> None:
    draw = np.random.default_rng(0)
    square = draw.normal(size=(4, 4))
    for kind, times in (("curve", 0), ("risk", 4), ("square", 3), ("rank", 0)):  # as many times as columns
        shapes = shapes_of(kind, 4, times)
        symmetric = dict.fromkeys(("hessian", "square"), square + square.T)
        sums = {name: symmetric.get(name, draw.normal(size=shape)) for name, shape in shapes.items()}
        vector = pack(sums)
        assert vector.shape == (length_of(shapes),)
        back = unpack(vector, shapes)
        assert all(np.array_equal(back[name], part) for name, part in sums.items())


def test_sums_without_room_are_told_as_none_and_the_step_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules(3, 3, 10.0, "once", reach=100.0)
    assert Bounded(np.array([50.0, -1000.0])).to_vector(rules).tolist() == [0.0, 5.0, -100.0]
    for beyond in (1001.0, -1001.0, np.nan, np.inf):
        assert Bounded(np.array([50.0, beyond])).to_vector(rules).tolist() == [1.0, 0.0, 0.0]
    way = Newton(np.zeros(1))
    way.go(1.0, np.array([-4.0]), np.eye(1))
    for loss, hessian in ((np.nan, np.eye(1)), (0.5, np.full((1, 1), np.nan))):
        before = way.beta
        way.go(loss, np.zeros(1), hessian)
        assert way.at[0] == 0.0
        assert way.beta == pytest.approx(before / 2)
    monkeypatch.setattr(masked_sums, "REACH", 1.0)
    with pytest.raises(CoxError, match="sums are beyond 65536 for each of its rows"):
        cox(dealt(leavers(), "owner"), **ASKED, columns=TENANTS, secure=True)


def test_the_model_is_the_same_in_actors(ray_session: Session) -> None:
    sources = dealt(leavers(silos=4), "owner")
    here, there = (cox(sources, **{**ASKED, "hosts": hosts}, columns=TENANTS, secure=True) for hosts in (0, 2))
    np.testing.assert_allclose(there.coefficients, here.coefficients, rtol=0, atol=1e-9)
