"""Private set intersection: both learn the common ids and no other, and what crosses tells nobody else."""

import hashlib

import numpy as np
import pytest

from federated.vertical.matching import Matcher, MatchError

OURS = [f"parcel {place:05d}" for place in range(60)]
THEIRS = [f"parcel {place:05d}" for place in range(40, 130)]


def met(ours: list[str], theirs: list[str]) -> tuple[list[str], list[str], bytes]:
    """What either learns, and all bytes between them."""
    a, b = Matcher("a", ours), Matcher("b", theirs)
    first, second = a.request(), b.request()
    to_a, to_b = b.answer(first), a.answer(second)
    crossed = b"".join(part.tobytes() for part in (first, second, *to_a.values(), *to_b.values()))
    return a.common(to_a), b.common(to_b), crossed


def test_both_learn_the_common_ids_in_one_order() -> None:
    ours, theirs, _ = met(OURS, THEIRS[::-1])
    assert ours == theirs == OURS[40:]
    assert met(OURS[:10], THEIRS)[:2] == ([], [])
    assert met(OURS, OURS)[0] == OURS


def test_no_id_crosses_nor_its_plain_hash() -> None:
    _, _, crossed = met(OURS, THEIRS)
    assert len(crossed) > 33 * 2 * (len(OURS) + len(THEIRS))  # a compressed point of P-256 for each id and way
    for each in {*OURS, *THEIRS}:
        assert each.encode() not in crossed
        assert not [h for h in ("md5", "sha1", "sha256", "sha512") if hashlib.new(h, each.encode()).digest() in crossed]


def test_the_same_ids_never_look_the_same_twice() -> None:
    first, second = (Matcher("a", OURS).request().tobytes() for _ in range(2))
    pieces = {first[at : at + 16] for at in range(len(first) - 16)}
    shared = sum(second[at : at + 16] in pieces for at in range(len(second) - 16))
    assert shared == 0


def test_a_request_tells_how_many_ids_and_not_in_which_order() -> None:
    """The answer keeps the request's order, so that one in the rows' own order would tell of the rows between."""
    asked = [Matcher("a", OURS) for _ in range(3)]
    assert len({tuple(each._ids) for each in asked}) == 3
    assert all(sorted(each._ids) == OURS for each in asked)
    assert len(asked[0].request()) == len(asked[1].request())


def test_ids_that_are_there_twice_and_bytes_that_are_no_matching_are_refused() -> None:
    with pytest.raises(MatchError, match=r"party 'a' has 2 id\(s\) twice"):
        Matcher("a", [*OURS, *OURS[:2]])
    with pytest.raises(MatchError, match="no part of a matching"):
        Matcher("a", OURS).answer(np.frombuffer(b"\xff" * 40, dtype=np.uint8))
