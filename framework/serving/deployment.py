"""The one Ray Serve application that holds all served models: started, configured, taken down."""

import contextlib
import hashlib
import io
import ipaddress
import json
import logging
import os
import shutil
import socket
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cluster.user_error import UserError
from framework.serving.app import Application
from framework.serving.ingress import fast, plain, spread
from framework.serving.scale import Pace, Scale
from framework.serving.tls import Certificate, trusting
from framework.serving.traffic.conducting import OnRay

APP = "framework"
SECONDS = 180.0  # within which a deployed application has to answer: its replicas start, on a machine that may be busy
CONCURRENT = 1_000  # requests in one replica; more wait in the proxy

Configuration = dict[str, Any]  # Application's, with `replicas`, the `least` of them, `pace`, `port`, `certificate`


class ServingError(UserError):
    """A model that cannot be served, reached or taken down."""


def configuration() -> Configuration | None:
    """What the running application was configured with; None where it does not run.

    Raises ServingError when it runs but does not answer.
    """
    if APP not in _serve().status().applications:
        return None
    try:
        about = ask("about")
    except TimeoutError as error:
        raise ServingError(
            f"the serving application does not answer within {SECONDS:g} s. Look at its logs."
        ) from error
    return dict(about["configuration"])


def start(host: str, port: int, *, certificate: Certificate | None = None) -> str:
    """Starts Ray Serve on this address, or finds it there; returns the folder of its files, empty where it has none.

    HAProxy where it can be kept off the network or is meant to be on it; else Serve's Python proxy.
    certificate: for HTTPS alone; on several nodes its files have to lie on each of them, at the same place.
    Raises ServingError where the port is taken, Ray Serve already runs here and listens elsewhere, or cannot start.
    """
    from ray.exceptions import RayError

    if _started():
        if certificate is not None:
            raise ServingError(
                "Ray Serve already runs on this cluster, and what it speaks cannot be changed now. Put a proxy with "
                "the certificate before it, such as the cluster's ingress; or stop it with `serve shutdown` first."
            )
        return _check_address(host, port)
    check_port(host, port)
    reachable = host in ("127.0.0.1", "0.0.0.0")  # HAProxy asks replicas of its own machine on 127.0.0.1
    http: dict[str, Any] = {"host": host, "port": port}
    if not reachable or (not alone() and (loopback(host) or certificate)):
        settings = plain()
        http |= {"ssl_certfile": certificate.path, "ssl_keyfile": certificate.key} if certificate else {}
    else:
        settings = fast(certificate) if alone() else spread()
    options = {"runtime_env": {"env_vars": settings}}
    try:
        _serve().start(http_options=http, controller_options=options)
    except (RayError, RuntimeError, TimeoutError) as error:
        sentence = str(error).strip().partition("\n")[0]
        raise ServingError(
            f"Ray Serve could not start on {host}:{port} ({sentence}). Is the machine too busy?"
        ) from error
    program = settings.get("RAY_SERVE_HAPROXY_BINARY_PATH")
    return str(Path(program).parent) if program else ""


def alone() -> bool:
    """Whether Ray has one node: then it is this machine, and replicas find the files that are found here."""
    import ray

    return len([node for node in ray.nodes() if node["Alive"]]) == 1


def application(wanted: Configuration, **options: Any) -> Any:
    """The application with this configuration, bound for Ray Serve. options: further ones of its deployment."""
    deployment = _serve().deployment(_serve().ingress()(Application))
    return deployment.options(
        name="Application",
        max_ongoing_requests=CONCURRENT,
        graceful_shutdown_timeout_s=5,
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
        user_config=wanted,
        **options,
    ).bind()


def deploy(wanted: Configuration) -> dict[str, str]:
    """Makes every replica hold these models; the replicas themselves stay. Returns what failed to open: name → why."""
    deployment = application(
        wanted,
        **Scale(wanted.get("least") or wanted["replicas"], wanted["replicas"]).options(_pace(wanted)),
        # No CPU is reserved: a cluster full of training still takes its server. On other nodes models are fetched.
        ray_actor_options={"num_cpus": 0} | ({} if alone() else {"runtime_env": {"env_vars": _registry()}}),
        # `run` draws a new version each time, which restarts the replicas; with the same one they only reconfigure.
        _internal=True,
        version=_code(),
    )
    try:
        _serve().run(deployment, name=APP, route_prefix="/")
    except RuntimeError as error:
        raise ServingError(f"Ray Serve could not start the application: {error}") from error
    return dict(ask("about")["failed"])


def ask(method: str, *arguments: Any) -> dict[str, Any]:
    """What a method of the application answers, in a thread: in a notebook's event loop Serve would refuse to wait."""
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(lambda: getattr(_handle(), method).remote(*arguments).result(timeout_s=SECONDS))
        return dict(asked.result())


def delete(*, wait: bool) -> None:
    """Takes the application down, and who conducts its traffic; Ray Serve itself stays."""
    _serve().delete(APP, _blocking=wait)
    OnRay().end()


def running() -> bool:
    """Whether the application is there."""
    return APP in _serve().status().applications


def single() -> bool:
    """Whether Ray Serve has no other application than ours."""
    return set(_serve().status().applications) <= {APP}


def stop(folder: str) -> None:
    """Ends Ray Serve with its way in and who conducts its traffic, and removes its files."""
    OnRay().end()
    with contextlib.redirect_stdout(_Quiet(sys.stdout)):
        _serve().shutdown()
        time.sleep(0.3)  # until Ray has told of it
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


class _Quiet(io.TextIOBase):
    """Standard output without what Ray prints of every orderly end: that its controller failed and will be retried."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._dropped = False

    def write(self, text: str) -> int:
        self._dropped = "Task ServeController." in text or (self._dropped and text == "\n")
        return len(text) if self._dropped else int(self._stream.write(text))

    def flush(self) -> None:
        self._stream.flush()


def address() -> tuple[str, int]:
    """Where Ray Serve listens."""
    from ray.serve.context import _get_global_client  # there is no public way to ask a running Serve for its address

    options = _get_global_client().http_config
    return options.host, options.port


def url(*, certificate: str | None = None) -> str:
    """The address as a client on this machine writes it. certificate: that the server shows, for HTTPS."""
    host, port = address()
    host = "127.0.0.1" if host == "0.0.0.0" else host
    scheme = "http" if certificate is None else "https"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def wait_for(name: str, *, certificate: str | None = None) -> None:
    """Returns when the model is asked over HTTP like any client would. Raises ServingError when that takes too long."""
    deadline, reason = time.monotonic() + SECONDS, "no answer"
    at, trusted = url(certificate=certificate), None if certificate is None else trusting(certificate)
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{at}/healthz", timeout=5, context=trusted) as answer:
                told = json.load(answer)
                if name in [*told["models"], *told.get("data", ())]:
                    return
        except (OSError, ValueError) as error:
            reason = str(error)
        time.sleep(0.05)
    raise ServingError(f"model {name!r} does not answer at {at} within {SECONDS:g} s ({reason}).")


def check_port(host: str, port: int) -> None:
    """Raises ServingError when this address cannot be listened on."""
    if not 1 <= port <= 65_535:
        raise ServingError(f"port {port} does not exist. Pass one between 1 and 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)
            raise ServingError(f"port {port} on {host} cannot be had: {reason}. Pass another port.") from error


def loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    return ipaddress.ip_address(host).is_loopback


def _started() -> bool:
    from ray.serve.context import _get_global_client

    return _get_global_client(raise_if_no_controller_running=False) is not None


def _check_address(host: str, port: int) -> str:
    found = address()
    if found != (host, port):
        raise ServingError(
            f"Ray Serve already runs on this cluster and listens on {found[0]}:{found[1]}, not {host}:{port}. "
            f"Pass that address, or stop it with `serve shutdown`."
        )
    return ""


def _pace(wanted: Configuration) -> Pace | None:
    return Pace(**wanted["pace"]) if wanted.get("pace") else None


def _registry() -> dict[str, str]:
    """How the registry is reached, for replicas on other nodes."""
    return {name: value for name, value in os.environ.items() if name == "MLFLOW_TRACKING_URI"}


def _code() -> str:
    """A digest of this package's files: replicas of other code have to be replaced."""
    files = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _serve() -> Any:
    """The module ray.serve, silent: it sets its own logger up when it is imported."""
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    return serve


def _handle() -> Any:
    return _serve().get_app_handle(APP)
