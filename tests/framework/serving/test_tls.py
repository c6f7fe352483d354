"""HTTPS: what can be shown, and a real server that shows it and speaks nothing else."""

import datetime
import http.client
import ipaddress
import json
import shlex
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.connect import Session
from cluster.ports import free_ports
from framework.serving import deployment
from framework.serving.deployment import ServingError
from framework.serving.endpoint import Endpoint, serve, unserve
from framework.serving.server import TOKEN
from framework.serving.tls import CertificateError, certificate_of, trusting


def certificate(folder: Path, name: str, *, password: bytes | None = None) -> tuple[Path, Path]:
    """A fresh certificate of 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(called, called, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / f"{name}.pem").write_bytes(signed.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, form, encryption))
    return folder / f"{name}.pem", folder / f"{name}.key"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("tls"), "models")


@pytest.fixture(scope="module")
def endpoint(
    cars: Path, shown: tuple[Path, Path], ray_session: Session, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv(TOKEN, raising=False)
        yield serve(cars, name="cars", port=free_ports(1)[0], certificate=shown[0], key=shown[1])
        for name in (deployment.configuration() or {"models": {}})["models"]:
            unserve(name)


def test_what_cannot_be_shown_gets_a_sentence(tmp_path: Path) -> None:
    first, second = certificate(tmp_path, "first"), certificate(tmp_path, "second")
    locked = certificate(tmp_path, "locked", password=b"secret")
    assert certificate_of(None, None) is None
    assert certificate_of(*first) is not None
    for pem, key, said in (
        (first[0], None, "Pass both"),
        (None, first[1], "Pass both"),
        (first[0], second[1], "key values mismatch"),
        (first[0], tmp_path / "none.key", "no such file"),
        (first[1], first[0], "cannot be used"),
        (*locked, "asks for a password"),
    ):
        with pytest.raises(CertificateError, match=said):
            certificate_of(pem, key)


def test_on_a_cluster_https_goes_with_its_last_model_so_that_the_next_may_show_another_certificate(
    cars: Path, ray_session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setenv("RAY_ADDRESS", ray_session.address)
    pem, key = certificate(tmp_path, "first")
    endpoint = serve(cars, name="cars", port=free_ports(1)[0], certificate=pem, key=key)
    assert endpoint.predict(endpoint.example)["model"] == "cars"
    folder = Path(str((deployment.configuration() or {})["folder"]))
    assert folder.is_dir()
    unserve("cars")
    assert deployment.configuration() is None
    assert not folder.exists()
    with pytest.raises(ServingError, match="nothing answers"):
        endpoint.predict(endpoint.example)


def test_a_server_with_a_certificate_speaks_https_and_nothing_else(
    endpoint: Endpoint, shown: tuple[Path, Path]
) -> None:
    assert endpoint.url.startswith("https://127.0.0.1:")
    assert endpoint.predict(endpoint.example)["model"] == "cars"
    ran = subprocess.run(shlex.split(endpoint.curl()), capture_output=True, text=True, timeout=240)
    assert '"prediction":' in ran.stdout
    with pytest.raises((urllib.error.URLError, http.client.HTTPException, OSError)):
        urllib.request.urlopen(endpoint.url.replace("https:", "http:").partition("/api")[0] + "/healthz", timeout=120)
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):  # unknown to the machine
        urllib.request.urlopen(endpoint.url.partition("/api")[0] + "/healthz", timeout=120)


def test_only_its_own_certificate_is_trusted_and_no_old_protocol_is_spoken(endpoint: Endpoint, tmp_path: Path) -> None:
    other, _ = certificate(tmp_path, "other")
    with pytest.raises(ServingError, match="CERTIFICATE_VERIFY_FAILED"):
        replace(endpoint, certificate=str(other)).predict(endpoint.example)
    old = trusting(str(endpoint.certificate))
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(endpoint.url.partition("/api")[0] + "/healthz", timeout=120, context=old)


def test_a_second_model_joins_and_another_certificate_is_refused(
    endpoint: Endpoint, species: Path, tmp_path: Path
) -> None:
    second = serve(species, name="birds")
    assert second.url.startswith("https:")
    assert second.predict(second.example)["predictions"]
    other = certificate(tmp_path, "other")
    with pytest.raises(ServingError, match="the running server shows"):
        serve(species, name="birds", certificate=other[0], key=other[1])


def test_the_way_in_tells_the_replicas_that_it_speaks_https(endpoint: Endpoint) -> None:
    """Whatever a client says of it."""
    root = endpoint.url.partition("/api")[0]
    asked = urllib.request.Request(f"{root}/healthz", headers={"x-forwarded-proto": "http"})
    with urllib.request.urlopen(asked, timeout=120, context=trusting(str(endpoint.certificate))) as answer:
        assert json.load(answer)["models"]
        assert len(answer.headers.get_all("x-request-id")) == 1
    folder = Path(str(deployment_folder()))
    settled = [path.read_text() for path in folder.rglob("*.cfg")]
    assert any("http-request set-header x-forwarded-proto https" in each for each in settled)
    assert not [path for path in folder.rglob("*") if not path.is_symlink() and "PRIVATE KEY" in text_of(path)]


def deployment_folder() -> str:
    from framework.serving.session import running_session

    session = running_session()
    assert session is not None
    return session.folder


def text_of(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
