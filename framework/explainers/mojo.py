"""What H2O's own trees say of their predictions: the contributions that some MOJOs compute, in raw columns."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from framework.contenders import h2o_rows
from framework.data.schema import Schema
from framework.explainers.contributions import Contributions, checked, outputs_of
from framework.explainers.trees import by_column
from framework.probability_maps import logit

if TYPE_CHECKING:
    from framework.contenders.h2o_model import H2OModel

HOW = "TreeSHAP in H2O's MOJO"


def mojo_values(model: "H2OModel", schema: Schema, X: pd.DataFrame) -> Contributions:
    """In log-odds, or in values."""
    names, told = model.mojo.contributions(model.inputs(X))
    wide = np.zeros((len(X), model.native.width, 1))
    mine = {name: place for place, name in enumerate(h2o_rows.names(model.native))}
    base = np.zeros(1)
    for place, name in enumerate(names):
        if name == "BiasTerm":
            base[0] = told[0, place]
        else:
            wide[:, mine[name.split(".")[0]], 0] += told[:, place]
    values, answers = by_column(wide, model.native), model.predict(X)
    space, predicted = ("log-odds", logit(answers[:, 1])) if model.classes else ("value", answers)
    return checked(Contributions(schema.names, outputs_of(schema), space, HOW, values, base, predicted[:, None], X))
