"""Masks: a key stretched to a vector of the ring, added or taken away."""

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

BLOCK = 1 << 16  # words made at once: they stay in the processor's cache
START = bytes(16)  # counter and nonce; a key is stretched once


def add_mask(vector: np.ndarray, key: bytes, *, sign: int = 1) -> None:
    """vector ← vector ± ChaCha20(key), in place, modulo the ring of its dtype (uint32 or uint64). key: 32 bytes."""
    stream = Cipher(ChaCha20(key, START), mode=None).encryptor()
    zeros, words = bytes(BLOCK * vector.itemsize), vector.dtype.newbyteorder("<")
    for begin in range(0, len(vector), BLOCK):
        part = vector[begin : begin + BLOCK]
        mask = np.frombuffer(stream.update(zeros[: part.nbytes]), dtype=words)
        (np.add if sign > 0 else np.subtract)(part, mask, out=part)
