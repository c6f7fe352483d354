"""Keys of one sum: X25519 pairs, and what two silos agree on with them."""

import hashlib
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federated.secure_aggregation.identity import framed

SECRET = 32  # bytes of a private key, of a public key, of a seed and of a share of any
NONCE = 12
SEALED = NONCE + 2 * SECRET + 16  # a share of a key and one of a seed, with ChaCha20-Poly1305's tag


class Pair(NamedTuple):
    """An X25519 private key and its public key, 32 bytes each."""

    private: bytes
    public: bytes


def fresh() -> Pair:
    return pair_of(secrets.token_bytes(SECRET))


def pair_of(private: bytes) -> Pair:
    return Pair(private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())


def agreed(private: bytes, public: bytes, *about: bytes) -> bytes:
    """32 bytes that the holders of the two private keys share, for one use alone: X25519, then HKDF-SHA256.

    Raises ValueError for a public key that agrees on the same with everybody.
    """
    secret = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    return HKDF(hashes.SHA256(), SECRET, salt=None, info=framed(*about)).derive(secret)


def usable(public: bytes) -> bool:
    """Whether it is a public key, and not one that agrees on the same with everybody."""
    try:
        agreed(fresh().private, public)
    except ValueError:
        return False
    return True


def mask_key(private: bytes, public: bytes, session: bytes, silos: Iterable[str]) -> bytes:
    """The key of the mask that two silos have in common, the same on both sides."""
    return agreed(private, public, b"mask", session, *(silo.encode() for silo in sorted(silos)))


def seal(text: bytes, own: bytes, other: bytes, session: bytes, sender: str, receiver: str) -> bytes:
    """The text for the receiver's eyes alone, and only as this sender's, in this session. own: a private key; other: a
    public one."""
    about = (session, sender.encode(), receiver.encode())
    nonce = secrets.token_bytes(NONCE)
    return nonce + ChaCha20Poly1305(agreed(own, other, b"seal", *about)).encrypt(nonce, text, framed(*about))


def unseal(sealed: bytes, own: bytes, other: bytes, session: bytes, sender: str, receiver: str) -> bytes:
    """Raises cryptography's InvalidTag where it was changed, or sealed by or for another silo or session."""
    about = (session, sender.encode(), receiver.encode())
    key = ChaCha20Poly1305(agreed(own, other, b"seal", *about))
    return key.decrypt(sealed[:NONCE], sealed[NONCE:], framed(*about))


def commitment(seed: bytes, session: bytes, silo: str) -> bytes:
    """SHA-256 of a seed: tells nothing of it, and shows later whether it was opened right."""
    return hashlib.sha256(framed(b"seed", session, silo.encode(), seed)).digest()
