"""register(): a winner becomes a version, with all that is needed to trust, compare, make again and follow it."""

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from framework.plain import write_json
from framework.predictor import Predictor
from framework.registry.aliases import move
from framework.registry.card import card
from framework.registry.evidence import Evidence, gather
from framework.registry.exclusive import person
from framework.registry.findings import importance
from framework.registry.kind import PREDICTOR, check_kind
from framework.registry.lookup import KEPT, aliases, fetch, model_version
from framework.registry.permission import permitted
from framework.registry.pyfunc import write_pyfunc
from framework.registry.semantic import semantic_version
from framework.registry.version import CHAMPION, SEMANTIC, ModelVersion, RegistryError, check_name
from framework.tracking import address, client, store_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from framework.explanation import Explanation
    from framework.leaderboard import Leaderboard, Winner

EXPERIMENT = "registered models"  # of models that come from no tracked run
IMPORTANCE = "importance.json"  # of its columns, in its folder, where it was registered with an explanation
LONGEST_TAG = 500  # letters of a tag
SEEN = "seen.npz"  # a sketch of the rows that it has learned from, in its folder


class Won(Protocol):
    """What `register` takes besides a board and a folder: a Winner, or anything that holds a predictor."""

    @property
    def predictor(self) -> Predictor: ...


@permitted()
def register(
    winner: "Leaderboard | Won | Predictor | Path | str",
    name: str | None = None,
    *,
    alias: str = CHAMPION,
    run_id: str | None = None,
    tags: dict[str, str] | None = None,
    uri: str | None = None,
    explanation: "Explanation | None" = None,
    why: str = "",
) -> ModelVersion:
    """Puts a winner, or a model folder, into the registry under `name` (its problem's by default).

    winner: a leaderboard is best: its winner comes with what the model card tells of the contest, and with a sketch of
    the rows it has seen, by which `promote` knows fresh ones.
    alias: moves to the new version; "" for none. run_id: the contest's run, which then holds the model's files; the
    board's by default; a run of its own is made without one. uri: of the store; see `tracking.address`.
    explanation: for the card. why: for the history.
    The model folder then holds `card.html`, `card.md`, `card.json`, `environment.json` and the sketch beside the model,
    and `importance.json` where there is an explanation.
    Raises RegistryError for a name that MLflow does not take or that stands for another kind, TrackingError when the
    store cannot be reached, ModelFolderError for a folder that is no model, LeaderboardError for a board without a
    winner.
    """
    predictor, board, won = _parts(winner)
    called = check_name(name or predictor.name)
    api = client(uri)
    check_kind(api, called, PREDICTOR)
    run_id = run_id or (board.run_id if board is not None else None)
    given = api.get_run(run_id) if run_id else None
    known = gather(predictor, board=board, winner=won, explanation=explanation, config=_config(given))
    given_tags = {key: str(value)[:LONGEST_TAG] for key, value in (tags or {}).items()}
    marks = {**known.tags(), "registered_by": person(), **given_tags}
    semantic, changed = _number(api, called, marks)
    run = given or _run(api, called, known, address(uri))
    run_id, place = str(run.info.run_id), _place(api, str(run.info.run_id))
    told = card(known, name=called, semantic=semantic, changed=changed, run_id=run_id)
    with ended(api, run_id, made=given is None), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / KEPT
        if isinstance(winner, Path | str):
            shutil.copytree(winner, folder)
        else:
            predictor.save(folder)
        told.write(folder, "card")
        measure, ranked = importance(known.explanation)
        if ranked:
            write_json(folder / IMPORTANCE, {"measure": measure, "columns": ranked})
        write_json(folder / "environment.json", {**known.environment, "packages": _packages()})
        if known.seen is not None:
            known.seen.save(folder / SEEN)
        write_pyfunc(predictor, folder, Path(scratch) / "model")
        api.log_artifacts(run_id, str(Path(scratch) / "model"), place)
    make_name(api, called)
    marks |= {SEMANTIC: semantic, "semantic_reason": changed[:2000]}
    source, lead = f"{run.info.artifact_uri}/{place}", told.lead[:1000]
    found = api.create_model_version(called, source, run_id, tags=marks, await_creation_for=30, description=lead)
    version = str(found.version)
    if alias:
        move(api, called, {alias: int(version)}, act="registered", why=why)
    return model_version(api.get_model_version(called, version), alias, fetch(api, called, version))


def _parts(winner: Any) -> "tuple[Predictor, Leaderboard | None, Winner | None]":
    """The predictor, and the board and the winner that it comes from where they are at hand."""
    from framework.leaderboard import Leaderboard, Winner

    if isinstance(winner, Path | str):
        return Predictor.open(winner), None, None
    if isinstance(winner, Leaderboard):
        return winner.winner.predictor, winner, winner.winner
    if isinstance(winner, Predictor):
        return winner, None, None
    return winner.predictor, None, winner if isinstance(winner, Winner) else None


def _number(api: "MlflowClient", called: str, marks: dict[str, str]) -> tuple[str, str]:
    """The semantic version of what has these tags, and why it has it."""
    before = {int(each.version): dict(each.tags) for each in api.search_model_versions(f"name='{called}'")}
    champion = before.get(aliases(api, called).get(CHAMPION, 0)) if before else None
    return semantic_version(marks, champion, [each[SEMANTIC] for each in before.values() if SEMANTIC in each])


@contextmanager
def ended(api: "MlflowClient", run_id: str, *, made: bool) -> Iterator[None]:
    """Ends a run that was made for the model, as FAILED where its files could not be kept."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    finally:
        if made:
            api.set_terminated(run_id, status)


def _run(api: "MlflowClient", called: str, known: Evidence, where: str) -> Any:
    """A run of its own for a model that comes from no tracked contest, with its data and scores."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric

    run = api.create_run(store_experiment(api, EXPERIMENT, where), run_name=called, tags=known.environment)
    run_id, now = run.info.run_id, int(1000 * time.time())
    api.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in known.scores.items()])
    if fingerprint := str(known.predictor.facts.get("fingerprint", "")):
        source, facts = json.dumps({"uri": known.source}), json.dumps({"fingerprint": fingerprint, "rows": known.data})
        digest = fingerprint[:36]  # MLflow's column is no wider
        data = Dataset(called, digest, source_type="code", source=source, schema=None, profile=facts)
        api.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    return run


def _config(run: Any) -> dict[str, Any]:
    """What the run's recipe was started with, as `ContestRun` logs it; empty for any other run."""
    given = {} if run is None else run.data.params
    return {key.removeprefix("config."): value for key, value in given.items() if key.startswith("config.")}


def _place(api: "MlflowClient", run_id: str) -> str:
    """A folder of the run that is free: a winner may be registered twice."""
    return f"model-{secrets.token_hex(4)}" if api.list_artifacts(run_id, "model") else "model"


def _packages() -> list[str]:
    """All that is installed here, as requirements."""
    return sorted({f"{each.name}=={each.version}" for each in metadata.distributions() if each.name})


def make_name(api: "MlflowClient", name: str) -> None:
    """Makes a name in the registry, where it is not there yet. Raises RegistryError for one that MLflow refuses."""
    from mlflow.exceptions import MlflowException

    try:
        api.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise RegistryError(f"MLflow does not take {name!r} as a model's name ({error.message}).") from error
