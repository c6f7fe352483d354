"""register_folder(): a folder of plain data that is no predictor becomes a version, as a synthesizer does."""

import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from framework.provenance import provenance
from framework.registry.aliases import move
from framework.registry.exclusive import person
from framework.registry.kind import HOLDS, Kind, check_kind
from framework.registry.lookup import fetch, model_version
from framework.registry.permission import permitted
from framework.registry.registration import LONGEST_TAG, ended, make_name
from framework.registry.version import CHAMPION, ModelVersion, RegistryError, check_name
from framework.tracking import address, client, store_experiment


@permitted()
def register_folder(
    folder: Path,
    name: str,
    kind: Kind,
    *,
    lead: str,
    experiment: str,
    scores: Mapping[str, float],
    tags: Mapping[str, object],
    alias: str = CHAMPION,
    why: str = "",
    uri: str | None = None,
) -> ModelVersion:
    """Puts a folder into the registry under `name`, in a run of its own; all its files are kept as they are.

    lead: what it is, in a sentence. experiment: that the run stands in. scores: the run's metrics. tags: what the
    version is found and compared by. alias: moves to the new version; "" for none. uri: of the store; see
    `tracking.address`.
    Raises RegistryError for a name that MLflow does not take or that stands for another kind, and for a folder without
    its card; TrackingError when the store cannot be reached.
    """
    from mlflow.entities import Metric

    check_name(name)
    if not (folder / kind.card).is_file():
        raise RegistryError(f"{folder} holds no {kind.card}: it is no {kind.name}, or was cut short.")
    api = client(uri)
    check_kind(api, name, kind)
    marks = {
        key: str(value)[:LONGEST_TAG] for key, value in {**provenance(), **tags}.items() if value not in ("", None)
    }
    run = api.create_run(store_experiment(api, experiment, address(uri)), run_name=name, tags=marks)
    run_id, now, place = str(run.info.run_id), int(1000 * time.time()), f"model-{secrets.token_hex(4)}"
    with ended(api, run_id, made=True), tempfile.TemporaryDirectory() as scratch:
        api.log_batch(run_id, metrics=[Metric(each, value, now, 0) for each, value in scores.items()])
        shutil.copytree(folder, Path(scratch) / "data" / kind.name)
        api.log_artifacts(run_id, scratch, place)
    make_name(api, name)
    marks |= {HOLDS: kind.name, "registered_by": person()}
    source = f"{run.info.artifact_uri}/{place}"
    found = api.create_model_version(name, source, run_id, tags=marks, await_creation_for=30, description=lead[:1000])
    version = str(found.version)
    if alias:
        move(api, name, {alias: int(version)}, act="registered", why=why)
    return model_version(api.get_model_version(name, version), alias, fetch(api, name, version, kind))
