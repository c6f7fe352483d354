"""Trees from masked sums: those of open ones, and no sum of one silo in any byte that the coordinator receives."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest

from federated import BaggedTrees, FederatedAverage, FederatedTrees, Policy
from federated.border import AUDIT
from federated.channel import Ticket
from federated.exchange import FederationError
from federated.job import JobError
from federated.trees import circle, relay, veil, wide
from federated.trees.job import TreeJob
from federated.trees.reach import Guarded
from federated.trees.session import Call, Session
from framework import Context, load
from framework.contenders.xgboost import XGBoostModel
from framework.data.frame import Fold
from tests.federated.portfolios import rents

QUICK: dict[str, Any] = {"hosts": 0, "rounds": 4, "learning_rate": 0.3, "depth": 3, "session": 2, "bins": 64}
TARGETS = {"regression": "rent", "binary": "dear", "multiclass": "kind"}


@cache
def fold_of(kind: str = "regression", metric: str | None = None) -> tuple[Fold, pd.DataFrame]:
    """Four owners."""
    table = rents(rows=80, silos=4).drop(columns={"rent": "dear"}.get(TARGETS[kind], "rent"))
    split = load(table, target=TARGETS[kind], silo="owner", **({"metric": metric} if metric else {}))
    return split.fold, split.test.X


def fitted(
    kind: str = "regression", metric: str | None = None, told: Callable[[str], None] | None = None, **settings: Any
) -> XGBoostModel:
    fold, _ = fold_of(kind, metric)
    context = Context(seed=3, folder=Path(mkdtemp()), **({"teller": told} if told else {}))
    model = FederatedTrees(**{**QUICK, **settings}).fit(fold, context)
    assert isinstance(model, XGBoostModel)
    return model


@cache
def undisturbed(*, secure: bool = True) -> XGBoostModel:
    return fitted(secure=secure)


def same(one: XGBoostModel, other: XGBoostModel, X: pd.DataFrame) -> None:
    first, second = (model.booster.trees_to_dataframe() for model in (one, other))
    assert first.Feature.tolist() == second.Feature.tolist()
    np.testing.assert_allclose(first.Split, second.Split, rtol=1e-6)
    np.testing.assert_allclose(one.predict(X), other.predict(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "metric"), [("regression", None), ("binary", None), ("multiclass", None), ("regression", "mae")]
)
def test_trees_by_masked_sums_are_those_by_open_sums(kind: str, metric: str | None) -> None:
    plain, masked = fitted(kind, metric), fitted(kind, metric, secure=True)
    same(masked, plain, fold_of(kind)[1])
    assert masked.found == plain.found


class Listener:
    """received: all bytes that the coordinator and its tracker receive. sums: of gradients, as each silo's XGBoost told
    them; words: the same as integers before they are masked, a few at a time."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.sums: list[np.ndarray] = []
        self.words: list[np.ndarray] = []


@contextmanager
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    heard = Listener()
    take, wire, encoded = Session.take, Guarded.take, wide.Wide.encoded

    async def taken(self: Session, call: Call) -> bytes:
        heard.received += call.data
        return await take(self, call)

    def wired(self: Guarded, ticket: Ticket) -> bytes:
        told = wire(self, ticket)
        heard.received += told
        return told

    def hidden(self: wide.Wide, values: np.ndarray) -> np.ndarray:
        told = encoded(self, values)
        if values.dtype == np.float64:
            heard.sums.append(values.copy())
            heard.words += [part.copy() for part in np.split(told.ravel(), range(8, told.size, 8))]
        return told

    with monkeypatch.context() as patched:
        patched.setattr(Session, "take", taken)
        patched.setattr(Guarded, "take", wired)
        patched.setattr(wide.Wide, "encoded", hidden)
        yield heard


def share(received: bytes, values: np.ndarray | list[np.ndarray]) -> float:
    return float(np.mean([value.tobytes() in received for value in values]))


@pytest.mark.parametrize("masks", [True, False])
def test_no_sum_of_one_silo_is_in_what_the_coordinator_receives(masks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fold, _ = fold_of("binary")
    short: dict[str, Any] = {"kind": "binary", "rounds": 2, "patience": 0}
    with listening(monkeypatch) as plain:
        fitted(**short)
    if not masks:
        monkeypatch.setattr(veil, "add_mask", lambda *_, **__: None)
    with listening(monkeypatch) as heard:
        fitted(secure=True, **short)
    received = bytes(heard.received)
    assert len(received) > 50_000
    sums = np.unique(np.concatenate(heard.sums))
    sums = sums[np.rint(8 * sums) != 8 * sums]  # a round number may stand anywhere
    words = [part for part in heard.words if np.count_nonzero(part) > 3]
    assert min(len(sums), len(words)) > 80
    assert share(bytes(plain.received), sums) == 1.0  # each of them would be seen
    assert share(received, sums) == 0.0
    assert share(received, words) == (0.0 if masks else 1.0)
    X = fold.train.X
    for rows in (X["size"].to_numpy(), X["size"].to_numpy(np.float32)):
        assert share(received, rows) == 0.0


class Breaking:
    """Breaks off one silo's part in a session. at: the collective that it does not answer any more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, silo: str, session: int, at: int) -> None:
        self.left, self.keys = True, list[bytes]()
        hidden, enrol = veil.Veil.hidden, circle.Circle.enrol
        sessions: dict[str, int] = {}

        def broken(this: veil.Veil, number: int, values: np.ndarray) -> bytes:
            if self.left and (this._me, sessions[silo], number) == (silo, session, at):
                self.left = False
                raise grpc.RpcError("a power cut")
            return hidden(this, number, values)

        def enrolled(this: circle.Circle, *args: Any, **named: Any) -> Any:
            told = enrol(this, *args, **named)
            sessions[this.me] = sessions.get(this.me, 0) + 1
            self.keys.append(told["key"].tobytes())
            return told

        monkeypatch.setattr(veil.Veil, "hidden", broken)
        monkeypatch.setattr(circle.Circle, "enrol", enrolled)


def test_a_session_that_breaks_is_begun_anew_with_fresh_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    breaking = Breaking(monkeypatch, "owner 1", session=2, at=5)
    model = fitted(secure=True)
    assert not breaking.left
    assert len(breaking.keys) == len(set(breaking.keys)) == 3 * 4  # two sessions, and the second once more
    assert bytes(model.booster.save_raw()) == bytes(undisturbed().booster.save_raw())


def refusing(monkeypatch: pytest.MonkeyPatch, silo: str, after: Callable[[], bool]) -> None:
    """From then on this silo does not enrol any more."""
    enrol = circle.Circle.enrol

    def refused(this: circle.Circle, *args: Any, **named: Any) -> Any:
        if this.me == silo and after():
            raise RuntimeError("it is gone")
        return enrol(this, *args, **named)

    monkeypatch.setattr(circle.Circle, "enrol", refused)


def test_trees_that_were_begun_are_not_grown_without_a_silo_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    breaking = Breaking(monkeypatch, "owner 1", session=2, at=5)
    refusing(monkeypatch, "owner 1", lambda: not breaking.left)
    with pytest.raises(FederationError, match=r"after 2 tree\(s\).*tree 2 has been begun before, with other silos"):
        fitted(secure=True)


def test_the_next_trees_are_grown_without_a_silo_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    refusing(monkeypatch, "owner 1", lambda: asked.append(0) or len(asked) > 1)  # type: ignore[func-returns-value]
    remarks: list[str] = []
    model = fitted(secure=True, told=remarks.append)
    assert model.booster.num_boosted_rounds() == 4
    assert any("'owner 1' refused" in remark for remark in remarks)


def test_too_few_silos_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    two = load(rents(rows=40, silos=2).drop(columns="dear"), target="rent", silo="owner").fold
    with pytest.raises(FederationError, match=r"secure aggregation needs at least 3 silos .* 2 of 2 take part"):
        FederatedTrees(**QUICK, secure=True).fit(two, Context(folder=Path(mkdtemp())))
    for silo in ("owner 1", "owner 2"):
        refusing(monkeypatch, silo, lambda: True)
    with pytest.raises(FederationError, match=r"trees after the first 0: .* 2 of 4 take part.*owner 1: it failed"):
        fitted(secure=True)


def test_a_part_that_has_no_room_is_kept_back_and_its_silo_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide, "ROOM", -8)
    with pytest.raises(FederationError, match=r"silo 'owner \d' breaks off: its part holds sums beyond 2\^"):
        fitted(secure=True)


def test_answers_that_no_ring_holds_are_refused() -> None:
    table = rents(rows=40, silos=3).drop(columns="dear")
    table["rent"] *= 1e12
    fold = load(table, target="rent", silo="owner").fold
    with pytest.raises(FederationError, match="takes no part: 128 bits hold no sums of 3 silos"):
        FederatedTrees(**QUICK, secure=True).fit(fold, Context(folder=Path(mkdtemp())))


def test_a_version_of_xgboost_that_tells_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("federated.trees.crossing.SETTINGS", frozenset({"num_class"}))
    with pytest.raises(FederationError, match=r"XGBoost was about to tell Broadcast.*another version of XGBoost"):
        fitted(secure=True)


def test_a_tracker_that_tells_silos_different_sums_gets_no_more_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = relay.Relay._passed_on
    seen: list[Call] = []

    def told(self: relay.Relay, kind: str, call: Call, data: bytes, extra: int) -> bytes:
        total = answer(self, kind, call, data, extra)
        if (call.rank, call.number) != (1, 5):
            return total
        seen.append(call)
        return np.zeros(len(total) // 8, dtype=np.uint64).tobytes()  # as if no row of any silo were there

    monkeypatch.setattr(relay.Relay, "_passed_on", told)
    with pytest.raises(FederationError, match="masks are left in the sum of the silos' parts"):
        fitted(secure=True)
    assert seen


def test_bagging_is_refused_by_name() -> None:
    quick = {name: value for name, value in QUICK.items() if name != "session"}
    with pytest.raises(JobError, match="Bagging sends each silo's own trees, which no sum hides"):
        BaggedTrees(**quick, secure=True).fit(fold_of()[0], Context(folder=Path(mkdtemp())))


def test_a_silo_that_asks_for_masks_takes_part_where_there_are() -> None:
    policy = Policy(secure=True)
    fold, _ = fold_of()
    for way in (FederatedTrees(**QUICK, policy=policy), FederatedAverage(hosts=0, rounds=1, policy=policy)):
        with pytest.raises(FederationError, match="takes part in secure aggregation alone, and is asked for"):
            way.fit(fold, Context(folder=Path(mkdtemp())))
    assert fitted(secure=True, policy=policy, rounds=1).booster.num_boosted_rounds() == 1


def test_the_audit_says_that_a_session_was_masked(tmp_path: Path) -> None:
    fitted(secure=True, audit=str(tmp_path))
    for place in range(4):
        lines = [json.loads(line) for line in (tmp_path / f"owner%20{place}" / AUDIT).read_text().splitlines()]
        assert [line["facts"] for line in lines if line["kind"] == "grown"] == [["masked", "scores", "sha256"]] * 2
        assert {line["kind"] for line in lines} >= {"masked", "enrolled"}
        assert not {line["kind"] for line in lines} & {"moments", "histograms"}


def test_a_job_says_that_it_is_secure() -> None:
    job = FederatedTrees(**QUICK, secure=True).job(fold_of()[0], seed=0)
    assert job.secure
    assert TreeJob.from_facts(job.to_facts()) == job
