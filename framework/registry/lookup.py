"""What the registry has: versions by name and alias, and their model folders on this machine."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.registry.kind import PREDICTOR, Kind, kind_of
from framework.registry.permission import permitted
from framework.registry.version import ALIASES, SEMANTIC, ModelVersion, RegistryError, parts
from framework.tracking import client, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEPT = PREDICTOR.name  # the model folder's name inside the MLflow model


@permitted()
def resolve(uri: str | Path, *, store: str | None = None, kind: Kind = PREDICTOR) -> Path:
    """The model folder behind a folder's own path, `models:/NAME@alias` or `models:/NAME/VERSION`, on this machine.

    kind: what it has to hold. Raises RegistryError for what the registry does not have, listing what there is;
    TrackingError when it cannot be reached. A local path is returned as it is: `Predictor.open` says what is wrong with
    it.
    """
    text = str(uri)
    if not text.startswith("models:/"):
        return Path(uri)
    name, version, alias = parts(text)
    api = client(store)
    return fetch(api, name, version or str(version_of(api, name, alias, text)), kind)


@permitted()
def versions(name: str, *, store: str | None = None) -> list[ModelVersion]:
    """Every version of a name, newest first. Raises RegistryError for a name that is not registered.

    alias: the first of its aliases, champion before challenger; folder: where MLflow keeps it, which may be another
    machine.
    """
    api = client(store)
    found = search(api, name)
    named = aliases(api, name)
    return [model_version(each, alias_of(int(each.version), named)) for each in found]


def model_version(found: Any, alias: str, folder: Path | None = None) -> ModelVersion:
    """MLflow's own version as ours. folder: where its files are on this machine; MLflow's place by default."""
    return ModelVersion(
        name=str(found.name),
        version=int(found.version),
        alias=alias,
        uri=f"models:/{found.name}/{found.version}",
        run_id=str(found.run_id or ""),
        folder=folder or _local(str(found.source)) / "data" / kind_of(found.tags),
        semantic=str(found.tags.get(SEMANTIC, "")),
    )


def aliases(api: "MlflowClient", name: str) -> dict[str, int]:
    """alias → version."""
    return {str(alias): int(version) for alias, version in api.get_registered_model(name).aliases.items()}


def alias_of(version: int, named: Mapping[str, int]) -> str:
    """The alias that a version is called by: champion before challenger before any other."""
    own = [alias for alias, each in named.items() if each == version]
    return next((alias for alias in (*ALIASES, *sorted(own)) if alias in own), "")


def search(api: "MlflowClient", name: str) -> Sequence[Any]:
    """MLflow's versions of a name, newest first. Raises RegistryError, naming what there is, where it has none."""
    asked = [] if "'" in name else api.search_model_versions(f"name='{name}'")
    found = sorted(asked, key=lambda each: int(each.version), reverse=True)
    if not found:
        names = sorted(each.name for each in api.search_registered_models(max_results=100))
        there = f"It has: {', '.join(names)}." if names else "It is empty: register a winner first."
        raise RegistryError(f"the registry at {shown(api.tracking_uri)} has no model {name!r}. {there}")
    return found


def version_of(api: "MlflowClient", name: str, alias: str, uri: str) -> int:
    """The version that an alias points to. Raises RegistryError naming the aliases that there are."""
    named = aliases(api, name) if search(api, name) else {}
    if alias not in named:
        there = ", ".join(f"{each} (version {version})" for each, version in sorted(named.items())) or "none"
        raise RegistryError(f"{uri}: model {name!r} has no alias {alias!r}. Its aliases: {there}.")
    return named[alias]


def find(api: "MlflowClient", name: str, version: int) -> Any:
    """MLflow's version of this number. Raises RegistryError naming those that there are."""
    found = {int(each.version): each for each in search(api, name)}
    if version not in found:
        there = ", ".join(map(str, sorted(found)))
        raise RegistryError(f"model {name!r} has no version {version}. Its versions: {there}.")
    return found[version]


def fetch(api: "MlflowClient", name: str, version: str, kind: Kind = PREDICTOR) -> Path:
    """The model folder of a version; copied once to this machine's cache when it lies elsewhere.

    Raises RegistryError for a version that holds another kind."""
    found = find(api, name, int(version))
    if (held := kind_of(found.tags)) != kind.name:
        raise RegistryError(f"version {version} of {name!r} is a {held}; a {kind.name} is asked for. Name another.")
    local = _local(str(found.source)) / "data" / kind.name
    if (local / kind.card).is_file():
        return local
    cached = _cache() / f"{name}-{version}-{found.creation_timestamp}"
    if not (cached / kind.card).is_file():
        _download(api, name, version, cached, kind)
    return cached


def _download(api: "MlflowClient", name: str, version: str, home: Path, kind: Kind) -> None:
    """Fetches a version's model folder, whole or not at all."""
    from mlflow.artifacts import download_artifacts

    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        try:
            where = api.get_model_version_download_uri(name, version)
            got = Path(download_artifacts(where, dst_path=scratch, tracking_uri=api.tracking_uri))
        except Exception as error:  # the border to MLflow and its artifact stores
            raise RegistryError(f"version {version} of {name!r} cannot be fetched from its store ({error}).") from error
        folder = got / "data" / kind.name
        if not (folder / kind.card).is_file():
            raise RegistryError(
                f"version {version} of {name!r} was not registered by this framework (no {kind.card}). Register it "
                f"again."
            )
        try:
            folder.rename(home)
        except OSError:
            if not (home / kind.card).is_file():  # else another process was quicker
                raise


def _local(source: str) -> Path:
    return Path(source.removeprefix("file://"))


def _cache() -> Path:
    """Where fetched models are kept; XDG_CACHE_HOME as everywhere."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "contenders" / "models"
