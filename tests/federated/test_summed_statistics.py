"""What silos of a secure job agree on: the same as in the open, from sums of which nobody sees a part."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from federated import strategies
from federated.agreement import Agreement
from federated.channel import Direct
from federated.exchange import Exchange, FederationError
from federated.message import OPEN, Message
from federated.policy import Policy
from federated.preparation import Preparation
from federated.silo import Silo
from federated.statistics import Moments, edges_of, histogram_of, join_moments, moments_of
from federated.summed_statistics import closer, moments_from, place_of, power_sums_of, wide_edges
from tests.federated.portfolios import filed, job_of, rents
from tests.federated.sums import Watched
from tests.federated.test_statistics import silos

ANSWERS = ("advert", "sealed", "masked", "consent", "unmasked")
JOB = replace(job_of(strategies.FedAvg(), rounds=1), secure=True)


def looked_at(parts: list[np.ndarray], least: int = 1) -> Moments:
    """Moments as a coordinator comes by them, of sums that are exact."""
    edges = wide_edges(parts[0].shape[1])
    place = place_of(np.sum([histogram_of(rows, edges, least) for rows in parts], axis=0), edges)
    for _ in range(2):
        moments = moments_from(np.sum([power_sums_of(rows, place, least) for rows in parts], axis=0), place)
        place = closer(moments, place)
    return moments


@pytest.mark.parametrize(
    "odd",
    [
        lambda rows: rows,
        lambda rows: rows + 1e9,
        lambda rows: -1e-12 * rows,
        lambda rows: 1e30 * rows,
        lambda rows: np.where(np.isfinite(rows), 7.0, np.nan),
        lambda rows: np.full_like(rows, np.nan),
    ],
    ids=["plain", "far from 0", "tiny", "huge", "constant", "empty"],
)
@pytest.mark.parametrize("least", [1, 5])
def test_moments_of_sums_are_those_told_in_the_open(odd: Callable[[np.ndarray], np.ndarray], least: int) -> None:
    parts = [odd(rows) for rows in silos()]
    told, found = join_moments([moments_of(rows, least) for rows in parts]), looked_at(parts, least)
    np.testing.assert_array_equal(found.count, told.count)
    np.testing.assert_array_equal(found.missing, told.missing)
    spread = np.where(told.deviation > 1e-13 * np.abs(told.mean), told.deviation, np.abs(told.mean) * 1e-5)
    assert (np.abs(found.mean - told.mean) <= 1e-10 * spread + 2e-15 * np.abs(told.mean)).all()
    far = (np.abs(told.mean) > 1e6 * told.deviation).any()
    assert found.deviation == pytest.approx(told.deviation, rel=1e-8 if far else 1e-10, abs=1e-14)


def test_a_mean_that_is_a_round_number_is_that_number_also_where_sums_are_rounded() -> None:
    rows = np.repeat([[2.0], [3.0], [4.0]], 20, axis=0)
    place = np.array([[3.1], [0.7]])
    sums = power_sums_of(rows, place) + np.array([[0], [0], [1.0], [1.0]]) * 1e-11
    assert moments_from(sums, place).mean.tolist() == [3.0]
    assert (sums[2] / 60 * 0.7 + 3.1 != 3.0).all()


def test_columns_with_few_values_tell_nothing() -> None:
    rows = np.full((20, 2), np.nan)
    rows[:, 0], rows[:4, 1] = np.arange(20.0), 7.0
    told = power_sums_of(rows, np.array([[0.0, 0.0], [1.0, 1.0]]), least=5)
    assert told[0].tolist() == [20.0, 0.0]
    assert not told[:, 1].any()


def agreed(channel: Direct, *, secure: bool = True, quorum: int = 2) -> tuple[Preparation, Exchange]:
    job = replace(JOB, secure=secure)
    exchange = Exchange(channel, 60.0, float("inf"), job)
    preparation, _ = Agreement(exchange, job, quorum=quorum, units=True).reach(channel.registry)
    return preparation, exchange


@cache
def in_the_open(without: str = "") -> Preparation:
    sources = [source for source in filed() if source.name != without]
    return agreed(Direct(sources), secure=False)[0]


def apart(one: Preparation, other: Preparation) -> float:
    """How far quantiles and the target's centre are from one another, in their spreads."""
    spread = other.quantiles.std(axis=0) + 1e-9
    centres = abs(one.target.shift - other.target.shift) / other.target.scale
    return max(centres, float((np.abs(one.quantiles - other.quantiles) / spread).max()))


def test_what_is_agreed_is_what_is_agreed_in_the_open_and_no_silo_tells_it() -> None:
    channel = Watched(filed())
    preparation, _ = agreed(channel)
    assert preparation.schema == in_the_open().schema
    assert apart(preparation, in_the_open()) < 1e-6  # of float32
    assert preparation.target.scale == pytest.approx(in_the_open().target.scale, rel=1e-10)
    told = [Message.from_bytes(data) for data in channel.received]
    assert not {message.kind for message in told} & OPEN
    named = [message.facts for message in told if message.kind == "categories"]
    assert len(named) == 5
    assert {value for facts in named for counts in facts["counts"].values() for value in counts.values()} == {0}
    assert named[0]["counts"]["kind"].keys() == {"flat", "house", "loft"}


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_silo_gone_at_any_step_is_in_the_sums_that_it_was_masked_for(kind: str) -> None:
    channel = Watched(filed(), gone={"owner 4": kind}, in_round=0)
    preparation, exchange = agreed(channel)
    assert {happening.silo for happening in exchange.happenings} == {"owner 4"}
    masked = kind in ("consent", "unmasked")
    with_it, without = apart(preparation, in_the_open()), apart(preparation, in_the_open("owner 4"))
    assert (with_it < 1e-6, without < 1e-6) == (masked, not masked)


def test_too_few_silos_agree_on_nothing_and_say_why() -> None:
    gone = {"owner 1": "masked", "owner 4": "masked"}
    with pytest.raises(FederationError, match=r"round 0: 3 of 5 silos sent masked vectors, and 4 are needed .*owner 1"):
        agreed(Watched(filed(), gone=gone, in_round=0))
    with pytest.raises(FederationError, match=r"4 silo.s. answered in round 0, and 5 are needed"):
        agreed(Watched(filed(), gone={"owner 1": "masked"}, in_round=0), quorum=5)


def test_units_are_not_looked_at_where_no_silo_tells_its_own(tmp_path: Path) -> None:
    table = rents()
    table.loc[table.owner == "owner 2", "size"] /= 10.76
    _, exchange = agreed(Direct(filed(table)), secure=False)
    assert list(exchange.refused) == ["owner 2"]
    _, exchange = agreed(Watched(filed(table)))
    assert not exchange.refused


@pytest.mark.parametrize("kind", ["moments", "histograms"])
def test_a_silo_of_a_secure_job_tells_no_statistics_of_its_own(kind: str) -> None:
    channel = Watched(filed(policy=Policy()))
    preparation, _ = agreed(channel)
    silo: Silo = channel._silos["owner 0"]
    width = preparation.quantiles.shape[1] + 1
    groups = {
        "place": {"place": np.ones((2, width))},
        "moments": looked_at([np.ones((20, width))]).to_arrays(),
    }
    facts = {"schema": preparation.schema.to_json(), "run": "another"}
    answer = Message.from_bytes(silo.answer(Message(kind, facts=facts, groups=groups).to_bytes()))  # without rules
    assert (answer.kind, answer.groups) == ("failure", {})


def test_cells_of_any_number_are_counted() -> None:
    edges = edges_of(np.zeros(1), np.ones(1))[:, ::64]
    assert histogram_of(np.array([[-2000.0], [0.1], [2000.0]]), edges).sum() == 3
    assert histogram_of(np.array([[0.1]]), edges).shape == (1, 16)
