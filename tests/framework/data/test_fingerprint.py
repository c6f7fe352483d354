"""A fingerprint changes with everything that matters, and with nothing else."""

import numpy as np
import pandas as pd
import pytest

from framework.data.load import load


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.normal(size=100),
            "c": rng.choice(["x", "y"], 100),
            "t": [f"word {i} and {i % 7}" for i in range(100)],
            "d": pd.date_range("2024-01-01", periods=100),
            "y": np.arange(100) % 2,
        }
    )


ORIGINAL = load(table(), target="y").fingerprint


def test_the_same_rows_have_the_same_fingerprint() -> None:
    assert len(ORIGINAL) == 64
    same = table()
    same["a"] = same["a"].astype(object)
    same["c"] = same["c"].astype("category")
    same["d"] = same["d"].dt.strftime("%Y-%m-%d")
    assert load(same, target="y").fingerprint == ORIGINAL
    assert load(table().astype({"c": "string[pyarrow]", "y": "Int8"}), target="y").fingerprint == ORIGINAL


def test_signs_of_zero_and_kinds_of_nan_do_not_matter() -> None:
    one, other = table(), table()
    one.loc[:1, "a"] = [0.0, np.nan]
    other.loc[:1, "a"] = [-0.0, -np.float64("nan")]
    assert load(one, target="y").fingerprint == load(other, target="y").fingerprint != ORIGINAL


@pytest.mark.parametrize("column", ["a", "c", "t", "d", "y"])
def test_one_changed_value_changes_it(column: str) -> None:
    changed = table()
    changed.loc[[3, 4], column] = changed.loc[[50, 53], column].to_numpy() if column != "y" else [0, 1]
    assert load(changed, target="y").fingerprint != ORIGINAL


def test_order_names_split_and_seed_change_it() -> None:
    others = [
        load(table().iloc[::-1], target="y"),
        load(table().rename(columns={"a": "b"}), target="y"),
        load(table(), target="y", seed=1),
        load(table(), target="y", test=0.3),
        load(table(), target="y", time="d"),
    ]
    assert len({ORIGINAL, *(split.fingerprint for split in others)}) == 6
