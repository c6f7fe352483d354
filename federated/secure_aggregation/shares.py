"""Secrets in shares, any `threshold` of which open them (Shamir 1979) and fewer tell nothing.

Shares are made by pycryptodome, in the field GF(2^128), each half of a secret for itself. They are opened here: its
`combine` solves for every secret anew, while a coordinator opens hundreds from the same holders. Tests hold the two
against each other.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np

HALF = 16  # bytes: an element of the field
FIELD = (1 << 128) | 0b10000111  # x^128 + x^7 + x^2 + x + 1
BITS = 128


def split(secret: bytes, threshold: int, holders: int) -> list[bytes]:
    """A share of 32 bytes for each holder, who are counted from 1. secret: 32 bytes."""
    from Crypto.Protocol.SecretSharing import Shamir

    sides = [Shamir.split(threshold, holders, secret[begin : begin + HALF]) for begin in (0, HALF)]
    return [first + second for (_, first), (_, second) in zip(*sides, strict=True)]


def open_shares(holders: Sequence[int], shares: np.ndarray) -> list[bytes]:
    """The secrets. holders: as many as the threshold, as `split` counts them; shares: uint8, shape (secrets, holders,
    32). Wrong shares open to a wrong secret."""
    count, halves = len(shares), 2
    factors = np.concatenate([_matrix(factor) for factor in _factors(holders)])
    sides = shares.reshape(count, len(holders), halves, HALF).swapaxes(1, 2)
    bits = np.unpackbits(sides.reshape(count * halves, -1), axis=1)
    told = (bits.astype(np.float32) @ factors).astype(np.int64) & 1  # sums below 2^24 are exact in float32
    return [row.tobytes() for row in np.packbits(told.astype(np.uint8), axis=1).reshape(count, halves * HALF)]


def _factors(holders: Sequence[int]) -> list[int]:
    """λ_i = Π_{j≠i} x_j / (x_j - x_i): the secret is Σ λ_i · share_i."""
    whole = reduce(_times, holders, 1)
    below = (reduce(_times, (x ^ other for other in holders if other != x), x) for x in holders)
    return [_times(whole, _inverse(product)) for product in below]


def _matrix(factor: int) -> np.ndarray:
    """Multiplication by an element as a matrix over bits, highest first, shape (128, 128), float32."""
    rows = []
    for _ in range(BITS):
        rows.append(np.frombuffer(factor.to_bytes(HALF, "big"), dtype=np.uint8))
        factor = _reduced(factor << 1)
    return np.unpackbits(np.stack(rows[::-1]), axis=1).astype(np.float32)


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = _reduced(a << 1), b >> 1
    return product


def _reduced(a: int) -> int:
    return a ^ FIELD if a >> BITS else a


def _inverse(a: int) -> int:
    """By Euclid's algorithm on polynomials."""
    low, high, of_low, of_high = a, FIELD, 1, 0
    while low != 1:
        shift = high.bit_length() - low.bit_length()
        if shift < 0:
            low, high, of_low, of_high = high, low, of_high, of_low
            continue
        high, of_high = high ^ (low << shift), of_high ^ (of_low << shift)
    return _remainder(of_low)


def _remainder(a: int) -> int:
    while (over := a.bit_length() - FIELD.bit_length()) >= 0:
        a ^= FIELD << over
    return a
