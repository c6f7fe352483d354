"""The public keys that a silo makes for one sum, signed."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from cluster.wire import Arrays
from federated.secure_aggregation.identity import Identity, Registry, signed


@dataclass(frozen=True)
class Advert:
    """seal: key for what others send to this silo; mask: key for masks in common; seed: commitment to its own mask."""

    seal: bytes
    mask: bytes
    seed: bytes
    signature: bytes

    @classmethod
    def of(cls, identity: Identity, session: bytes, *, seal: bytes, mask: bytes, seed: bytes) -> Self:
        about = (b"advert", session, identity.silo.encode(), seal, mask, seed)
        return cls(seal, mask, seed, identity.sign(*about))

    def holds(self, registry: Registry, silo: str, session: bytes) -> bool:
        """Whether this silo has signed it, for this session."""
        about = (b"advert", session, silo.encode(), self.seal, self.mask, self.seed)
        return signed(registry, silo, self.signature, *about)

    def to_arrays(self) -> Arrays:
        return {name: as_array(getattr(self, name)) for name in ("seal", "mask", "seed", "signature")}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Raises KeyError when one is missing."""
        return cls(*(arrays[name].tobytes() for name in ("seal", "mask", "seed", "signature")))


def as_array(data: bytes) -> np.ndarray:
    """Bytes as they travel."""
    return np.frombuffer(data, dtype=np.uint8)


def as_bytes(arrays: Arrays) -> dict[str, bytes]:
    """Named arrays of bytes as they were before."""
    return {name: array.tobytes() for name, array in arrays.items()}


def survivors_signed(session: bytes, survivors: list[str]) -> tuple[bytes, ...]:
    """What silos sign when they agree on whose parts the sum has."""
    return (b"survivors", session, *(silo.encode() for silo in sorted(survivors)))
