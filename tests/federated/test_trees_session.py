"""One collective after the other, each of all silos or of none; one that does not fit is named."""

import asyncio
from collections.abc import Awaitable

import numpy as np
import pytest

from federated.trees.session import WIDE, BrokenError, Call, Session, combined

SILOS = ("north", "south", "west")
SUM, MIN, OR, FLOAT, DOUBLE, INT32, UINT32 = 2, 1, 4, 1, 2, 6, 10


def call(rank: int, data: np.ndarray, *, kind: str = "Allreduce", number: int = 0, extra: int = DOUBLE) -> Call:
    return Call(kind, rank, number, data.tobytes(), extra, SUM)


async def waiting(session: Session, calls: list[Call]) -> list["asyncio.Task[bytes]"]:
    """These calls, each on its way into the session before the next."""
    tasks = []
    for each in calls:
        tasks.append(asyncio.create_task(session.take(each)))
        await asyncio.sleep(0)
    return tasks


async def why(told: Awaitable[bytes]) -> str:
    with pytest.raises(BrokenError) as caught:
        await told
    return str(caught.value)


@pytest.mark.parametrize(
    ("extra", "operation", "dtype", "expected"),
    [
        (DOUBLE, SUM, np.float64, lambda parts: parts[0] + parts[1] + parts[2]),
        (FLOAT, MIN, np.float32, lambda parts: parts.min(axis=0)),
        (INT32, SUM, np.int32, lambda parts: parts.sum(axis=0)),
        (UINT32, OR, np.uint32, lambda parts: parts[0] | parts[1] | parts[2]),
    ],
)
def test_parts_are_combined_in_the_order_of_the_ranks(extra, operation, dtype, expected) -> None:  # type: ignore[no-untyped-def]
    parts = (np.random.default_rng(2).normal(size=(3, 8)) * 1000).astype(np.int64).astype(dtype)
    calls = [Call("Allreduce", rank, 0, parts[rank].tobytes(), extra, operation) for rank in range(3)]
    np.testing.assert_array_equal(np.frombuffer(combined(calls, SILOS), dtype=dtype), expected(parts))


def test_masked_parts_are_added_modulo_2_to_the_128_with_what_is_carried() -> None:
    words = np.random.default_rng(3).integers(0, 2**64, size=(3, 2, 50), dtype=np.uint64)
    words[:, :, 0] = 2**64 - 1
    told = combined([Call("Allreduce", rank, 0, words[rank].tobytes(), WIDE, SUM) for rank in range(3)], SILOS)
    low, high = np.frombuffer(told, dtype=np.uint64).reshape(2, -1).tolist()
    whole = [sum(int(part[0, place]) + (int(part[1, place]) << 64) for part in words) % 2**128 for place in range(50)]
    assert [a + (b << 64) for a, b in zip(low, high, strict=True)] == whole


@pytest.mark.parametrize("operation", [SUM, MIN])
def test_masked_parts_that_do_not_fit_are_named(operation: int) -> None:
    parts = [np.zeros(4), np.zeros(4), np.zeros(6 if operation == SUM else 4)]
    calls = [Call("Allreduce", rank, 0, part.tobytes(), WIDE, operation) for rank, part in enumerate(parts)]
    with pytest.raises(
        BrokenError, match=f"silo '{'west' if operation == SUM else 'north'}' sent a part that does not"
    ):
        combined(calls, SILOS)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (call(1, np.ones(2), kind="AllgatherV"), "'south' sent what no silo may"),
        (call(1, np.array([1.0, np.nan])), "'south' sent sums that are not finite"),
        (call(1, np.ones(3)), "'south' sent a part that does not fit"),
        (call(1, np.ones(2), extra=INT32), "'south' asked for something else"),
        (call(1, np.ones(2), kind="Broadcast"), "'south' asked for something else"),
        (call(1, np.ones(2), number=7), "'south' has begun anew"),
    ],
)
def test_what_does_not_fit_ends_it_for_all_and_names_the_silo(wrong: Call, sentence: str) -> None:
    async def met() -> list[str]:
        session = Session(SILOS)
        north, south, west = await waiting(session, [call(0, np.ones(2)), wrong, call(2, np.ones(2))])
        later = session.take(call(0, np.ones(2), number=1))
        return [await why(each) for each in (north, south, west, later)]

    told = asyncio.run(met())
    assert all(sentence in each for each in told), told


def test_a_silo_that_goes_while_it_waits_ends_it_for_the_others() -> None:
    async def met() -> tuple[str, str]:
        session = Session(SILOS)
        north, south = await waiting(session, [call(0, np.ones(2)), call(1, np.ones(2))])
        south.cancel()
        return await why(north), await why(session.take(call(2, np.ones(2))))

    assert asyncio.run(met()) == ("silo 'south' has gone",) * 2


def test_it_counts_what_each_silo_sent() -> None:
    async def met() -> Session:
        session = Session(SILOS)
        for number in range(2):
            tasks = await waiting(session, [call(rank, np.ones(5), number=number) for rank in range(3)])
            assert await asyncio.gather(*tasks) == [(3 * np.ones(5)).tobytes()] * 3
        return session

    session = asyncio.run(met())
    assert session.received == [80, 80, 80]
    assert session.calls == {"Allreduce": 6}
