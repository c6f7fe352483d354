"""A client that keeps so many connections busy: requests a second and latencies, measured from its own process.

python -m benchmarks.load URL BODY_FILE CONNECTIONS SECONDS → one line of JSON
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop


class Connection(asyncio.Protocol):
    """One connection: a request, its whole answer, the next request."""

    def __init__(self, request: bytes, latencies: list[float], end: float, closed: asyncio.Semaphore) -> None:
        self._request, self._latencies, self._end, self._closed = request, latencies, end, closed
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 200"):
            print(head.decode(), body.decode(), file=sys.stderr, flush=True)
            os._exit(1)  # an exception in a callback would only be logged
        self._latencies.append(now - self._sent)
        self._received = b""
        if now < self._end:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed.release()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._request)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise ValueError(f"an answer without content-length: {head.decode()}")


async def measure(url: str, body: bytes, *, connections: int, seconds: float) -> dict[str, float]:
    """Latencies in milliseconds."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\ncontent-type: application/json\r\n"
    request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
    latencies: list[float] = []
    closed = asyncio.Semaphore(0)
    began = time.perf_counter()
    end = began + seconds
    loop = asyncio.get_running_loop()
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    for _ in range(connections):
        await loop.create_connection(lambda: Connection(request, latencies, end, closed), host, port)
    for _ in range(connections):
        await closed.acquire()
    took = time.perf_counter() - began
    latencies.sort()
    return {
        "requests": len(latencies),
        "per_second": len(latencies) / took,
        "p50": 1e3 * latencies[len(latencies) // 2],
        "p99": 1e3 * latencies[int(0.99 * len(latencies))],
    }


if __name__ == "__main__":
    url, path, connections, seconds = sys.argv[1:]
    uvloop.install()
    load = measure(url, Path(path).read_bytes(), connections=int(connections), seconds=float(seconds))
    print(json.dumps(asyncio.run(load)))
