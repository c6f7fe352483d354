"""What leaves a silo for a Cox model: sums over the rows at risk, of events enough, and nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from federated import Policy, cox
from federated.agreement import Agreement
from federated.audit import verify
from federated.border import AUDIT
from federated.channel import Direct
from federated.exchange import Exchange, FederationError
from federated.message import BoundaryError, Message
from federated.survival import fitting
from federated.survival.job import CoxJob
from federated.survival.partial import on_grid
from federated.survival.silo import CoxSilo
from tests.federated.tenants import ASKED, TENANTS, Heard, dealt, leavers


@pytest.mark.parametrize("baseline", ["silo", "common"])
def test_no_row_and_no_moment_leaves_a_silo(baseline: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fitting, "Direct", Heard)
    table, policy = leavers(), Policy()
    times = [5.0, 10.0, 20.0, 40.0, 60.0] if baseline == "common" else []
    asked = {**ASKED, "columns": TENANTS, "baseline": baseline, "times": times, "audit": str(tmp_path)}
    model = cox(dealt(table, "owner", policy), **asked)
    values = {np.float64(value).tobytes() for name in ("months", "rise") for value in table[name]}
    heard = b"".join(Heard.received)
    assert len(Heard.received) > 3 * (4 + model.steps)
    assert not any(value in heard for value in values)
    width = len(model.coefficients)
    shapes = {(1,), (width,), (width, width), (3,), (5,), (5, width)}
    for told in map(Message.from_bytes, Heard.received):
        if told.kind == "summed":
            assert {array.shape for array in told.groups["0"].values()} <= shapes
    kinds = set()
    for owner in table["owner"].unique():
        file = tmp_path / str(owner).replace(" ", "%20") / AUDIT
        verify(file)
        kinds |= {json.loads(line)["kind"] for line in file.read_text().splitlines()}
    assert kinds == {"joined", "categories", "moments", "histograms", "ready", "summed"}
    if baseline == "silo":
        named = {name for told in map(Message.from_bytes, Heard.received) for name in told.groups.get("0", {})}
        assert named == {"loss", "gradient", "hessian", "events", "pairs"}


def test_nothing_leaves_in_the_shape_of_rows() -> None:
    source = dealt(leavers(), "owner")[0]
    silo = CoxSilo(source)
    job = CoxJob("left", ("0", "1"), "months", tuple(TENANTS.items()), 3)
    silo.answer(Message("join", facts={"job": job.to_facts()}).to_bytes())
    unready = Message.from_bytes(silo.answer(Message("curve", round=1, groups={"beta": {"0": np.zeros(4)}}).to_bytes()))
    assert unready.facts == {"type": "NotReadyError"}
    with pytest.raises(BoundaryError, match="no part of the model"):
        Message("summed", "a", groups={"0": {"gradient": np.zeros(120)}}).check_leaving({"gradient": (4,)})


def test_a_common_baseline_tells_no_moment_of_few_events() -> None:
    draw = np.random.default_rng(4)
    duration, event = draw.exponential(10, 200), (draw.random(200) < 0.5).astype(float)
    times = np.arange(1.0, 41.0)
    seen, told = on_grid(duration, event, times)
    np.testing.assert_array_equal(times[seen - 1], np.minimum(np.ceil(duration), 40))
    assert told.sum() == event[duration <= 40].sum()
    assert np.bincount(seen[told > 0]).max() > 0
    fewest = np.bincount(seen[told > 0])
    assert ((fewest > 0) & (fewest < 5)).any()
    seen, held = on_grid(duration, event, times, least=5)
    np.testing.assert_array_equal(held, told)
    for counts in (np.bincount(seen[told > 0]), np.bincount(seen)):
        assert counts[counts > 0].min() >= 5
    assert len(np.unique(seen)) > 5


def test_rows_with_rare_categories_and_gaps_are_left_out() -> None:
    table = leavers()
    table["plan"] = table["plan"].astype(object)
    table.loc[:2, "plan"] = "platinum"
    table.loc[5, "rise"] = np.nan
    table.loc[7, "months"] = np.nan
    model = cox(dealt(table, "owner", Policy()), **ASKED, columns=TENANTS)
    assert model.silos["owner 0"].rows == 115
    assert [effect.name for effect in model.effects] == ["rise", "lift", "plan=gold", "plan=plus"]


def test_no_sum_is_of_flags_that_meet_in_few_rows() -> None:
    table = leavers()
    gold = np.flatnonzero((table["plan"] == "gold") & table["lift"] & (table["owner"] == "owner 0"))
    table.loc[gold[2:], "lift"] = False  # two are left that have both
    counts = {}
    for least in (1, 5):
        silo = CoxSilo(dealt(table, "owner", Policy(minimum_count=least))[0])
        job = CoxJob("left", ("0", "1"), "months", tuple(TENANTS.items()), 3)
        exchange = Exchange(Direct(dealt(table, "owner"), kind=CoxSilo), 60.0, float("inf"), job)
        facts, groups = Agreement(exchange, job, quorum=2, units=True).reach()[0].to_message()
        silo.answer(Message("join", facts={"job": job.to_facts()}).to_bytes())
        silo.answer(Message("prepare", facts=facts, groups=groups).to_bytes())
        assert silo._sums is not None
        x = silo._sums.x
        counts[least] = [int((x[:, 1] * x[:, 2]).sum()), int(x[:, 2].sum()), int(x[:, 1].sum())]
        few = silo._sums.rank(np.zeros(4))["pairs"]
        assert few[2] > 1000
        silo._sums.least = 10**6
        assert silo._sums.rank(np.zeros(4))["pairs"].tolist() == [0.0, 0.0, 0.0]
    assert counts[1][0] == 2
    assert counts[5][0] == 0
    assert sum(counts[5]) == sum(counts[1]) - 4  # of each of the two rows, one of its flags


def test_a_silos_policy_is_kept_for_the_duration_too() -> None:
    allowed = Policy(columns=frozenset({"rise", "lift", "plan", "left"}))
    with pytest.raises(FederationError, match=r"does not let the column.* 'months' be used"):
        cox(dealt(leavers(), "owner", allowed), **ASKED, columns=TENANTS)
    own = Policy(strategies=frozenset({"Cox"}))
    assert cox(dealt(leavers(), "owner", own), **ASKED, columns=TENANTS).baseline == "silo"
    with pytest.raises(FederationError, match="does not train by Cox common baseline"):
        cox(dealt(leavers(), "owner", own), **ASKED, columns=TENANTS, baseline="common", times=[10.0, 60.0])


def test_other_sums_than_a_silo_joined_for_are_refused() -> None:
    source = dealt(leavers(), "owner")[0]
    job = CoxJob("left", ("0", "1"), "months", tuple(TENANTS.items()), 3)
    exchange = Exchange(Direct([source, *dealt(leavers(), "owner")[1:]], kind=CoxSilo), 60.0, float("inf"), job)
    preparation, _ = Agreement(exchange, job, quorum=2, units=True).reach()
    silo = CoxSilo(source)
    facts, groups = preparation.to_message()
    silo.answer(Message("join", facts={"job": job.to_facts()}).to_bytes())
    silo.answer(Message("prepare", facts=facts, groups=groups).to_bytes())
    beta = {"beta": {"0": np.zeros(4)}}
    for kind, round_ in (("curve", 4), ("risk", 1)):
        told = Message.from_bytes(silo.answer(Message(kind, round=round_, groups=beta).to_bytes()))
        assert told.kind == "refusal"
        assert "joined for 3 sums with a baseline of its own" in told.facts["reason"]
    told = Message.from_bytes(silo.answer(Message("curve", round=3, groups=beta).to_bytes()))
    assert told.kind == "summed"
