"""What the folder of a version is: a predictor, or something else that a name in the registry stands for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from framework.predictor import CARD
from framework.registry.version import RegistryError

if TYPE_CHECKING:
    from mlflow import MlflowClient

HOLDS = "holds"  # the tag of a version that says its kind


@dataclass(frozen=True)
class Kind:
    """name: of the kind, and of the folder inside the MLflow model. card: a file that every such folder has."""

    name: str
    card: str


PREDICTOR = Kind("predictor", CARD)


def kind_of(tags: dict[str, str]) -> str:
    """What a version with these tags holds; those registered before there were kinds hold predictors."""
    return tags.get(HOLDS, PREDICTOR.name)


def check_kind(api: "MlflowClient", name: str, kind: Kind) -> None:
    """Raises RegistryError where the name stands for versions of another kind: who asks for it would get what they
    cannot use."""
    for each in api.search_model_versions(f"name='{name}'", max_results=1):
        if (held := kind_of(dict(each.tags))) != kind.name:
            raise RegistryError(
                f"{name!r} is the name of a {held} in this registry; a {kind.name} needs another. Pass another name."
            )
