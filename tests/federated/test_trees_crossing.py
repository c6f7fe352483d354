"""What XGBoost may tell while sums are masked: sums, what everybody knows, and nothing else."""

import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from federated.trees.credential import Credential
from federated.trees.crossing import SETTINGS, CrossingError, is_sum
from federated.trees.relay import Relay, relayed
from federated.trees.session import SUM, WIDE, Call
from federated.trees.tracker import SERVICE, Gate, Tracker, messages
from federated.trees.veil import Veil
from federated.trees.wide import Wide

MAX, MIN, OR, FLOAT, DOUBLE, INT64, UINT32, UINT64 = 0, 1, 4, 1, 2, 7, 10, 11
SHAPE = {"width": 5, "leaves": 8, "outputs": 1}


def settings(**values: str) -> bytes:
    """As XGBoost writes them."""

    def text(value: str) -> bytes:
        return b"L" + struct.pack(">q", len(value)) + value.encode()

    return b"{" + b"".join(text(name) + b"S" + text(value) for name, value in values.items()) + b"}"


USUAL = dict.fromkeys(SETTINGS, "1") | {"base_score": "[5.7284467E2]"}


def call(kind: str, data: bytes, extra: int = 0, operation: int = 0, *, rank: int = 0, number: int = 0) -> Call:
    return Call(kind, rank, number, data, extra, operation)


def reduced(values: Any, extra: int, operation: int, dtype: str) -> Call:
    return call("Allreduce", np.array(values, dtype=dtype).tobytes(), extra, operation)


@pytest.mark.parametrize(("extra", "dtype"), [(FLOAT, "f4"), (DOUBLE, "f8"), (6, "i4"), (INT64, "i8"), (UINT64, "u8")])
def test_every_sum_is_masked(extra: int, dtype: str) -> None:
    assert is_sum(reduced([1, 2, 3], extra, SUM, dtype), **SHAPE)


@pytest.mark.parametrize(
    "known",
    [
        reduced([5], UINT32, MAX, "u4"),
        reduced([8], UINT64, MAX, "u8"),
        call("Broadcast", bytes(4)),
        call("Broadcast", b"", rank=1),
        call("Broadcast", settings(**USUAL), number=3),
    ],
)
def test_what_everybody_knows_passes(known: Call) -> None:
    assert not is_sum(known, **SHAPE)


@pytest.mark.parametrize(
    "told",
    [
        call("Allgather", bytes(8)),
        call("AllgatherV", bytes(8)),
        reduced([4], UINT32, MAX, "u4"),
        reduced([9], UINT64, MAX, "u8"),
        reduced([5, 5], UINT32, MAX, "u4"),
        reduced([5.0], DOUBLE, MAX, "f8"),
        reduced([5], UINT32, MIN, "u4"),
        reduced([5], UINT32, OR, "u4"),
        call("Allreduce", bytes(7), DOUBLE, SUM),
        call("Allreduce", bytes(8), 0, SUM),
        call("Allreduce", bytes(16), WIDE, SUM),
        call("Broadcast", bytes(5)),
        call("Broadcast", bytes(4), 1),
        call("Broadcast", bytes(4), rank=1),
        call("Broadcast", settings(**USUAL), rank=1, number=3),
        call("Broadcast", settings(**USUAL), number=9),
        call("Broadcast", settings(**USUAL) + b"x", number=3),
        call("Broadcast", settings(**USUAL, rent="1200"), number=3),
        call("Broadcast", settings(**{**USUAL, "base_score": "1" * 50}), number=3),
        call("Broadcast", settings(**{**USUAL, "num_target": "1" * 50}), number=3),
        call("Broadcast", b"[" + bytes(40), number=3),
        call("Broadcast", b"{LL", number=3),
    ],
)
def test_anything_else_is_refused_in_the_silo(told: Call) -> None:
    with pytest.raises(CrossingError, match=r"which cannot be masked\. Is this another version of XGBoost"):
        is_sum(told, **SHAPE)


class Recording:
    """A channel that answers what it is told, and keeps it."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def unary_unary(self, method: str, *_: Any) -> Any:
        def ask(asked: Any) -> Any:
            self.told.append(asked)
            return messages()[1](receive_buffer=asked.send_buffer)

        return ask


def alone() -> tuple[Relay, Recording]:
    channel, veil = Recording(), Veil("north", {}, b"session", Wide.sized(1, 1.0))
    return Relay(channel, veil, lambda call: is_sum(call, **SHAPE)), channel  # type: ignore[arg-type]


def test_nothing_of_what_is_refused_leaves() -> None:
    relay, channel = alone()
    with pytest.raises(CrossingError):
        relay.answer(call("Allgather", b"rows of a silo"))
    assert not channel.told
    relay, channel = alone()
    assert relay.answer(reduced([0.25, -3.0], DOUBLE, SUM, "f8")) == np.array([0.25, -3.0]).tobytes()
    with pytest.raises(CrossingError, match="would need one mask twice"):
        relay.answer(reduced([0.5, -3.0], DOUBLE, SUM, "f8"))
    assert [asked.extra for asked in channel.told] == [WIDE]


def test_the_relay_answers_its_own_silo_alone_and_says_what_it_refused() -> None:
    own, stranger, tracker = Credential.made(), Credential.made(), Tracker()
    gate = tracker.open({"north": own.certificate})
    request, reply = messages()

    def ask(near: Gate, shown: Credential, kind: str, data: bytes, number: int = 0) -> bytes:
        pem = (near.certificate.encode(), shown.key.encode(), shown.certificate.encode())
        with grpc.secure_channel(near.address, grpc.ssl_channel_credentials(*pem)) as channel:
            asked = request(send_buffer=data, extra=DOUBLE, operation=SUM, sequence_number=number)
            ask = channel.unary_unary(f"/{SERVICE}/{kind}", request.SerializeToString, reply.FromString)
            return bytes(ask(asked).receive_buffer)

    veil = Veil("north", {}, b"session", Wide.sized(1, 1.0))
    try:
        with relayed(gate, own, veil, lambda call: is_sum(call, **SHAPE)) as (relay, near):
            assert near.address.startswith("127.0.0.1:")
            assert near.address != gate.address
            one = np.array([1.5]).tobytes()
            assert ask(near, own, "Allreduce", one) == one
            with pytest.raises(grpc.RpcError) as caught:
                ask(near, stranger, "Allreduce", one, number=1)
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
            assert not relay.refused
            with pytest.raises(grpc.RpcError, match="broken off"):
                ask(near, own, "Allreduce", np.array([np.inf]).tobytes(), number=1)
            assert relay.refused == "its part holds sums that are not finite"
            with pytest.raises(grpc.RpcError, match="broken off"):
                ask(near, own, "Allreduce", one, number=2)
        assert tracker.told() == ("", {"north": 16}, {"Allreduce": 1})
    finally:
        tracker.close()


def test_whoever_waits_at_a_relay_hears_that_the_session_is_over() -> None:
    own, other, tracker = Credential.made(), Credential.made(), Tracker()
    gate = tracker.open({"north": own.certificate, "south": other.certificate})  # who never comes
    request, reply = messages()
    veil = Veil("north", {}, b"session", Wide.sized(1, 1.0))
    try:
        with ThreadPoolExecutor(1) as pool, relayed(gate, own, veil, lambda call: True) as (_, near):
            pem = (near.certificate.encode(), own.key.encode(), own.certificate.encode())
            channel = grpc.secure_channel(near.address, grpc.ssl_channel_credentials(*pem))
            ask = channel.unary_unary(f"/{SERVICE}/Allreduce", request.SerializeToString, reply.FromString)
            waiting = pool.submit(ask, request(send_buffer=bytes(8), extra=DOUBLE, operation=SUM))
            while not tracker.told()[1]["north"]:
                time.sleep(0.01)
            tracker.stop("a silo is late")
            with pytest.raises(grpc.RpcError, match="the session is broken"):
                waiting.result()
            channel.close()
    finally:
        tracker.close()
