"""The key that a silo signs its part of a sum with: made from its certificate's own, and told by the certificate.

So whoever has exchanged certificates by a way that both trust has exchanged these keys too, and the coordinator cannot
put in its own. An Ed25519 certificate would say the same in fewer words, but gRPC's TLS takes none.
"""

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SIGNER = x509.ObjectIdentifier("2.25.141127064307391868219170153604108527")  # of an extension: 32 bytes, a public key
ABOUT = b"contenders: the signing key of a silo"
BYTES = 32


def signer_extension(key: "PrivateKeyTypes") -> x509.UnrecognizedExtension:
    """What a certificate of this key says of the key that its owner signs with."""
    return x509.UnrecognizedExtension(SIGNER, public_of(derived(key)))


def derived(key: "PrivateKeyTypes") -> bytes:
    """An Ed25519 private key that only the holder of this key can make: HKDF-SHA256 of it."""
    whole = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return HKDF(hashes.SHA256(), BYTES, salt=None, info=ABOUT).derive(whole)


def public_of(secret: bytes) -> bytes:
    """The public key of an Ed25519 private key, both raw."""
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
