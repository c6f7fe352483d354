"""What a silo signs with, and whose signatures it takes: by the register of certificates that its owner was given."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from federated.deployment.register import Register, RegisterError
from federated.deployment.signing_key import SIGNER, derived, public_of
from federated.secure_aggregation.identity import Identity, Registry
from framework.serving.tls import Certificate


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
    secret = derived(private)
    if registry.get(silo) != public_of(secret):
        known = "another certificate for it" if silo in registry else f"none of it, but of {', '.join(registry)}"
        raise RegisterError(
            f"silo {silo!r} shows the certificate {own.path}, and the register of silos has {known}. Every silo is in "
            f"it, this one too, by the certificate that it joins with."
        )
    return Identity(silo, secret, registry)
