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

APP = "framework"
SECONDS = 60.0  # within which a deployed application has to answer
CONCURRENT = 1_000  # requests in one replica; more wait in the proxy

Configuration = dict[str, Any]  # Application's, with `replicas` and `port`


class ServingError(UserError):
    """A model that cannot be served, reached or taken down."""


def configuration() -> Configuration | None:
    """What the running application was configured with; None where it does not run.

    Raises ServingError when it runs but does not answer.
    """
    if APP not in _serve().status().applications:
        return None
    try:
        about = _about()
    except TimeoutError as error:
        raise ServingError(
            f"the serving application does not answer within {SECONDS:g} s. Look at its logs."
        ) from error
    return dict(about["configuration"])


def start(host: str, port: int) -> str:
    """Starts Ray Serve on this address, or finds it there; returns the folder of its files, empty where it has none.

    HAProxy where it can be kept off the network or is meant to be on it; else Serve's Python proxy.
    Raises ServingError where the port is taken, Ray Serve already runs here and listens elsewhere, or cannot start.
    """
    from ray.exceptions import RayError

    if _started():
        return _check_address(host, port)
    check_port(host, port)
    reachable = host in ("127.0.0.1", "0.0.0.0")  # HAProxy asks replicas of its own machine on 127.0.0.1
    settings = plain() if not reachable or (loopback(host) and not alone()) else fast() if alone() else spread()
    options = {"runtime_env": {"env_vars": settings}}
    try:
        _serve().start(http_options={"host": host, "port": port}, controller_options=options)
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
        num_replicas=wanted["replicas"],
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
    return dict(_about()["failed"])


def delete(*, wait: bool) -> None:
    """Takes the application down; Ray Serve itself stays."""
    _serve().delete(APP, _blocking=wait)


def running() -> bool:
    """Whether the application is there."""
    return APP in _serve().status().applications


def stop(folder: str) -> None:
    """Ends Ray Serve with its way in, and removes its files."""
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


def url() -> str:
    """The address as a client on this machine writes it."""
    host, port = address()
    host = "127.0.0.1" if host == "0.0.0.0" else host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def wait_for(name: str) -> None:
    """Returns when the model is asked over HTTP like any client would. Raises ServingError when that takes too long."""
    deadline, reason = time.monotonic() + SECONDS, "no answer"
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url()}/healthz", timeout=5) as answer:
                if name in json.load(answer)["models"]:
                    return
        except (OSError, ValueError) as error:
            reason = str(error)
        time.sleep(0.05)
    raise ServingError(f"model {name!r} does not answer at {url()} within {SECONDS:g} s ({reason}).")


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


def _about() -> dict[str, Any]:
    """What the application says of itself, asked in a thread: in a notebook's event loop Serve would refuse to wait."""
    with ThreadPoolExecutor(1) as thread:
        return dict(thread.submit(lambda: _handle().about.remote().result(timeout_s=SECONDS)).result())
