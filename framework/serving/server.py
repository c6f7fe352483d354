"""The server of this process, or the one that it joins: found or started, kept up, put back and ended."""

import ipaddress
import os
import secrets
import sys
import time
from collections.abc import Sequence
from typing import Any

from cluster.connect import Session, connect
from framework.monitoring.metrics import counting
from framework.serving import deployment
from framework.serving.access import digest
from framework.serving.deployment import Configuration, ServingError, check_port, loopback
from framework.serving.session import ServingSession, running_session, this_process
from framework.serving.tls import Certificate

_own: ServingSession | None = None  # the server that this process started on a Ray of its own, and has to end

TOKEN = "FRAMEWORK_SERVE_TOKEN"
PARTS = ("models", "many", "data")  # of a configuration, that are asked by their names
PORT = 8000


def server(
    host: str, port: int | None, token: str | None, tokens: Sequence[Any] | None, shown: Certificate | None
) -> Configuration:
    """What the server that runs was configured with; it is started where none runs."""
    if not loopback(host) and not token and not tokens:
        raise ServingError(f"host {host} is reached from the network: set {TOKEN} to a secret that clients must send.")
    if not has_ray():
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


def end() -> None:
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


def is_own() -> bool:
    """Whether this process started the server, which ends with it."""
    return _own is not None


def remember() -> None:
    """Writes down where this process's own server is, for a second command."""
    if _own is not None:
        _own.remember()


def restore(present: Configuration) -> None:
    """Back to the models before a failed one; without any, the server goes again."""
    if any(present.get(key) for key in PARTS):
        deployment.deploy(present)
    else:
        deployment.delete(wait=True)
        end()


def has_ray() -> bool:
    """Whether this process is connected to Ray, without importing it."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def literal(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError as error:
        raise ServingError(
            f"host {host!r} is no address. Pass 127.0.0.1, 0.0.0.0 or an address of this machine."
        ) from error


def join() -> bool:
    """Connects this process to the Ray that already serves on this machine, if one does; says whether.

    For a second command in a second shell. With RAY_ADDRESS set, that cluster is meant instead.
    """
    session = running_session()
    if session is None or has_ray() or os.environ.get("RAY_ADDRESS"):
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
        end()
        ray.shutdown()
