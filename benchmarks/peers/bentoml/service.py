"""The model of a folder as BentoML serves it: rows in, answers out, requests gathered by its adaptive batching.

bentoml serve service:Model --working-dir benchmarks/peers/bentoml --port PORT
MODEL_FOLDER: the model. OUR_PACKAGES: where the project's packages lie, behind BentoML's own.
"""

import os
import sys
from typing import Any

import bentoml

sys.path.append(os.environ["OUR_PACKAGES"])

import pandas as pd

from framework.predictor import Predictor


@bentoml.service(workers=1, traffic={"timeout": 60})
class Model:
    def __init__(self) -> None:
        self.predictor = Predictor.open(os.environ["MODEL_FOLDER"])

    @bentoml.api(batchable=True, max_batch_size=1024, max_latency_ms=1000)
    def predict(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        answers, _ = self.predictor.predict(pd.DataFrame(rows), strict=True)
        found: list[dict[str, Any]] = answers.to_dict("records")
        return found
