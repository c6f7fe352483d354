"""A small HTTP client and a server without Ray, for the tests of the HTTP interface."""

import asyncio
import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn

from framework.serving.app import Application


class Client:
    """Method, path, body → status, content."""

    def __init__(self, host: str, port: int, **headers: str) -> None:
        self.host, self.port, self.headers = host, port, headers

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        status, _, answer = self.raw(method, path, body, **headers)
        return status, json.loads(answer)

    def raw(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in small letters, and the body as it came."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=240)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, {**self.headers, **headers})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def predict(self, name: str, body: Any) -> tuple[int, Any]:
        return self.ask("POST", f"/api/v1/predict/{name}", body)


def sources(**models: Path) -> dict[str, Any]:
    """Model folders as a configuration names them."""
    return {name: {"uri": str(path), "version": None, "folder": str(path)} for name, path in models.items()}


def listen(
    configuration: dict[str, Any], *, host: str = "127.0.0.1", application: Application | None = None
) -> tuple[Client, uvicorn.Server]:
    """The application under uvicorn in a thread, and a client of it; `should_exit` ends the server."""
    application = application or Application()
    asyncio.run(application.reconfigure(configuration))
    listening = socket.create_server((host, 0))
    server = uvicorn.Server(uvicorn.Config(application.http(), lifespan="off", log_level="critical"))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return Client("127.0.0.1", listening.getsockname()[1]), server
