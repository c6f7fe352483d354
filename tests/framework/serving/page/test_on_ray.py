"""The page behind a real Ray Serve with HAProxy: whoever signs in at one replica is known at the other."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster.connect import Session
from cluster.ports import free_ports
from framework.serving.endpoint import Endpoint, serve
from framework.serving.server import TOKEN
from framework.serving.token_file import FILE
from tests.framework.serving.http_client import Client
from tests.framework.serving.page.visitor import Visitor


@pytest.fixture
def endpoint(birds: Path, ray_session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """The birds' model on two replicas, for who bears a token."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in (TOKEN, FILE):
        monkeypatch.delenv(name, raising=False)
    served = serve(birds, name="birds", port=free_ports(1)[0], replicas=2, token="a secret of the test")
    yield served
    served.stop()


def test_a_session_is_good_at_every_replica(endpoint: Endpoint) -> None:
    address = urlsplit(endpoint.url)
    client = Client(str(address.hostname), int(address.port or 0))
    visitor = Visitor(client)
    assert visitor.get("/models/birds")[0] == 303
    assert visitor.get("/assets/page.css")[0] == 200
    visitor.sign_in("a secret of the test")
    met = [visitor.get("/models/birds") for _ in range(20)]
    assert {status for status, _, _ in met} == {200}
    assert all('id="card"' in body for _, _, body in met)
    assert {visitor.post("/models/birds", **{"x-fragment": "1"})[0] for _ in range(10)} == {200}
    assert {visitor.get("/models/birds/traffic")[0] for _ in range(4)} == {200}
    status, _, told = visitor.get("/jobs")
    assert status == 200
    assert "No folder is open to requests" in told
