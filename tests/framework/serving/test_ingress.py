"""HAProxy off the network, gone with the process that started it, and asking again where a replica has died."""

import contextlib
import http.client
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
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
    timeout connect 60s
    timeout client 240s
    timeout server 240s
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
    code = f"import subprocess, time; subprocess.Popen({program}); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    try:
        (proxy,) = _children(parent)
        listening = {c.laddr.port: c.laddr.ip for c in _listening(proxy)}
        assert listening == {metrics: "127.0.0.1", statistics: "127.0.0.1", front: "0.0.0.0"}
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs([proxy], timeout=120)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", front), timeout=60)
    shutil.rmtree(home)


STARTING = """global
    maxconn 10
defaults
    mode http
    timeout connect 60s
    timeout client 240s
    timeout server 240s
frontend http_frontend
    bind 127.0.0.1:{front}
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path \\'%[path]\\' not found."
"""


def test_before_it_knows_of_a_replica_it_says_try_again_and_not_that_nothing_is_there() -> None:
    settings = fast()
    home = Path(settings["RAY_SERVE_HAPROXY_BINARY_PATH"]).parent
    (front,) = free_ports(1)
    config = home / "haproxy.cfg"
    config.write_text(STARTING.format(front=front))
    program = [settings["RAY_SERVE_HAPROXY_BINARY_PATH"], "-db", "-f", str(config)]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as proxy:
        try:
            _wait_for(front)
            connection = http.client.HTTPConnection("127.0.0.1", front, timeout=240)
            connection.request("POST", "/api/v1/predict/cars", b"{}")
            answer = connection.getresponse()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert b"Try again" in answer.read()
            connection.close()
        finally:
            proxy.kill()
    shutil.rmtree(home)


BACKEND = """global
    maxconn 10
defaults
    mode http
    timeout connect 60s
    timeout client 240s
    timeout server 240s
    option redispatch 1
    retry-on {retry_on}
    balance first
frontend http_frontend
    bind 127.0.0.1:{front}
    default_backend replicas
backend replicas
    server dying 127.0.0.1:{dying}
    server living 127.0.0.1:{living}
"""


def test_a_question_is_asked_again_where_its_replica_dies_and_nothing_else_is_sent_twice() -> None:
    settings = fast()
    home = Path(settings["RAY_SERVE_HAPROXY_BINARY_PATH"]).parent
    (front,) = free_ports(1)
    with _server(b"") as dying, _server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") as living:
        config = home / "haproxy.cfg"
        ports = {"front": front, "dying": dying, "living": living}
        config.write_text(BACKEND.format(retry_on=settings["RAY_SERVE_HAPROXY_RETRY_ON"], **ports))
        program = [settings["RAY_SERVE_HAPROXY_BINARY_PATH"], "-db", "-f", str(config)]
        with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as proxy:
            try:
                _wait_for(front)
                assert _asked(front, "POST", "/api/v1/predict/cars") == 200
                assert _asked(front, "POST", "/v2/models/cars/infer") == 200
                assert _asked(front, "GET", "/api/v1/models") == 200
                assert _asked(front, "POST", "/api/v1/models/train") == 502
                assert _asked(front, "POST", "/api/v1/outcomes") == 502
                assert _asked(front, "DELETE", "/api/v1/jobs/1") == 502
            finally:
                proxy.kill()
    shutil.rmtree(home)


@contextlib.contextmanager
def _server(answer: bytes) -> Iterator[int]:
    """A server that reads a request, sends this, and hangs up; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(ConnectionError):
                        _read(connection)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listening.getsockname()[1])
        listening.shutdown(socket.SHUT_RDWR)


def _read(connection: socket.socket) -> None:
    """A whole request: a connection that is closed on unread bytes is reset, and its answer may be lost with it."""
    with connection.makefile("rb") as stream:
        stream.readline()
        stream.read(int(http.client.parse_headers(stream).get("content-length", 0)))


def _asked(port: int, method: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
    try:
        connection.request(method, path, b"{}" if method == "POST" else None)
        return connection.getresponse().status
    finally:
        connection.close()


def _wait_for(port: int) -> None:
    for _ in range(2_400):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60):
            return
        time.sleep(0.05)
    raise TimeoutError("HAProxy did not start")


def _children(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """HAProxy, once it listens."""
    for _ in range(2_400):
        found = [each for each in psutil.Process(parent.pid).children(recursive=True) if each.name() == "haproxy"]
        if found and len(_listening(found[0])) == 3:
            return found
        time.sleep(0.05)
    raise TimeoutError("HAProxy did not start")


def _listening(process: psutil.Process) -> list[Any]:
    return [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
