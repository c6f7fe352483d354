"""A model folder says which class opens it, and opens nothing else."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from cluster.user_error import UserError
from framework.contenders.constant import ConstantModel
from framework.contenders.sklearn_file import load_sklearn, save_sklearn
from framework.contenders.store import open_model, store_model

ROWS = pd.DataFrame({"a": [1.0, 2.0]})


def test_a_stored_model_is_opened_by_its_own_class(tmp_path: Path) -> None:
    store_model(ConstantModel((0.25, 0.75), classified=True), tmp_path)
    assert json.loads((tmp_path / "engine.json").read_text())["model"] == "framework.contenders.constant:ConstantModel"
    assert np.allclose(open_model(tmp_path).predict(ROWS), [[0.25, 0.75]] * 2)


@pytest.mark.parametrize("named", ["os:system", "builtins:eval", "subprocess:Popen", "frameworks.x:Y", ""])
def test_a_class_from_elsewhere_is_not_opened(tmp_path: Path, named: str) -> None:
    (tmp_path / "engine.json").write_text(json.dumps({"model": named}))
    with pytest.raises(UserError, match="only models of framework"):
        open_model(tmp_path)


@pytest.mark.parametrize("named", ["framework.recipe:leave", "framework.contenders.constant:Nothing"])
def test_what_is_no_model_is_not_opened(tmp_path: Path, named: str) -> None:
    (tmp_path / "engine.json").write_text(json.dumps({"model": named}))
    with pytest.raises(UserError, match=named):
        open_model(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_folder_cut_short_is_told_in_a_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "engine.json").write_text(content)
    with pytest.raises(UserError, match=r"engine\.json"):
        open_model(tmp_path)


def test_a_function_hidden_in_an_estimator_is_not_opened(tmp_path: Path) -> None:
    skops.io.dump(FunctionTransformer(pd.eval), tmp_path / "evil.skops")
    with pytest.raises(ValueError, match="eval"):
        load_sklearn(tmp_path / "evil.skops")


def test_a_damaged_estimator_is_a_value_error(tmp_path: Path) -> None:
    save_sklearn(StandardScaler().fit(ROWS), tmp_path / "part.skops")
    whole = (tmp_path / "part.skops").read_bytes()
    (tmp_path / "part.skops").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="does not open"):
        load_sklearn(tmp_path / "part.skops")
