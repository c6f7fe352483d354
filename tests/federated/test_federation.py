"""Whole federations in one process: agreement, refusals, resuming, what crosses the boundary, and liars."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster.wire import Arrays
from federated import strategies
from federated.audit import verify
from federated.border import AUDIT
from federated.channel import Direct, Ticket
from federated.exchange import FederationError
from federated.message import LEAVING, Message
from federated.net_weights import load
from federated.policy import Policy
from federated.rounds import Coordinator, Terms
from federated.silo import Silo
from federated.source import Filed, Source
from tests.federated.portfolios import filed, held_federation, job_of, rents

WIDE = (("size", 4), ("width", 32), ("layers", 1), ("dropout", 0.0))
ALL = Policy(minimum_count=1)


class Recorded(Direct):
    """What a coordinator receives, byte by byte; and what silos become that lie."""

    def __init__(self, sources: Sequence[Source], folder: Path | None = None, liars: Mapping[str, float] = {}) -> None:
        super().__init__(sources, folder)
        self.received: list[bytes] = []
        self.liars = liars
        self.asked = 0
        self.fails_at = 0

    def ask(self, silos: Sequence[str], request: bytes) -> dict[str, Ticket]:
        if Message.from_bytes(request).kind == "train":
            self.asked += 1
            if self.asked == self.fails_at:
                super().ask(list(silos)[:3], request)  # some have learned already
                raise KeyboardInterrupt
        return super().ask(silos, request)

    def take(self, ticket: Ticket) -> bytes:
        data = super().take(ticket)
        told = Message.from_bytes(data)
        if told.kind == "update" and told.silo in self.liars:
            factor = self.liars[told.silo]
            delta = {name: (factor * array).astype(array.dtype) for name, array in told.groups["delta"].items()}
            data = Message("update", told.silo, told.round, told.facts, {"delta": delta}).to_bytes()
        self.received.append(data)
        return data


def near(a: Arrays, b: Arrays, most: float = 1e-6) -> bool:
    return set(a) == set(b) and all(np.abs(a[name] - b[name]).max() <= most for name in a)


def test_what_is_agreed_is_what_the_pooled_rows_say(tmp_path: Path) -> None:
    job = job_of(strategies.FedAvg(), rounds=1)
    table = rents()
    sources = filed(table, policy=ALL, valid=0.0)
    agreed = held_federation(job, tmp_path, sources=sources).preparation
    kinds = {column.name: column for column in agreed.schema.columns}
    assert kinds["kind"].categories == ("flat", "house", "loft")
    assert kinds["owner"].categories == tuple(sorted(table.owner.unique()))
    assert agreed.target.shift == pytest.approx(table.rent.mean(), rel=1e-10)
    assert agreed.target.scale == pytest.approx(table.rent.std(ddof=0), rel=1e-10)
    places = {name: place for place, (name, _) in enumerate(job.columns)}
    for name in ("size", "age"):
        told = agreed.quantiles[:, places[name]]
        exact = table[name].quantile(np.linspace(0, 1, len(told))).to_numpy()
        assert told[32:-32] == pytest.approx(exact[32:-32], abs=0.06 * table[name].std())


@pytest.mark.parametrize("kind", ["rows", "recall", "answer", "shapes", "_join"])
def test_a_silo_answers_what_silos_are_asked_and_nothing_else(kind: str) -> None:
    silo = Silo(filed()[0])
    answer = Message.from_bytes(silo.answer(Message(kind).to_bytes()))
    assert (answer.kind, answer.facts, answer.groups) == ("failure", {"type": "UnknownQuestionError"}, {})


def test_the_same_seed_is_the_same_model_and_another_is_another(tmp_path: Path) -> None:
    one, two = (held_federation(job_of(strategies.FedAdam()), tmp_path / name) for name in "ab")
    other = held_federation(job_of(strategies.FedAdam(), seed=1), tmp_path / "c")
    assert near(one.weights, two.weights, 0.0)
    assert not near(one.weights, other.weights)
    assert one.sent == two.sent > 0
    assert one.received == two.received > 0


STATEFUL = [
    (strategies.FedAdam(), {"keep": True, "optimizer": "adamw"}),
    (strategies.Scaffold(), {"optimizer": "sgd", "weight_decay": 0.0, "clip": 0.0, "rate": 0.05}),
    (strategies.FineTuned(strategies.Ditto(), epochs=2), {}),
]


@pytest.mark.parametrize(("strategy", "settings"), STATEFUL, ids=["FedAdam", "Scaffold", "Ditto"])
def test_a_federation_cut_off_in_a_round_goes_on_as_if_it_had_not_been(
    tmp_path: Path, strategy: object, settings: dict[str, object]
) -> None:
    job = job_of(strategy, rounds=5, **settings)
    whole = held_federation(job, tmp_path / "whole")
    folder = tmp_path / "cut"
    cut = Recorded(filed(), folder / "silos")
    cut.fails_at = 3
    with pytest.raises(KeyboardInterrupt):
        Coordinator(cut, job, Terms(), folder).run()
    # A new coordinator and new silos; three of these had learned the third round already, and kept what it left.
    outcome = Coordinator(Direct(filed(), folder / "silos"), job, Terms(), folder).run()
    assert near(whole.weights, outcome.weights)
    assert whole.members == outcome.members
    assert whole.scores == pytest.approx(outcome.scores, abs=1e-6)
    for part, weights in whole.parts.items():
        assert near(weights, outcome.parts[part])


def test_a_checkpoint_of_another_job_is_not_gone_on_with(tmp_path: Path) -> None:
    held_federation(job_of(strategies.FedAvg(), rounds=1), tmp_path)
    with pytest.raises(FederationError, match="checkpoint of another job"):
        held_federation(job_of(strategies.FedAvg(), rounds=2), tmp_path)


def test_a_round_asked_again_is_answered_by_the_same_bytes_and_counts_once(tmp_path: Path) -> None:
    job = job_of(strategies.FedAvg(), rounds=1, keep=True)
    outcome = held_federation(job, tmp_path)
    silo = Silo(filed()[0], tmp_path / "silo")
    facts, groups = outcome.preparation.to_message()
    silo.answer(Message("join", facts={"job": job.to_facts()}).to_bytes())
    silo.answer(Message("prepare", facts=facts, groups=groups).to_bytes())
    rounds = [Message("train", round=number, groups={"weights": outcome.weights}).to_bytes() for number in (1, 2)]
    first, second = silo.answer(rounds[0]), silo.answer(rounds[1])
    assert silo.answer(rounds[1]) == second
    assert Message.from_bytes(first).groups["delta"].keys() == outcome.weights.keys()
    assert first != second


def test_a_silo_takes_up_nothing_of_an_earlier_federation(tmp_path: Path) -> None:
    job = job_of(strategies.Ditto(), rounds=2, keep=True)
    one, two = (
        Coordinator(Direct(filed(), tmp_path / "silos"), job, Terms(), tmp_path / name).run() for name in ("a", "b")
    )
    assert near(one.weights, two.weights, 0.0)
    assert all(near(one.parts[silo], two.parts[silo], 0.0) for silo in one.members)


def refused(tmp_path: Path, sources: list[Filed], **settings: object) -> dict[str, str]:
    job = job_of(strategies.FedAvg(), rounds=1, **settings)
    outcome = held_federation(job, tmp_path, sources=sources)
    told = {happening.silo: str(happening) for happening in outcome.happenings if happening.what == "refused"}
    assert set(outcome.rows) == {source.name for source in sources} - set(told)
    return told


def test_silos_that_cannot_take_part_are_named_with_their_reason(tmp_path: Path) -> None:
    table = rents(silos=9)
    sources = filed(table)
    frames = [source.table.copy() for source in sources]
    frames[0] = frames[0].iloc[:3]
    frames[1] = frames[1].rename(columns={"size": "area"})
    frames[2]["size"] = frames[2]["size"] / 10.76  # in square metres
    frames[3]["age"] = "unknown"
    policies = [Policy()] * 9
    policies[4] = Policy(columns=frozenset({"owner", "size", "age", "kind", "rent"}))
    policies[5] = Policy(strategies=frozenset({"FedAdam"}))
    policies[6] = Policy(most_rounds=0)
    made = [Filed(s.name, f, p) for s, f, p in zip(sources, frames, policies, strict=True)]
    told = refused(tmp_path, made)
    assert set(told) == {f"owner {place}" for place in range(7)}
    assert "fewer than 10 rows" in told["owner 0"]
    assert "has no column 'size'" in told["owner 1"]
    assert "the column 'size' of silo 'owner 2'" in told["owner 2"]
    assert "other units" in told["owner 2"]
    assert "holds no number in its column 'age'" in told["owner 3"]
    assert "unknown" not in told["owner 3"]  # a value never leaves, in no sentence either
    assert "'heated'" in told["owner 4"]
    assert "does not train by FedAvg; it does by: FedAdam" in told["owner 5"]
    assert "at most 0 rounds" in told["owner 6"]


def test_too_few_silos_end_it_with_their_names(tmp_path: Path) -> None:
    frames = [source.table for source in filed()]
    sources = [Filed(f"owner {k}", f.iloc[:3] if k else f) for k, f in enumerate(frames)]
    with pytest.raises(FederationError, match=r"1 silo\(s\) answered in round 0, and 2 are needed \(owner 1: silo"):
        held_federation(job_of(strategies.FedAvg()), tmp_path, sources=sources)


def test_an_update_that_is_not_finite_is_refused_and_the_silo_named(tmp_path: Path) -> None:
    channel = Recorded(filed(), liars={"owner 1": float("nan")})
    outcome = Coordinator(channel, job_of(strategies.FedAvg(), rounds=2), Terms(), tmp_path).run()
    told = [str(happening) for happening in outcome.happenings]
    assert len(told) == 2
    assert all("silo 'owner 1' refused" in line and "not finite" in line for line in told)
    assert all(np.isfinite(array).all() for array in outcome.weights.values())
    everyone = Recorded(filed(), liars=dict.fromkeys(channel.silos, float("inf")))
    coordinator = Coordinator(everyone, job_of(strategies.FedAvg(), rounds=3), Terms(), tmp_path / "x")
    with pytest.raises(FederationError, match="not finite"):
        coordinator.run()


def test_a_refused_silo_is_one_of_those_that_krum_expects_to_lie(tmp_path: Path) -> None:
    table = rents(silos=5)
    job = job_of(strategies.Krum(faulty=1), rounds=2)
    channel = Recorded(filed(table), liars={"owner 1": float("nan")})  # one more among the 4 others would be too many
    outcome = Coordinator(channel, job, Terms(), tmp_path / "krum").run()
    channel = Recorded(filed(table), liars={"owner 1": float("nan")})
    mean = Coordinator(channel, job_of(strategies.Krum(faulty=0), rounds=2), Terms(), tmp_path / "mean").run()
    for name, array in mean.weights.items():
        np.testing.assert_array_equal(outcome.weights[name], array)


def test_liars_ruin_a_mean_and_not_a_robust_one(tmp_path: Path) -> None:
    table = rents(rows=40, silos=19, level=4.0)
    truth = table.rent.to_numpy()

    def r2(strategy: object, liars: int) -> float:
        folder = tmp_path / f"{type(strategy).__name__}-{liars}"
        job = job_of(strategy, rounds=10, epochs=4, batch=16, rate=0.02, shape=WIDE)
        channel = Recorded(filed(table), liars={f"owner {k}": -10.0 for k in range(liars)})
        outcome = Coordinator(channel, job, Terms(), folder).run()
        net = outcome.preparation.net(job)
        load(net, outcome.weights)
        frame = pd.DataFrame(table[[name for name, _ in job.columns]])
        X, _ = outcome.preparation.schema.conform(frame)
        told = outcome.preparation.encoder.predict(net.eval(), X)
        return 1 - float(((truth - told) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())

    clean = r2(strategies.FedAvg(), 0)
    assert clean > 0.8
    assert r2(strategies.FedAvg(), 3) < clean - 0.2
    for strategy in (strategies.TrimmedMean(share=0.2), strategies.Krum(faulty=3)):
        assert r2(strategy, 3) > clean - 0.02, strategy


def test_no_planted_row_is_in_any_byte_that_the_coordinator_receives(tmp_path: Path) -> None:
    table = rents()
    canaries = []
    for place, owner in enumerate(sorted(table.owner.unique())):
        row = table.index[table.owner == owner][7]
        size = 91.0 + np.pi * (place + 1)
        table.loc[row, ["size", "age", "rent"]] = [size, 33.0 + np.e / (place + 1), 700.0 + np.sqrt(place + 2)]
        table.loc[row, "kind"] = f"canary {place}"
        canaries += table.loc[row, ["size", "age", "rent"]].to_list()
    for strategy in (strategies.FineTuned(strategies.FedAdam(), epochs=2), strategies.IFCA()):
        folder = tmp_path / type(strategy).__name__
        channel = Recorded(filed(table), folder / "silos")
        Coordinator(channel, job_of(strategy, rounds=2), Terms(), folder).run()
        received = b"".join(channel.received)
        assert b"canary" not in received
        for value in canaries:
            for dtype in ("<f8", "<f4"):
                assert np.array([value], dtype=dtype).tobytes() not in received
            assert repr(float(value)).encode() not in received
        assert {Message.from_bytes(data).kind for data in channel.received} <= set(LEAVING)
        for silo in channel.silos:
            lines, _ = verify(folder / "silos" / silo.replace(" ", "%20") / AUDIT)
            assert lines == sum(Message.from_bytes(data).silo == silo for data in channel.received)


def test_a_silo_that_keeps_its_weights_is_answered_by_the_common_ones(tmp_path: Path) -> None:
    sources = filed(policy=Policy(personal=False))
    job = job_of(strategies.FineTuned(strategies.FedAvg(), epochs=3), rounds=1)
    outcome = held_federation(job, tmp_path, sources=sources)
    assert outcome.members == {}
    assert outcome.parts == {}


def test_it_stops_when_the_silos_gain_nothing_more(tmp_path: Path) -> None:
    job = job_of(strategies.FedAvg(), rounds=50, rate=2.0)
    outcome = held_federation(job, tmp_path, Terms(patience=3))
    assert len(outcome.scores) < 20
    assert outcome.rounds < len(outcome.scores)
