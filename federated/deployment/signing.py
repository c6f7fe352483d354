"""The key that a silo signs its part of a sum with: made from its certificate's own, and told by the certificate.

So whoever has exchanged certificates by a way that both trust has exchanged these keys too, and the coordinator cannot
put in its own. An Ed25519 certificate would say the same in fewer words, but gRPC's TLS takes none.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federated.deployment.register import Register, RegisterError
from federated.secure_aggregation.identity import Identity, Registry
from framework.serving.tls import Certificate

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SIGNER = x509.ObjectIdentifier("2.25.141127064307391868219170153604108527")  # of an extension: 32 bytes, a public key
ABOUT = b"contenders: the signing key of a silo"
BYTES = 32


def signer_extension(key: "PrivateKeyTypes") -> x509.UnrecognizedExtension:
    """What a certificate of this key says of the key that its owner signs with."""
    public = Ed25519PrivateKey.from_private_bytes(_derived(key)).public_key().public_bytes_raw()
    return x509.UnrecognizedExtension(SIGNER, public)


def signers_of(register: Register) -> Registry:
    """Silo → the public key that it signs with. Raises RegisterError naming a silo whose certificate has none."""
    told: dict[str, bytes] = {}
    for silo, certificate in register.certificates.items():
        try:
            found = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_oid(SIGNER).value
        except x509.ExtensionNotFound:
            raise RegisterError(
                f"the certificate of silo {silo!r} names no key that it signs with, which secure aggregation needs. "
                f"Have it make a new one by `python -m recipes.new_certificate`, and exchange that."
            ) from None
        told[silo] = found.value if isinstance(found, x509.UnrecognizedExtension) else b""
    return told


def identity_of(silo: str, own: Certificate, register: Register) -> Identity:
    """What this silo signs with, and whose signatures it takes: those of the register that its owner was given, and
    never what a coordinator says.

    Raises RegisterError where the register has this silo not, or with another certificate.
    """
    registry = signers_of(register)
    private = serialization.load_pem_private_key(Path(own.key).read_bytes(), password=None)
    secret = _derived(private)
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    if registry.get(silo) != public:
        known = "another certificate for it" if silo in registry else f"none of it, but of {', '.join(registry)}"
        raise RegisterError(
            f"silo {silo!r} shows the certificate {own.path}, and the register of silos has {known}. Every silo is in "
            f"it, this one too, by the certificate that it joins with."
        )
    return Identity(silo, secret, registry)


def _derived(key: "PrivateKeyTypes") -> bytes:
    """An Ed25519 private key that only the holder of this key can make: HKDF-SHA256 of it."""
    whole = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return HKDF(hashes.SHA256(), BYTES, salt=None, info=ABOUT).derive(whole)
