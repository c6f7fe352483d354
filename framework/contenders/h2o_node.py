"""One of H2O's JVMs: a Ray actor, whose memory and CPUs are Ray's to give, and a Java process that ends with it."""

import hashlib
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from framework.contenders.h2o_java import jar, java

USER = "h2o"
HEAP_SHARE = 0.75  # of the memory that Ray set aside; the rest is for XGBoost, which lives outside Java's heap
MEGABYTE = 2**20
STOP_SECONDS = 5.0
LAST_LINES = 3
NOISE = ("INFO", "\tat ", "at ")  # lines of H2O's log that tell no reason
# Java is a child of this shell, whose reader holds a pipe from the actor: however the actor ends, the pipe closes, Java
# is killed and its folder goes. Ray may kill the shell with the actor, but not the reader. Java's own end is told by
# the shell's status.
GUARD = """
exec 3<&0
folder=$1; shift
"$@" </dev/null 3<&- & java=$!
{ read -r _ <&3; kill -9 $java; sleep 0.3; rm -rf "$folder"; } >/dev/null 2>&1 & reader=$!
wait $java; status=$?
kill $reader 2>/dev/null
rm -rf "$folder"
exit $status
"""


class Jvm:
    """The actor. `reserve` tells where it will listen, `start` starts Java there, `ended` tells whether it is over."""

    def __init__(self, cloud: str, *, cpus: int, memory: int, conductor: str) -> None:
        """cloud: its name. memory: of the whole process, in bytes. conductor: the Ray node that will speak with it."""
        self.cloud, self.cpus, self.memory, self.conductor = cloud, cpus, memory, conductor
        self.folder: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def reserve(self, alone: bool) -> str:
        """The address of its web server, "ip:port"; H2O's nodes meet at the port after it.

        alone: it is the only one; it then listens on loopback where whoever speaks with it is on the same node.
        Raises JavaMissingError or H2OMissingError when this node lacks either.
        """
        import ray

        self.java, self.jar = java(), jar()
        here = ray.get_runtime_context().get_node_id() == self.conductor
        self.ip = "127.0.0.1" if alone and here else ray.util.get_node_ip_address()
        self.port = _two_free_ports(self.ip)
        return f"{self.ip}:{self.port}"

    def start(self, members: list[str], password: str) -> str:
        """Starts Java. members: the addresses of all nodes. Returns the file that all it says goes into."""
        from ray._private import worker

        logs = Path(worker._global_node.get_logs_dir_path())
        self.log = logs / f"{self.cloud}-{self.port}.log"
        folder = self.folder = Path(tempfile.mkdtemp(prefix=f"{self.cloud}-"))
        (folder / "members").write_text("\n".join(members) + "\n")
        login = folder / "login"
        login.touch(mode=0o600)
        login.write_text(f"{USER}: MD5:{hashlib.md5(password.encode()).hexdigest()}\n")
        machine = {
            "-Xmx": f"{int(self.memory * HEAP_SHARE) // MEGABYTE}m",
            "-XX:+": "ExitOnOutOfMemoryError",
            "-XX:ActiveProcessorCount=": self.cpus,
            "-Djava.awt.headless=": "true",
            "-Djava.io.tmpdir=": folder,
        }
        engine = {
            "-name": self.cloud,
            "-flatfile": folder / "members",
            "-ip": self.ip,
            "-web_ip": self.ip,
            "-port": self.port,
            "-nthreads": self.cpus,
            "-ice_root": folder,
            "-log_dir": folder,
            "-log_level": "WARN",
            "-login_conf": login,
        }
        command = [self.java, *(f"{option}{value}" for option, value in machine.items()), "-jar", self.jar]
        command += [str(part) for option in engine.items() for part in option]
        command += ["-hash_login", "-disable_flow", "-allow_unsupported_java"]
        guarded = ["sh", "-c", GUARD, "h2o", str(folder), *command]
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                guarded, stdin=subprocess.PIPE, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )
        return str(self.log)

    def ended(self) -> str:
        """Why Java runs no more, with its last words; empty while it runs."""
        if self.process is None or self.process.poll() is None:
            return ""
        status = self.process.returncode
        how = f"signal {status - 128}" if status > 128 else f"status {status}"
        return f"ended with {how}; its last words: {_last_words(self.log)}"

    def stop(self) -> None:
        """Ends Java and removes what it wrote, but for its log."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def new_password() -> str:
    return secrets.token_urlsafe(24)


def _two_free_ports(ip: str) -> int:
    """The first of two free ports in a row."""
    while True:
        with ExitStack() as held:
            first, second = (held.enter_context(socket.socket()) for _ in range(2))
            first.bind((ip, 0))
            port = int(first.getsockname()[1])
            with suppress(OSError, OverflowError):
                second.bind((ip, port + 1))
                return port


def _last_words(log: Path) -> str:
    with suppress(OSError):
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        told = [line for line in lines if line and not any(noise in line for noise in NOISE)][-LAST_LINES:]
        return " / ".join(told) or "none"
    return "none"
