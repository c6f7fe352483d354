"""SHAP: exact where the model is made of trees, sampled where it is not."""

import numpy as np
import pandas as pd

from framework.contender import Model
from framework.data.frame import Frame
from framework.data.schema import Schema
from framework.explainers.contributions import Contributions
from framework.explainers.sampling import answers_of, sampled
from framework.explainers.trees import NotAdditiveError, explainer_of

BACKGROUND = 16  # rows that stand for "the column is not known" where values are sampled
POOL = 500  # rows that these are chosen from


def attribute(
    model: Model, schema: Schema, frame: Frame, *, rows: int, seconds: float, seed: int
) -> tuple[Contributions, list[str]]:
    """Contributions of up to `rows` rows drawn from the frame, and a sentence for each thing to know about them."""
    drawn = np.random.default_rng(seed).permutation(len(frame))
    X = frame.X.iloc[drawn[:rows]].reset_index(drop=True)
    remarks = []
    exact = explainer_of(model, schema)
    if exact is not None:
        try:
            return exact(X), []
        except NotAdditiveError as error:
            remarks.append(f"shap: sampled, because {error}.")
    elif _forest_without_shap(model):
        remarks.append(
            "shap: sampled; exact values of a forest need the package shap (pip install contenders[explain])."
        )
    background = _typical(model, frame.X.iloc[drawn[-POOL:]].reset_index(drop=True))
    found = sampled(model, schema, X, background, seconds=seconds, seed=seed)
    if len(found.X) < len(X):
        remarks.append(f"shap: {len(found.X)} of {len(X)} rows in the {seconds:.0f} s there were.")
    return found, remarks


def _typical(model: Model, pool: pd.DataFrame) -> pd.DataFrame:
    """Rows evenly spaced over the ranks of their predictions: few, and their mean prediction is nearly that of all."""
    count = min(BACKGROUND, len(pool))
    ranked = np.argsort(answers_of(model, pool)[:, 0], kind="stable")
    places = ((np.arange(count) + 0.5) / count * len(pool)).astype(int)
    typical: pd.DataFrame = pool.iloc[ranked[places]].reset_index(drop=True)
    return typical


def _forest_without_shap(model: Model) -> bool:
    return hasattr(getattr(model, "estimator", None), "estimators_")
