"""A model folder as an MLflow pyfunc, without a pickle in it: what MLflow's own server and loader open."""

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from framework.predictor import Predictor

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

REQUIREMENTS = ("lightgbm", "numpy", "pandas", "safetensors", "scikit-learn", "skops", "skrub", "torch", "xgboost")


class Served:
    """What MLflow's own server asks: a frame of raw rows in, a frame of answers out."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        return self.predictor.predict(data)[0]


def _load_pyfunc(path: str) -> Served:
    """MLflow's loader, named by `loader_module` in the model it loads."""
    return Served(Predictor.open(path))


def write_pyfunc(predictor: Predictor, folder: Path, home: Path) -> None:
    """The model folder `folder` as an MLflow model in `home`, with signature and an example of its input."""
    import mlflow.pyfunc

    columns = predictor.schema.columns
    example = pd.DataFrame([{column.name: column.example for column in columns}])
    mlflow.pyfunc.save_model(
        str(home),
        loader_module="framework.registry",
        data_path=str(folder),
        signature=_signature(predictor),
        input_example=example if len(columns) else None,
        # Named, not inferred: MLflow would open the model in another process and watch what it imports.
        pip_requirements=[f"{package}=={metadata.version(package)}" for package in REQUIREMENTS],
        metadata={"schema": predictor.schema.to_json(), "problem": predictor.problem.name},
    )


def _signature(predictor: Predictor) -> "ModelSignature":
    """The columns by name, none required and of any type: MLflow checks rows before the schema does, and would refuse
    a whole number where it has seen fractions, and every pandas category. The types are in the model's metadata."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    inputs = [ColSpec(AnyType(), column.name, required=False) for column in predictor.schema.columns]
    labels = predictor.schema.classes if predictor.problem.classified else ()
    ends = ("prediction_low", "prediction_high") if predictor.band is not None else ()
    names = [*(f"proba_{label}" for label in labels), *ends]
    answers = [ColSpec(AnyType(), "prediction"), *(ColSpec("double", name) for name in names)]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(answers))
