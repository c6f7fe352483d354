"""The comparison with other tools is fair: the same rows for all, ranks and wins told as they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeRegressor

from benchmarks.peers.job import Job
from benchmarks.peers.report import Round, report
from benchmarks.peers.tables import SETS, Table, cut
from benchmarks.peers.tools import TOOLS, answer
from framework.data.frame import Truth
from framework.metric import metric

ATTRITION = Table("modeldata", "attrition", "Attrition", "binary", "roc_auc")


@pytest.fixture(scope="module")
def told() -> Round:
    X, y = load_diabetes(return_X_y=True)
    tree = cross_val_predict(DecisionTreeRegressor(random_state=0), X, y)
    ridge = cross_val_predict(Ridge(0.1), X, y)
    given = {"ours": ridge, "flaml": tree, "mljar": ridge + 1e-9 * y, "linear": cross_val_predict(Ridge(0.01), X, y)}
    return Round("diabetes", "rmse", 60, 0, Truth(y=y), given)


def test_every_tool_gets_the_same_rows_and_none_of_the_answers(tmp_path: Path) -> None:
    first, second = (cut(ATTRITION, seconds=20, seed=3, cores=2) for _ in range(2))
    first.job.write(tmp_path, first.train, first.test)
    job, train, test = Job.read(tmp_path)
    pd.testing.assert_frame_equal(train, second.train)
    assert "Attrition" not in test
    assert len(test) == len(second.y) == round(0.2 * (len(train) + len(test)))
    assert train["Attrition"].eq("c001").mean() == pytest.approx(second.y.mean(), abs=0.005)
    assert job.columns["Age"] == "number"
    assert str(train["Department"].dtype) == "category"
    assert len(cut(ATTRITION, seconds=20, seed=4, cores=2).y) == len(second.y)
    assert not cut(ATTRITION, seconds=20, seed=4, cores=2).test.equals(second.test)


def test_no_table_is_both_tuned_on_and_held_out() -> None:
    names = [table.name for tables in SETS.values() for table in tables]
    assert len(names) == len(set(names))


def test_probabilities_come_in_the_order_of_the_classes() -> None:
    job = Job("y", "multiclass", "log_loss", 1, 0, 1, ["c000", "c001", "c002"], {})
    given = pd.DataFrame({"c002": [0.7], "c000": [0.3]})
    assert job.in_order(given).tolist() == [[0.3, 0.0, 0.7]]


def test_ranks_share_ties_and_put_who_gave_no_answer_last(told: Round) -> None:
    assert told.ranks(["flaml", "ours", "h2o"]) == {"ours": 1.0, "flaml": 2.0, "h2o": 3.0}
    assert told.ranks(["h2o", "ours", "autogluon_best"]) == {"ours": 1.0, "h2o": 2.5, "autogluon_best": 2.5}


def test_a_win_is_beyond_two_standard_errors_and_a_hair_is_a_tie(told: Round) -> None:
    assert told.against("flaml") > 4
    assert abs(told.against("linear")) < 2
    assert np.isnan(told.against("h2o"))
    text = report([told], ["ours", "linear", "flaml", "mljar", "h2o"])
    assert "| 60 | flaml | 3.00 | 1 | 1 | 0 | 0 |" in text
    assert "| 60 | h2o | 4.00 | 1 | 0 | 0 | 0 |" in text


def test_a_floor_answers_in_a_process_of_its_own_and_leaves_nothing() -> None:
    rows = cut(Table("modeldata", "Sacramento", "price", "regression", "rmse", logged=True), seconds=5, seed=0, cores=1)
    predicted, about = answer(TOOLS["linear"], rows)
    assert about["status"] == "done"
    assert metric("rmse").score(Truth(y=rows.y), predicted) < 0.8 * rows.y.std()


def test_a_tool_that_fails_is_told_with_its_last_lines() -> None:
    from dataclasses import replace

    rows = cut(ATTRITION, seconds=1, seed=0, cores=1)
    predicted, about = answer(replace(TOOLS["linear"], arguments=("quadratic",)), rows)
    assert predicted is None
    assert about["status"] == 1
    assert "quadratic" in about["last"][-1]
