"""Winners by name: versions and aliases in MLflow's registry, each the model folder that `Predictor.save` writes."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from cluster.user_error import UserError
from framework.predictor import CARD, Predictor
from framework.tracking import address, client, shown, store_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

EXPERIMENT = "registered models"  # of models that come from no tracked run
REQUIREMENTS = ("lightgbm", "numpy", "pandas", "safetensors", "scikit-learn", "skops", "skrub", "torch", "xgboost")
KEPT = "predictor"  # the model folder's name inside the MLflow model


class RegistryError(UserError):
    """A name, version or alias that the registry does not have, or a name it does not take."""


@dataclass(frozen=True)
class ModelVersion:
    """A winner in the registry. uri: pins this version, whatever the alias points to later.

    folder: the model folder, where it lies on this machine.
    """

    name: str
    version: int
    alias: str
    uri: str
    run_id: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" + (f", {self.alias}" if self.alias else "")


class Won(Protocol):
    """What `register` takes besides a folder: a Winner, or anything that holds a predictor."""

    @property
    def predictor(self) -> Predictor: ...


def register(
    winner: Won | Predictor | Path | str,
    name: str | None = None,
    *,
    alias: str = "champion",
    run_id: str | None = None,
    tags: dict[str, str] | None = None,
    uri: str | None = None,
) -> ModelVersion:
    """Puts a winner, or a model folder, into the registry under `name` (its problem's by default).

    alias: moves to the new version; "" for none. run_id: the contest's run, which then holds the model's files; a run
    of its own is made without one. uri: of the store; see `tracking.address`.
    Raises RegistryError for a name that MLflow does not take, TrackingError when the store cannot be reached,
    ModelFolderError for a folder that is no model.
    """
    predictor = _predictor(winner)
    called = check_name(name or predictor.name)
    api = client(uri)
    if run_id is None:
        run = api.create_run(store_experiment(api, EXPERIMENT, address(uri)), run_name=called)
        run_id, made = str(run.info.run_id), True
    else:
        run, made = api.get_run(run_id), False
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / KEPT
        if isinstance(winner, Path | str):
            shutil.copytree(winner, folder)
        else:
            predictor.save(folder)
        _write_pyfunc(predictor, folder, Path(scratch) / "model")
        api.log_artifacts(run_id, str(Path(scratch) / "model"), "model")
    if made:
        api.set_terminated(run_id)
    _make_name(api, called)
    facts = {**predictor.facts, "problem": predictor.problem.name, "kind": predictor.problem.kind}
    marks = {key: str(value)[:500] for key, value in {**facts, **(tags or {})}.items()}
    source = f"{run.info.artifact_uri}/model"
    version = api.create_model_version(called, source, run_id, tags=marks, await_creation_for=30)
    if alias:
        api.set_registered_model_alias(called, alias, version.version)
    pinned = f"models:/{called}/{version.version}"
    return ModelVersion(called, int(version.version), alias, pinned, run_id, _fetch(api, called, str(version.version)))


def check_name(name: str) -> str:
    """The name, where MLflow takes it as a model's. Raises RegistryError where it does not."""
    if not name.strip() or any(letter in name for letter in "/:%\"'"):
        raise RegistryError(
            f"{name!r} cannot be a model's name: MLflow takes no '/', ':', '%' or quotes. Pass another."
        )
    return name


def resolve(uri: str | Path, *, store: str | None = None) -> Path:
    """The model folder behind a folder's own path, `models:/NAME@alias` or `models:/NAME/VERSION`, on this machine.

    Raises RegistryError for what the registry does not have, listing what there is; TrackingError when it cannot be
    reached. A local path is returned as it is: `Predictor.open` says what is wrong with it.
    """
    text = str(uri)
    if not text.startswith("models:/"):
        return Path(uri)
    name, version, alias = _parts(text)
    api = client(store)
    return _fetch(api, name, version or _version_of(api, name, alias, text))


def versions(name: str, *, store: str | None = None) -> list[ModelVersion]:
    """Every version of a name, newest first. Raises RegistryError for a name that is not registered.

    alias: the first of its aliases; folder: where MLflow keeps it, which may be another machine.
    """
    api = client(store)
    found = _search(api, name)
    aliases = {str(version): alias for alias, version in api.get_registered_model(name).aliases.items()}
    return [
        ModelVersion(
            name=name,
            version=int(each.version),
            alias=aliases.get(str(each.version), ""),
            uri=f"models:/{name}/{each.version}",
            run_id=str(each.run_id or ""),
            folder=_local(str(each.source)) / "data" / KEPT,
        )
        for each in found
    ]


class Served:
    """What MLflow's own server asks: a frame of raw rows in, a frame of answers out."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        return self.predictor.predict(data)[0]


def _load_pyfunc(path: str) -> Served:
    """MLflow's loader, named by `loader_module` in the model it loads."""
    return Served(Predictor.open(path))


def _predictor(winner: Won | Predictor | Path | str) -> Predictor:
    if isinstance(winner, Path | str):
        return Predictor.open(winner)
    return winner if isinstance(winner, Predictor) else winner.predictor


def _write_pyfunc(predictor: Predictor, folder: Path, home: Path) -> None:
    """The model folder as an MLflow pyfunc, without a pickle in it."""
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


def _make_name(api: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        api.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise RegistryError(f"MLflow does not take {name!r} as a model's name ({error.message}).") from error


def _parts(uri: str) -> tuple[str, str, str]:
    """name, version and alias of a models:/ address; one of the last two is empty."""
    rest = uri.removeprefix("models:/").strip("/")
    name, at, alias = rest.rpartition("@")
    if at and name and alias:
        return name, "", alias
    name, slash, version = rest.rpartition("/")
    if slash and name and version.isdigit():
        return name, version, ""
    raise RegistryError(f"{uri!r} is no model's address. Write models:/NAME@champion or models:/NAME/3.")


def _search(api: "MlflowClient", name: str) -> Sequence[Any]:
    asked = [] if "'" in name else api.search_model_versions(f"name='{name}'")
    found = sorted(asked, key=lambda each: int(each.version), reverse=True)
    if not found:
        names = sorted(each.name for each in api.search_registered_models(max_results=100))
        there = f"It has: {', '.join(names)}." if names else "It is empty: register a winner first."
        raise RegistryError(f"the registry at {shown(api.tracking_uri)} has no model {name!r}. {there}")
    return found


def _version_of(api: "MlflowClient", name: str, alias: str, uri: str) -> str:
    aliases = api.get_registered_model(name).aliases if _search(api, name) else {}
    if alias not in aliases:
        there = ", ".join(f"{each} (version {version})" for each, version in sorted(aliases.items())) or "none"
        raise RegistryError(f"{uri}: model {name!r} has no alias {alias!r}. Its aliases: {there}.")
    return str(aliases[alias])


def _fetch(api: "MlflowClient", name: str, version: str) -> Path:
    """The model folder of a version; copied once to this machine's cache when it lies elsewhere."""
    found = {str(each.version): each for each in _search(api, name)}
    if version not in found:
        there = ", ".join(sorted(found, key=int))
        raise RegistryError(f"model {name!r} has no version {version}. Its versions: {there}.")
    source = str(found[version].source)
    local = _local(source)
    if (local / "data" / KEPT / CARD).is_file():
        return local / "data" / KEPT
    created = found[version].creation_timestamp
    cached = _cache() / f"{name}-{version}-{created}"
    if not (cached / CARD).is_file():
        _download(api, name, version, cached)
    return cached


def _download(api: "MlflowClient", name: str, version: str, home: Path) -> None:
    """Fetches a version's model folder, whole or not at all."""
    from mlflow.artifacts import download_artifacts

    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        try:
            where = api.get_model_version_download_uri(name, version)
            got = Path(download_artifacts(where, dst_path=scratch, tracking_uri=api.tracking_uri))
        except Exception as error:  # the border to MLflow and its artifact stores
            raise RegistryError(f"version {version} of {name!r} cannot be fetched from its store ({error}).") from error
        folder = got / "data" / KEPT
        if not (folder / CARD).is_file():
            raise RegistryError(
                f"version {version} of {name!r} was not registered by this framework (no {CARD}). Register it again."
            )
        try:
            folder.rename(home)
        except OSError:
            if not (home / CARD).is_file():  # else another process was quicker
                raise


def _local(source: str) -> Path:
    return Path(source.removeprefix("file://"))


def _cache() -> Path:
    """Where fetched models are kept; XDG_CACHE_HOME as everywhere."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contenders" / "models"
