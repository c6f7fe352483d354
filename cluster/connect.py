"""One Ray session, wherever this process finds itself: a laptop, a running cluster, a submitted job."""

import logging
import os
import signal
import socket
import stat
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.user_error import UserError

# Ray Train takes one report a poll, 2 s by default: a boosting round would cost two seconds.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
# The uv hook would build a project environment for every worker.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
# A worker that died is told by whoever waits for it; Ray would print it as well, over the leaderboard.
os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "A worker died or was killed|Task was killed due to the node")


class ConnectError(UserError):
    """No Ray session could be had."""


@dataclass(frozen=True)
class Session:
    """A connection to Ray and what was found there.

    where: "laptop" (a Ray of our own, gone with this process), "cluster" or "job".
    resources: Ray's totals, such as {"CPU": 2.0}.
    """

    where: str
    address: str
    resources: dict[str, float]
    seconds: float

    @property
    def cpus(self) -> float:
        return self.resources.get("CPU", 0.0)

    @property
    def gpus(self) -> float:
        return self.resources.get("GPU", 0.0)

    def __str__(self) -> str:
        gpus = f", {self.gpus:g} GPU" if self.gpus else ""
        return f"Ray on a {self.where}: {self.cpus:g} CPU{gpus} (ready in {self.seconds:.1f} s)"

    def close(self) -> None:
        """Leaves Ray; a Ray of our own stops with all its processes."""
        import ray

        ray.shutdown()


def connect(*, cpus: int | None = None) -> Session:
    """The Ray session of this process: the one it has, the cluster of RAY_ADDRESS, or a local one of its own.

    cpus: of a local session; all of the machine's by default.
    Raises ConnectError when the cluster at RAY_ADDRESS does not answer or does not take our token.
    """
    address = os.environ.get("RAY_ADDRESS")
    if address and address != "local" and _has_token():
        # Ray reads this when it is imported; a cluster started with tokens refuses clients that do not send theirs.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    started = time.monotonic()
    if not ray.is_initialized():
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        ours = signal.getsignal(signal.SIGTERM)
        if address and address != "local":
            _join(address, quiet)
        else:
            _start(cpus, quiet)
        if threading.current_thread() is threading.main_thread() and ours is not None:
            signal.signal(signal.SIGTERM, ours)  # Ray's own handler aborts with a stack trace
    found = {key: float(value) for key, value in ray.cluster_resources().items()}
    where = "laptop" if not address or address == "local" else "job" if _submitted() else "cluster"
    return Session(where, ray.get_runtime_context().gcs_address, found, time.monotonic() - started)


def _join(address: str, quiet: dict[str, Any]) -> None:
    import ray

    _probe(address)
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        raise ConnectError(
            f"the Ray cluster at RAY_ADDRESS={address} does not let us in ({str(error).splitlines()[0]}). Check that "
            f"it is Ray 2.60 and that this machine has its token (~/.ray/auth_token, or RAY_AUTH_TOKEN)."
        ) from error


def _has_token() -> bool:
    known = (os.environ.get("RAY_AUTH_TOKEN"), os.environ.get("RAY_AUTH_TOKEN_PATH"))
    return any(known) or (Path.home() / ".ray" / "auth_token").exists()


def _probe(address: str) -> None:
    """Raises ConnectError when nothing listens: Ray itself would try for two minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # such as "auto": Ray knows where to look
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
    except OSError as error:
        raise ConnectError(
            f"no Ray cluster answers at RAY_ADDRESS={address} ({error.strerror or error}). Start it, or unset "
            f"RAY_ADDRESS to run on this machine alone."
        ) from error


def _start(cpus: int | None, quiet: dict[str, Any]) -> None:
    import ray

    try:
        # "local": a bare init would join any other cluster that happens to run on this machine.
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, _temp_dir=_home(), **quiet)
    except (ConnectionError, RuntimeError, OSError) as error:
        raise ConnectError(
            f"Ray did not start on this machine ({str(error).splitlines()[0]}). "
            f"Its logs are in {_home()}/session_latest."
        ) from error
    token = Path.home() / ".ray" / "auth_token"
    if token.exists() and token.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        token.chmod(0o600)  # Ray writes it readable for everybody under the usual umask


def _home() -> str:
    """Where a local Ray keeps its session; short, since socket paths may have 107 bytes."""
    return os.environ.get("RAY_TMPDIR") or str(Path(tempfile.gettempdir()) / f"ray-{os.getuid()}")


def _submitted() -> bool:
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
