"""Who is at either end: a key that its owner alone has, and a certificate signed by that very key."""

import ipaddress
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from framework.serving.tls import Certificate, CertificateError, certificate_of

if TYPE_CHECKING:
    from cryptography import x509

SKEW = timedelta(hours=1)  # that another party's clock may be behind


def make_certificate(name: str, folder: Path, *, hosts: Sequence[str] = (), days: float = 365.0) -> Certificate:
    """Writes NAME.pem, which the others are given, and NAME.key, which stays; both with mode 0600. The certificate
    names the key that its owner signs sums with, see `signing`.

    hosts: names and addresses that a coordinator is dialled by; silos need none.
    Raises CertificateError where one of the files is there already, for a name that is no file's, or no days.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from federated.deployment.signing_key import signer_extension

    if not name or Path(name).name != name or len(name) > 64:
        raise CertificateError(f"{name!r} cannot be a file's name of at most 64 letters. Pass another --name.")
    if not days > 0:
        raise CertificateError(f"a certificate of {days:g} days is never valid. Pass more --days.")
    key = ec.generate_private_key(ec.SECP256R1())
    # A serial number of its own, so that among several trusted ones of one name the right one is looked at.
    attributes = [(x509.NameOID.COMMON_NAME, name), (x509.NameOID.SERIAL_NUMBER, secrets.token_hex(16))]
    subject = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), now - SKEW, now + timedelta(days=days)
    )
    made = made.add_extension(signer_extension(key), critical=False)
    if hosts:
        made = made.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    written = Certificate(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    folder.mkdir(parents=True, exist_ok=True)
    if existing := [path for path in (written.path, written.key) if Path(path).exists()]:
        raise CertificateError(f"{existing[0]} is there already and is not replaced. Pass another --name or --out.")
    _write_new(written.key, private)
    _write_new(written.path, public)
    return written


def own_certificate(certificate: Path | str, key: Path | str) -> Certificate:
    """A party's own, checked. Raises CertificateError where the files cannot be read or are no pair."""
    found = certificate_of(certificate, key)
    assert found is not None  # both were given
    return found


def read_certificate(path: Path | str) -> bytes:
    """The first certificate of a PEM file, as PEM, in one spelling.

    Raises CertificateError for one that is not self-signed: who trusts an authority trusts all that it signs.
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = x509.load_pem_x509_certificate(Path(path).read_bytes())
        found.verify_directly_issued_by(found)
    except OSError as error:
        raise CertificateError(f"the certificate {path} cannot be read ({error.strerror}).") from error
    except (ValueError, TypeError, InvalidSignature) as error:
        raise CertificateError(
            f"{path} is no self-signed certificate as PEM. Make one by `python -m recipes.new_certificate`."
        ) from error
    return found.public_bytes(Encoding.PEM)


def same(one: bytes, other: bytes) -> bool:
    """Whether two PEM texts are one certificate, however they are spelled."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(one) == x509.load_pem_x509_certificate(other)


def _host(host: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_new(path: str, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
