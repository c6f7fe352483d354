"""Where runs are kept: an MLflow store, and the one thread that writes to it.

The contest never waits for the store, and a store that breaks on the way costs the log, not the result. Only this file
and `registry/` know MLflow.
"""

import atexit
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import queue
import re
import socket
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cluster.user_error import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from framework.contest_run import ContestRun
    from framework.data.split import Split

log = logging.getLogger(__name__)

EXPERIMENT = "contests"
PROBE_SECONDS = 3.0  # how long a server may take to answer at all
PATIENCE_SECONDS = 240.0  # until all is written: a new database's tables take seconds, on a busy machine a minute
BATCH = 1_000  # metrics in one call: the most that an MLflow server takes


class TrackingError(UserError):
    """A tracking store that cannot be reached or used, or a run that is not in it."""


def address(uri: str | None = None) -> str:
    """Where MLflow keeps its runs: `uri`, MLFLOW_TRACKING_URI, or a SQLite file in the working folder."""
    where = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"
    # Without a driver named SQLAlchemy takes psycopg 2; psycopg 3 is what is installed.
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", where)


def client(uri: str | None = None) -> "MlflowClient":
    """A client of a store that exists and answers; a fresh database gets its tables, which takes seconds.

    Raises TrackingError, its password hidden, when the server or database does not answer or refuses.
    """
    where = address(uri)
    _probe(where)
    for name, value in {
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default 7 waits for minutes
    }.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        _knock(where)
        with _alone(where), _tables_at_once(where):  # two processes that make the same tables break each other
            opened = MlflowClient(tracking_uri=where, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI") or where)
            opened.search_experiments(max_results=1)
    except Exception as error:  # the border to MLflow, whose stores raise their drivers' own classes
        if getattr(error, "error_code", "") == "UNAUTHENTICATED":
            raise TrackingError(
                f"the MLflow server at {shown(where)} does not know this user and password. "
                f"Check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            ) from error
        raise TrackingError(
            f"the MLflow store at {shown(where)} cannot be used ({_first_line(error)}). Check MLFLOW_TRACKING_URI."
        ) from error
    return opened


def track(uri: str | None = None, *, experiment: str = EXPERIMENT) -> "Tracker":
    """A tracker, its store being prepared in the background.

    uri: see `address`. Raises TrackingError at once when a server does not answer; `Tracker.ready` says the rest.
    """
    where = address(uri)
    _probe(where)
    return Tracker(where, experiment)


def config_of(run_id: str, *, uri: str | None = None) -> dict[str, Any]:
    """The resolved configuration that a tracked contest was started with. Raises TrackingError for an unknown run."""
    opened = client(uri)
    try:
        with tempfile.TemporaryDirectory() as folder:
            text = Path(opened.download_artifacts(run_id, "config.json", folder)).read_text(encoding="utf-8")
    except Exception as error:  # the border to MLflow
        raise TrackingError(
            f"run {run_id!r} has no configuration in {shown(address(uri))} ({_first_line(error)}). "
            f"Pass the id of a contest's run."
        ) from error
    return dict(json.loads(text))


class Tracker:
    """A store and the thread that writes to it.

    `contest`, `do`, `drain` and `close` are called by the contest and return at once (the last two wait); what is below
    them runs in jobs on the writing thread.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri = uri
        self.trouble: TrackingError | None = None  # the first thing that went wrong; what follows is not logged
        self._told = False
        self._experiment = experiment
        self._jobs: queue.SimpleQueue[Callable[[], object] | threading.Event] = queue.SimpleQueue()
        self._runs: list[ContestRun] = []
        self.do(self._prepare)
        # MLflow imports it on its thread; scikit-learn, asking for it on another, would find it half there.
        with contextlib.suppress(ImportError):
            import_module("polars")
        threading.Thread(target=self._work, name="mlflow", daemon=True).start()
        atexit.register(self.close)

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ready(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits until the store can be written to. Raises TrackingError when it cannot."""
        if not self.drain(seconds):
            raise TrackingError(f"the MLflow store at {shown(self.uri)} did not answer within {seconds:.0f} s.")
        if self.trouble:
            self._told = True
            raise self.trouble

    def contest(self, split: "Split", *, config: Mapping[str, Any], name: str = "") -> "ContestRun":
        """An observer for `compete` that logs this contest.

        config: what it was started with, plain data. name: of the parent run; the problem's by default.
        """
        from framework.contest_run import ContestRun

        run = ContestRun(self, split, dict(config), name or split.problem.name)
        self._runs.append(run)
        return run

    def do(self, job: Callable[[], object]) -> None:
        """Hands a job to the writing thread."""
        self._jobs.put(job)

    def drain(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Waits until all that was handed over is written; whether that was in time."""
        written = threading.Event()
        self._jobs.put(written)
        return written.wait(seconds)

    def close(self, seconds: float = 30.0) -> None:
        """Ends what is still running as killed, waits until all is written, and warns of what could not be."""
        atexit.unregister(self.close)
        for run in self._runs:
            run.end("KILLED")
        self._runs.clear()
        if not self.drain(seconds):
            log.warning("MLflow at %s was too slow: not everything is logged.", shown(self.uri))
        elif self.trouble and not self._told:
            log.warning("%s Not everything is logged there.", self.trouble)

    def start(self, name: str, *, parent: str | None = None, began: float, tags: Mapping[str, str]) -> str:
        """A new run; its id. began: in seconds of time.time()."""
        family = {"mlflow.parentRunId": parent} if parent else {}
        marks = {key: _text(value) for key, value in {**tags, **family}.items()}
        run = self._client.create_run(self._experiment_id, int(1000 * began), marks, name)
        return str(run.info.run_id)

    def facts(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Adds to a run what is said once."""
        from mlflow.entities import Param, RunTag

        asked = [Param(key, _text(value)) for key, value in (params or {}).items()]
        marks = [RunTag(key, _text(value)) for key, value in (tags or {}).items() if value not in ("", None)]
        self._client.log_batch(run_id, params=asked, tags=marks, synchronous=True)
        now = time.time()
        self.steps(run_id, [(now, 0, dict(metrics or {}))])

    def steps(self, run_id: str, steps: Iterable[tuple[float, int, Mapping[str, float]]]) -> None:
        """Adds metrics over time: (seconds of time.time(), step, name → value), a thousand in a call."""
        from mlflow.entities import Metric

        points = [
            Metric(re.sub(r"[^\w\-. :/]", "_", name), float(value), int(1000 * moment), step)
            for moment, step, metrics in steps
            for name, value in metrics.items()
        ]
        for start in range(0, len(points), BATCH):
            self._client.log_batch(run_id, metrics=points[start : start + BATCH], synchronous=True)

    def dataset(self, run_id: str, *, name: str, fingerprint: str, source: str, profile: Mapping[str, Any]) -> None:
        """The data that a run learned from, as an MLflow dataset input. profile: plain data."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        digest = fingerprint[:36]  # MLflow's column is no wider
        where, facts = json.dumps({"uri": source}), json.dumps({"fingerprint": fingerprint, **profile})
        data = Dataset(name, digest, source_type="code", source=where, schema=None, profile=facts)
        self._client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])

    def files(self, run_id: str, folder: Path) -> None:
        """Adds all files of a folder to a run."""
        self._client.log_artifacts(run_id, str(folder))

    def stop(self, run_id: str, status: str, ended: float) -> None:
        """Ends a run as FINISHED, FAILED or KILLED. ended: in seconds of time.time()."""
        self._client.set_terminated(run_id, status, int(1000 * ended))

    def _prepare(self) -> None:
        self._client = client(self.uri)
        self._experiment_id = store_experiment(self._client, self._experiment, self.uri)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if isinstance(job, threading.Event):
                job.set()
            elif self.trouble is None:
                try:
                    job()
                except TrackingError as error:
                    self.trouble = error
                except Exception as error:  # the border to MLflow: a contest outlives its tracking
                    self.trouble = TrackingError(f"MLflow at {shown(self.uri)} failed ({_first_line(error)}).")
                    log.debug("tracking failed", exc_info=True)


def shown(uri: str) -> str:
    """An address as it may be printed: its password hidden."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", uri)


def _probe(uri: str) -> None:
    """Raises TrackingError when nothing listens at a server's or database's address: MLflow itself would wait long."""
    parts = urlsplit(uri)
    ports = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}
    scheme = parts.scheme.split("+")[0]
    if scheme not in ports or not parts.hostname:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or ports[scheme]), timeout=PROBE_SECONDS).close()
    except (OSError, ValueError) as error:
        raise TrackingError(
            f"nothing answers at {shown(uri)} ({_first_line(error)}). Start the tracking server, or mend or unset "
            f"MLFLOW_TRACKING_URI: without it a SQLite file in the working folder is used."
        ) from error


def _knock(uri: str) -> None:
    """Opens a database once: MLflow tries ten times, over 100 s, whatever the reason. Raises the driver's error."""
    if uri.startswith(("http:", "https:")) or "://" not in uri:
        return
    import sqlalchemy

    if uri.startswith("sqlite:") and (path := sqlalchemy.make_url(uri).database):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        sqlalchemy.inspect(connection).get_table_names()


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Holds all other processes of this user off a database on this machine."""
    digest = hashlib.sha256(uri.encode()).hexdigest()[:16]
    with (Path(tempfile.gettempdir()) / f"mlflow-{os.getuid()}-{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _tables_at_once(uri: str) -> Iterator[None]:
    """Has an empty SQLite file get its tables with one sync of the disk instead of some eight hundred, which take
    seconds: MLflow makes them by all migrations it ever had. A file that has tables is opened as ever.
    """
    import sqlalchemy

    path = sqlalchemy.make_url(uri).database if uri.startswith("sqlite:") else None
    if not path or not Path(path).is_file() or Path(path).stat().st_size:
        yield
        return
    here, opened = threading.get_ident(), []

    def hurry(connection: Any, _: Any) -> None:
        if threading.get_ident() == here:  # other threads' connections, to whatever they are, stay as they are
            connection.execute("PRAGMA synchronous=OFF")
            opened.append(connection)

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", hurry)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", hurry)
        for connection in opened:  # they stay in the store's pool
            with contextlib.suppress(sqlite3.ProgrammingError):  # or are closed
                connection.execute("PRAGMA synchronous=FULL")
        with Path(path).open("rb") as file:
            os.fsync(file.fileno())


def store_experiment(api: "MlflowClient", name: str, uri: str) -> str:
    """The experiment's id; it is made, or brought back from the bin, where that is needed."""
    from mlflow.exceptions import MlflowException

    found = api.get_experiment_by_name(name)
    if found is None:
        # A server knows where its artifacts go; a bare database would leave them in whatever folder comes next.
        place = None if uri.startswith("http") else (Path.cwd() / "mlartifacts").as_uri()
        try:
            return str(api.create_experiment(name, place))
        except MlflowException:
            found = api.get_experiment_by_name(name)  # another process was quicker
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        api.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return shown(lines[0][:200]) if lines else type(error).__name__


def _text(value: Any) -> str:
    """A parameter or tag, no longer than MLflow takes."""
    return str(value)[:5000]
