"""A client that keeps so many connections busy: requests a second, latencies and failures, from its own process.

python -m benchmarks.http_load URL BODY_FILE CONNECTIONS SECONDS [--rate N] → one line of JSON
--rate: so many requests a second over all connections, however long answers take to come.
"""

import argparse
import asyncio
import collections
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

LATE = 30.0  # seconds that an answer is waited for after the end


class Connection(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""
        self._sent = 0.0
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._load.answered(head[9:12].decode(), time.perf_counter() - self._sent)
        self._received, self._sent = b"", 0.0
        if b"connection: close" in head.lower():
            self._transport.close()
        else:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if self._sent:
            self._load.answered("reset", 0.0)
        self.closed.set_result(None)

    def _next(self) -> None:
        wait = self._load.turn()
        if wait is None:
            self._transport.close()
        elif wait <= 0:
            self._send()
        else:
            asyncio.get_running_loop().call_later(wait, self._send)

    def _send(self) -> None:
        if self._transport.is_closing():
            return
        self._sent = time.perf_counter()
        self._transport.write(self._load.request)


class Load:
    """All connections' requests. statuses: how each ended: 200, another status, "reset" or "refused".

    silence: the longest time, in seconds, from one good answer to the next, whoever got it.
    """

    def __init__(self, url: str, body: bytes, *, seconds: float, rate: float | None) -> None:
        parts = urlsplit(url)
        head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
        self.request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.latencies: list[float] = []
        self.statuses: collections.Counter[str] = collections.Counter()
        self.began = time.perf_counter()
        self.end = self.began + seconds
        self._rate, self._due = rate, self.began
        self._last, self.silence = self.began, 0.0

    def turn(self) -> float | None:
        """Seconds until the next request is due; None: there is none more."""
        now = time.perf_counter()
        if self._rate is None:
            return 0.0 if now < self.end else None
        self._due += 1 / self._rate
        return self._due - now if self._due < self.end else None

    def answered(self, status: str, seconds: float) -> None:
        self.statuses[status] += 1
        if status == "200":
            self.latencies.append(seconds)
            now = time.perf_counter()
            self.silence, self._last = max(self.silence, now - self._last), now

    async def keep_one(self) -> None:
        """One connection after the other, until the end."""
        loop = asyncio.get_running_loop()
        while time.perf_counter() < self.end:
            try:
                _, connection = await loop.create_connection(lambda: Connection(self), self.host, self.port)
            except OSError:
                self.statuses["refused"] += 1
                await asyncio.sleep(0.05)
                continue
            await connection.closed

    async def run(self, connections: int) -> dict[str, Any]:
        """Latencies in milliseconds."""
        keeping = [asyncio.create_task(self.keep_one()) for _ in range(connections)]
        _, late = await asyncio.wait(keeping, timeout=self.end - time.perf_counter() + LATE)
        self.statuses["late"] += len(late)
        took, found = time.perf_counter() - self.began, sorted(self.latencies)
        told: dict[str, Any] = {"requests": len(found), "per_second": len(found) / took, "silence": self.silence}
        told |= {"failed": {status: count for status, count in self.statuses.items() if status != "200" and count}}
        if found:
            quantiles = {"p50": 0.5, "p99": 0.99}
            told |= {name: 1e3 * found[int(share * len(found))] for name, share in quantiles.items()}
        return told


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise ValueError(f"an answer without content-length: {head.decode()}")


async def measure(asked: argparse.Namespace) -> dict[str, Any]:
    load = Load(asked.url, asked.body.read_bytes(), seconds=asked.seconds, rate=asked.rate)
    return await load.run(asked.connections)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("body", type=Path)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--rate", type=float)
    uvloop.install()
    print(json.dumps(asyncio.run(measure(parser.parse_args()))), flush=True)
