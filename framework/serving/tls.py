"""HTTPS: the certificate and key that a server shows, checked before it starts, and how it is trusted from here."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from cluster.user_error import UserError

CERTIFICATE, KEY = "server.pem", "server.pem.key"  # HAProxy looks for the key beside the certificate


class CertificateError(UserError):
    """A certificate that cannot be shown, or a connection that cannot be trusted."""


@dataclass(frozen=True)
class Certificate:
    """Files of a certificate with its chain, and of its key, both PEM, the key without a password."""

    path: str
    key: str

    def links(self, folder: Path) -> Path:
        """Places both in a folder as HAProxy looks for them, by links: no second file holds the key."""
        (folder / KEY).symlink_to(self.key)
        (folder / CERTIFICATE).symlink_to(self.path)
        return folder / CERTIFICATE


def certificate_of(certificate: Path | str | None, key: Path | str | None) -> Certificate | None:
    """The certificate of two files; None for none. Raises CertificateError for half of it, or one that does not fit."""
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise CertificateError("HTTPS takes a certificate and its key. Pass both, or neither.")
    found = Certificate(str(Path(certificate).resolve()), str(Path(key).resolve()))

    def no_password() -> str:
        raise CertificateError(f"the key {key} asks for a password, which no server could type. Pass one without.")

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(found.path, found.key, password=no_password)
    except OSError as error:  # ssl.SSLError among them
        raise CertificateError(
            f"{certificate} and {key} cannot be used as a certificate and its key ({_reason(error)}). "
            f"Both are PEM files, and the key is the certificate's."
        ) from error
    return found


def trusting(certificate: str) -> ssl.SSLContext:
    """For connections from this machine: to whoever shows this certificate, by whatever name it is called."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it is the certificate itself that is trusted
    context.load_verify_locations(certificate)
    return context


def _reason(error: OSError) -> str:
    return (getattr(error, "reason", None) or error.strerror or str(error)).lower().replace("_", " ")
