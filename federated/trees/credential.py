"""Who is at the other end: a key that never leaves the process that made it, and the certificate that shows it."""

import ipaddress
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

LIFE = timedelta(days=7)  # of a certificate: longer than any fit
SKEW = timedelta(hours=1)  # that a silo's clock may be behind
KEY, CERTIFICATE, TRUSTED = "key.pem", "certificate.pem", "trusted.pem"


@dataclass(frozen=True)
class Credential:
    """key: PEM, without a password. certificate: PEM, signed by that very key: who trusts it trusts it alone."""

    key: str = field(repr=False)
    certificate: str

    @classmethod
    def made(cls, address: str | None = None) -> Self:
        """A fresh one. address: of a server, which its clients then hold the certificate against."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        # Its own name, so that among several trusted ones the right one is looked at.
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, secrets.token_hex(16))])
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - SKEW, now + LIFE
        )
        if address is not None:
            there = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            made = made.add_extension(there, critical=False)
        certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(private.decode(), certificate.decode())

    def write(self, folder: Path, trusted: str) -> dict[str, str]:
        """Puts key, certificate and that of the server to trust into an empty folder of this process's own.

        Returns their paths, as XGBoost's communicator calls them.
        """
        for name, text in ((KEY, self.key), (CERTIFICATE, self.certificate), (TRUSTED, trusted)):
            path = folder / name
            path.touch(mode=0o600)
            path.write_text(text, encoding="ascii")
        return {
            "federated_server_cert_path": str(folder / TRUSTED),
            "federated_client_key_path": str(folder / KEY),
            "federated_client_cert_path": str(folder / CERTIFICATE),
        }
