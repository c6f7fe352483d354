"""Integers modulo 2^128: sums that are exact, masks that cancel, and nothing that goes in without room for it."""

import math
from itertools import combinations

import numpy as np
import pytest

from federated.trees.veil import Veil
from federated.trees.wide import BLOCK, Wide, WideError, add, add_mask

RING = Wide.sized(3, 1.0)
DRAW = np.random.default_rng(4)


def spread(shape: tuple[int, ...]) -> np.ndarray:
    """Of all sizes and both signs, and some that are 0."""
    values = DRAW.choice([-1, 1], shape) * 2.0 ** DRAW.uniform(-40, 30, shape) * DRAW.uniform(1, 2, shape)
    return np.where(DRAW.random(shape) < 0.1, 0.0, values)


def test_a_sum_of_floats_is_the_one_of_their_exact_parts() -> None:
    parts = spread((3, 2_000))
    total = RING.encoded(parts[0])
    add(total, RING.encoded(parts[1]))
    add(total, RING.encoded(parts[2]))
    exact = np.array([math.fsum(column) for column in parts.T])
    step = 3 * 2.0**-RING.places  # each part is rounded to the step, and the sum to a float
    assert (np.abs(RING.decoded(total, parts.dtype) - exact) <= step + np.abs(exact) * 2.0**-52).all()
    add(total, RING.encoded(parts[1]), sign=-1)
    add(total, RING.encoded(parts[2]), sign=-1)
    np.testing.assert_allclose(RING.decoded(total, parts.dtype), parts[0], rtol=1e-15, atol=step)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
def test_whole_numbers_are_summed_exactly_or_not_at_all(dtype: str) -> None:
    info = np.iinfo(dtype)
    parts = np.array([[info.max - 7, info.min, 5], [7, 0, -3 if info.min else 3]], dtype=dtype)
    total = RING.encoded(parts[0])
    add(total, RING.encoded(parts[1]))
    np.testing.assert_array_equal(RING.decoded(total, parts.dtype), parts[0] + parts[1])
    add(total, RING.encoded(np.ones(3, dtype=dtype)))
    with pytest.raises(WideError, match="masks are left"):
        RING.decoded(total, parts.dtype)


def test_what_has_no_room_is_refused_and_named_by_no_value() -> None:
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(WideError, match="not finite"):
            RING.encoded(np.array([1.0, value]))
    edge = 2.0**RING.reach
    for value in (edge, -edge):
        assert RING.decoded(RING.encoded(np.array([value])), np.dtype("f8"))[0] == value
        with pytest.raises(WideError, match=rf"beyond 2\^{RING.reach}, for which there is no room"):
            RING.encoded(np.array([1.0, value * 1.001]))
    with pytest.raises(WideError, match=r"128 bits hold no sums of 3 silos whose rows add some 1.0e\+30 each"):
        Wide.sized(3, 1e30)


@pytest.mark.parametrize("usual", [1e-9, 1.0, 1e5, 1e12, 1e17])
@pytest.mark.parametrize("silos", [3, 28, 1000])
def test_all_silos_at_the_edge_stay_in_the_ring(silos: int, usual: float) -> None:
    ring = Wide.sized(silos, usual)
    whole = RING.encoded(np.zeros(1))
    for _ in range(silos):
        add(whole, ring.encoded(np.array([-(2.0**ring.reach)])))
    assert ring.decoded(whole, np.dtype("f8"))[0] == -silos * 2.0**ring.reach


def test_a_mask_is_of_its_key_alone_and_goes_as_it_came() -> None:
    values = spread((BLOCK + 100,))
    vector, plain = RING.encoded(values), RING.encoded(values)
    add_mask(vector, bytes(32), sign=1)
    assert (vector != plain).mean() > 0.999
    add_mask(vector, bytes(31) + b"1", sign=-1)
    assert (vector != plain).mean() > 0.999
    add_mask(vector, bytes(31) + b"1", sign=1)
    add_mask(vector, bytes(32), sign=-1)
    np.testing.assert_array_equal(vector, plain)


def veils() -> list[Veil]:
    names = ["north", "south", "west"]
    keys: dict[str, dict[str, bytes]] = {name: {} for name in names}
    for one, other in combinations(names, 2):
        keys[one][other] = keys[other][one] = DRAW.bytes(32)
    return [Veil(name, keys[name], b"session", RING) for name in names]


def met(parts: list[bytes]) -> bytes:
    arrays = [np.frombuffer(part, dtype="<u8").reshape(2, -1).copy() for part in parts]
    for each in arrays[1:]:
        add(arrays[0], each)
    return arrays[0].tobytes()


def test_masks_cancel_in_the_sum_of_all_and_none_is_used_twice() -> None:
    silos, values = veils(), spread((3, 50))
    seen: set[bytes] = set()
    for number in range(4):
        parts = [silo.hidden(number, row) for silo, row in zip(silos, values, strict=True)]
        assert not seen & set(parts)
        seen |= set(parts)
        total = met(parts)
        for silo in silos:
            np.testing.assert_allclose(silo.opened(total, values.dtype), values.sum(axis=0), rtol=1e-13, atol=1e-12)
        with pytest.raises(WideError, match="masks are left"):
            silos[0].opened(met(parts[:2]), values.dtype)
        if number < 2:
            for silo in silos:
                silo.hear(total)


def test_silos_that_were_told_different_totals_come_to_no_sum_any_more() -> None:
    silos, values = veils(), spread((3, 50))
    for silo, told in zip(silos, (b"one total", b"one total", b"another"), strict=True):
        silo.hear(told)
    total = met([silo.hidden(1, row) for silo, row in zip(silos, values, strict=True)])
    with pytest.raises(WideError, match="masks are left"):
        silos[0].opened(total, values.dtype)
