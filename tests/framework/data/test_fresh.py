"""Rows with answers, as a model's problem reads them."""

import numpy as np
import pandas as pd
import pytest

from framework.data.data_error import DataError
from framework.data.fresh import answered
from framework.problem import Problem

CHURN = Problem("churn", "binary", target="churn")
ROWS = pd.DataFrame({"age": [1, 2, 3, 4], "churn": ["yes", None, "no", " yes "]})


def test_rows_without_an_answer_are_left_out_and_counted():
    fresh = answered(ROWS, CHURN, ("no", "yes"))
    assert fresh.truth.y.tolist() == [1, 0, 1]
    assert fresh.raw["age"].tolist() == [1, 3, 4]
    assert fresh.remarks == ("1 rows without an answer or a moment were left out",)


@pytest.mark.parametrize(
    ("classes", "written"),
    [
        ((0, 1), [1, 0, 1]),
        ((0, 1), [1.0, 0.0, 1.0]),
        ((0, 1), ["1", "0", "1"]),
        ((False, True), [True, False, True]),
        ((False, True), ["True", "False", "true"]),
        (("False", "True"), [True, False, True]),
    ],
)
def test_a_label_is_known_however_its_file_writes_it(classes, written):
    fresh = answered(pd.DataFrame({"churn": written, "age": 1}), CHURN, classes)
    assert fresh.truth.y.tolist() == [1, 0, 1]
    assert fresh.truth.classes == 2


def test_rows_of_one_class_are_rows_too():
    assert answered(pd.DataFrame({"churn": ["yes", "yes"]}), CHURN, ("no", "yes")).truth.y.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("table", "problem", "sentence"),
    [
        (ROWS.drop(columns="churn"), CHURN, "has no column 'churn', the model's target"),
        (ROWS.assign(churn="maybe"), CHURN, r"holds 'maybe', which the model does not know\. It knows: no, yes\."),
        (ROWS.assign(churn=None), CHURN, "has no row with a value of 'churn'"),
        (ROWS, Problem("churn", "regression", target="churn"), "target 'churn' holds no numbers"),
        (ROWS, Problem("churn", "binary", target="churn", group="flat"), "has no column 'flat', the model's group"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(table, problem, sentence):
    with pytest.raises(DataError, match=sentence):
        answered(table, problem, ("no", "yes"))


def test_rows_that_follow_each_other_come_in_order_with_their_moments():
    table = pd.DataFrame({"day": ["2024-01-03", "2024-01-01", "2024-01-03", None], "rent": [3.0, 1.0, 3.5, 9.0]})
    fresh = answered(table, Problem("rent", "regression", target="rent", time="day"))
    assert fresh.raw["rent"].tolist() == [1.0, 3.0, 3.5]
    assert fresh.truth.ordered
    assert fresh.truth.moment.tolist() == [0, 1, 1]


def test_groups_series_and_weights_come_along():
    table = pd.DataFrame({"flat": ["b", "a", "b"], "rent": [1.0, 2.0, 3.0], "w": [1, 2, 0], "month": [1, 2, 3]})
    grouped = answered(table, Problem("rent", "regression", target="rent", group="flat", weight="w"))
    assert grouped.truth.group.tolist() == [1, 0, 1]
    assert grouped.truth.weight.tolist() == [1.0, 2.0, 0.0]
    bare = answered(table.drop(columns="w"), Problem("rent", "regression", target="rent", weight="w"))
    assert bare.truth.weight is None
    assert bare.remarks == ("the rows carry no weight 'w': each counts the same",)
    told = answered(table, Problem("rent", "forecast", target="rent", time="month", series="flat"))
    assert told.truth.series.tolist() == [1, 0, 1]
    assert not told.truth.ordered


def test_clustering_needs_no_answer():
    fresh = answered(ROWS[["age"]], Problem("ages", "clustering"))
    assert len(fresh) == 4
    assert fresh.truth.y is None
    assert np.array_equal(fresh.raw["age"], [1, 2, 3, 4])
