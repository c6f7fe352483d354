"""Who a silo is to other silos: the key that it signs with, and the public keys of all that it knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Registry = Mapping[str, bytes]  # silo → its Ed25519 public key, 32 bytes; the same in every silo and in the coordinator


@dataclass(frozen=True)
class Identity:
    """key: the silo's own Ed25519 private key, 32 bytes. registry: agreed outside of the federation, never by it."""

    silo: str
    key: bytes = field(repr=False)
    registry: Registry = field(repr=False)

    def sign(self, *parts: bytes) -> bytes:
        """A signature of 64 bytes over these parts, each told apart from the next."""
        return Ed25519PrivateKey.from_private_bytes(self.key).sign(framed(*parts))


def found(silos: Iterable[str]) -> dict[str, Identity]:
    """Fresh identities that know one another: for simulations, where whoever runs them may hold every key."""
    keys = {silo: Ed25519PrivateKey.generate() for silo in silos}
    registry = {silo: key.public_key().public_bytes_raw() for silo, key in keys.items()}
    return {silo: Identity(silo, key.private_bytes_raw(), registry) for silo, key in keys.items()}


def signed(registry: Registry, silo: str, signature: bytes, *parts: bytes) -> bool:
    """Whether this silo of the registry has signed these parts."""
    try:
        Ed25519PublicKey.from_public_bytes(registry[silo]).verify(signature, framed(*parts))
    except (InvalidSignature, KeyError, ValueError):
        return False
    return True


def framed(*parts: bytes) -> bytes:
    """All parts in one, each behind its length: two lists of parts are never the same bytes."""
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
