"""The tracker that silos meet at: XGBoost's own sums, on one address, for those it knows and as the silos they are."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import psutil
import pytest

from federated.trees.credential import Credential
from federated.trees.silo import reachable
from federated.trees.tracker import SERVICE, Gate, Tracker, TrackerError, messages

SILOS = ("north", "south", "west")
CREDENTIALS = {name: Credential.made() for name in (*SILOS, "stranger")}
SUM, MAX, DOUBLE, INT32 = 2, 0, 2, 6


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    made = Tracker()
    yield made
    made.close()


@pytest.fixture
def gate(tracker: Tracker) -> Gate:
    return tracker.open({name: CREDENTIALS[name].certificate for name in SILOS})


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(len(SILOS)) as made:
        yield made


class Caller:
    """A silo's connection, as XGBoost's plugin makes it."""

    def __init__(self, gate: Gate, name: str, rank: int) -> None:
        shown = CREDENTIALS[name]
        pem = (gate.certificate.encode(), shown.key.encode(), shown.certificate.encode())
        self.channel = grpc.secure_channel(gate.address, grpc.ssl_channel_credentials(*pem))
        self.rank, self.number = rank, 0

    def call(self, kind: str, data: np.ndarray | bytes, extra: int = DOUBLE, operation: int = SUM) -> bytes:
        request, reply = messages()
        ask = self.channel.unary_unary(f"/{SERVICE}/{kind}", request.SerializeToString, reply.FromString)
        raw = data if isinstance(data, bytes) else data.tobytes()
        asked = request(sequence_number=self.number, rank=self.rank, send_buffer=raw, extra=extra, operation=operation)
        self.number += 1
        return bytes(ask(asked).receive_buffer)


@pytest.fixture
def callers(gate: Gate) -> Iterator[list[Caller]]:
    made = [Caller(gate, name, rank) for rank, name in enumerate(SILOS)]
    yield made
    for each in made:
        each.channel.close()


def refused(future: "Future[bytes]") -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        future.result()
    return caught.value


def test_what_silos_tell_is_combined_as_xgboost_asks(callers: list[Caller], pool: ThreadPoolExecutor) -> None:
    parts = np.random.default_rng(0).normal(size=(3, 50))
    whole = (parts * 100).astype(np.int32)

    def all_of(kind: str, rows: np.ndarray, extra: int, operation: int) -> list[bytes]:
        return list(pool.map(lambda each: each.call(kind, rows[each.rank], extra, operation), callers))

    for told in all_of("Allreduce", parts, DOUBLE, SUM):
        np.testing.assert_array_equal(np.frombuffer(told), parts[0] + parts[1] + parts[2])
    for told in all_of("Allreduce", whole, INT32, MAX):
        np.testing.assert_array_equal(np.frombuffer(told, dtype=np.int32), whole.max(axis=0))
    assert all_of("Allgather", parts, 0, 0) == [parts.tobytes()] * 3
    assert all_of("Broadcast", parts, 1, 0) == [parts[1].tobytes()] * 3


def test_it_listens_on_its_own_address_and_no_other(gate: Gate) -> None:
    port = int(gate.address.rpartition(":")[2])
    there = [each.laddr for each in psutil.Process().net_connections("tcp") if each.status == "LISTEN"]
    assert [each.ip.removeprefix("::ffff:") for each in there if each.port == port] == ["127.0.0.1"]
    other = Tracker("127.0.0.2")
    try:
        assert other.open({"north": CREDENTIALS["north"].certificate}).address.startswith("127.0.0.2:")
    finally:
        other.close()
    nowhere = Tracker("192.0.2.1")  # of a network that is kept for examples
    try:
        with pytest.raises(TrackerError, match=r"cannot listen on 192\.0\.2\.1"):
            nowhere.open({"north": CREDENTIALS["north"].certificate})
    finally:
        nowhere.close()


def test_a_certificate_that_it_was_not_given_is_refused(gate: Gate) -> None:
    assert reachable(gate.address, gate.certificate, CREDENTIALS["north"], seconds=60)
    assert not reachable(gate.address, gate.certificate, CREDENTIALS["stranger"], seconds=1)
    stranger = Caller(gate, "stranger", 0)
    request, _ = messages()
    nobody = grpc.secure_channel(gate.address, grpc.ssl_channel_credentials(gate.certificate.encode()))
    plain = grpc.insecure_channel(gate.address)
    for channel in (stranger.channel, nobody, plain):
        with channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{SERVICE}/Allreduce")(request(rank=0).SerializeToString())
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_silo_trusts_no_tracker_but_the_one_it_was_told_of(gate: Gate) -> None:
    assert not reachable(gate.address, Credential.made("127.0.0.1").certificate, CREDENTIALS["north"], seconds=1)


def test_no_silo_speaks_for_another(gate: Gate) -> None:
    thief = Caller(gate, "south", rank=0)
    with thief.channel, pytest.raises(grpc.RpcError) as caught:
        thief.call("Allreduce", np.ones(2))
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_a_silo_that_begins_anew_ends_the_session_for_all(
    gate: Gate, callers: list[Caller], pool: ThreadPoolExecutor, tracker: Tracker
) -> None:
    list(pool.map(lambda each: each.call("Allreduce", np.ones(2)), callers))
    waiting = [pool.submit(each.call, "Allreduce", np.ones(2)) for each in callers[:2]]
    anew = Caller(gate, "west", rank=2)
    with anew.channel, pytest.raises(grpc.RpcError, match="'west' has begun anew"):
        anew.call("Allreduce", np.ones(2))
    assert all("'west' has begun anew" in str(refused(each).details()) for each in waiting)
    with pytest.raises(grpc.RpcError) as caught:
        callers[2].call("Allreduce", np.ones(2))
    assert caught.value.code() == grpc.StatusCode.ABORTED
    assert tracker.told()[0] == "silo 'west' has begun anew"


OWN = """
import sys
from xgboost.federated import FederatedTracker
key, certificate, trusted = sys.argv[1:]
paths = {"server_key_path": key, "server_cert_path": certificate, "client_cert_path": trusted}
tracker = FederatedTracker(2, 0, secure=True, **paths)
tracker.start()
print("PORT", tracker.worker_args()["dmlc_tracker_port"], flush=True)
tracker.wait_for()
"""
PARAMETERS = {
    "max_depth": 3,
    "max_bin": 32,
    "nthread": 1,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
    "seed_per_iteration": True,
}


def grown(address: str, trusted: str, pool: ThreadPoolExecutor, folder: Path) -> list[bytes]:
    """What two silos grow together at a tracker, each by its own account."""
    import xgboost

    X = np.random.default_rng(1).normal(size=(300, 6))
    bins = xgboost.QuantileDMatrix(np.quantile(X, np.linspace(0, 1, 65), axis=0), max_bin=32)

    def work(rank: int) -> bytes:
        own = folder / str(rank)
        own.mkdir(parents=True)
        rows = X[rank::2]
        matrix = xgboost.QuantileDMatrix(rows, rows[:, 0] * rows[:, 1], ref=bins, max_bin=32)
        meeting = {"federated_server_address": address, "federated_world_size": 2, "federated_rank": rank}
        paths = CREDENTIALS[SILOS[rank]].write(own, trusted)
        with xgboost.collective.CommunicatorContext(dmlc_communicator="federated", **meeting, **paths):
            return bytes(xgboost.train(PARAMETERS, matrix, num_boost_round=4).save_raw("ubj"))

    return list(pool.map(work, range(2)))


def test_trees_are_those_of_xgboosts_own_tracker(tracker: Tracker, pool: ThreadPoolExecutor, tmp_path: Path) -> None:
    two = {name: CREDENTIALS[name].certificate for name in SILOS[:2]}
    gate = tracker.open(two)
    ours = grown(gate.address, gate.certificate, pool, tmp_path / "ours")
    assert ours[0] == ours[1]
    server = Credential.made("127.0.0.1")
    server.write(tmp_path, "\n".join(two.values()))
    files = [str(tmp_path / name) for name in ("key.pem", "certificate.pem", "trusted.pem")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    own = subprocess.Popen([sys.executable, "-c", OWN, *files], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert own.stdout is not None
        port = next(found[1] for line in own.stdout if (found := re.match(r"PORT (\d+)", line)))
        theirs = grown(f"127.0.0.1:{port}", server.certificate, pool, tmp_path / "theirs")
    finally:
        own.kill()
        own.communicate()
    assert theirs == ours
