"""Cox models of silos that cannot take part, are lost or killed, and of rows that determine nothing."""

import os
import re
import signal
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from cluster.connect import Session
from federated import Policy, cox
from federated.channel import OnRay, Ticket, start_hosts
from federated.exchange import FederationError
from federated.message import Message
from federated.survival import fitting
from federated.survival.newton import untold
from federated.survival.solution import CoxError
from tests.federated.tenants import ASKED, TENANTS, Heard, dealt, leavers


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
