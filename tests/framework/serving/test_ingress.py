"""HAProxy off the network, and gone with the process that started it."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.ports import free_ports
from framework.serving.ingress import fast

CONFIG = """global
    maxconn 10
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend prometheus
    bind :{metrics}
    http-request return status 200
frontend http_frontend
    bind *:{front}
    http-request return status 200
listen stats
  bind *:{statistics}
  stats enable
"""


def test_its_statistics_are_bound_to_loopback_and_it_dies_with_its_parent() -> None:
    settings = fast()
    home = Path(settings["RAY_SERVE_HAPROXY_BINARY_PATH"]).parent
    assert home.stat().st_mode & 0o777 == 0o700
    assert len(f"{home}/{56 * 'n'}/metrics.sock.1234567.tmp") <= 107  # a socket's longest path
    metrics, statistics = int(settings["RAY_SERVE_HAPROXY_METRICS_PORT"]), int(settings["RAY_SERVE_HAPROXY_STATS_PORT"])
    (front,) = free_ports(1)
    config = home / "haproxy.cfg"
    config.write_text(CONFIG.format(metrics=metrics, statistics=statistics, front=front))
    program = [settings["RAY_SERVE_HAPROXY_BINARY_PATH"], "-db", "-f", str(config)]
    code = f"import subprocess, time; subprocess.Popen({program}); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        (proxy,) = _children(parent)
        listening = {c.laddr.port: c.laddr.ip for c in _listening(proxy)}
        assert listening == {metrics: "127.0.0.1", statistics: "127.0.0.1", front: "0.0.0.0"}
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs([proxy], timeout=10)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", front), timeout=1)
    shutil.rmtree(home)


def _children(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """HAProxy, once it listens."""
    for _ in range(200):
        found = [each for each in psutil.Process(parent.pid).children(recursive=True) if each.name() == "haproxy"]
        if found and len(_listening(found[0])) == 3:
            return found
        time.sleep(0.05)
    raise TimeoutError("HAProxy did not start")


def _listening(process: psutil.Process) -> list[Any]:
    return [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
