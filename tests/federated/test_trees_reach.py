"""Those who wait for a silo inside XGBoost hear of it when it is lost, gives up or is late."""

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from federated.channel import LostSiloError
from federated.message import Message
from federated.trees.reach import Guarded, Nowhere, Threads, reached
from tests.federated.portfolios import filed, rents


@pytest.fixture(scope="module")
def silos() -> Iterator[Threads]:
    made = Threads(filed(rents(rows=20, silos=2)))
    yield made
    made.close()


def test_a_late_silo_ends_the_session_and_the_others_answer_in_time(silos: Threads) -> None:
    late: Future[bytes] = Future()
    waiting: Future[bytes] = Future()
    told: list[str] = []

    def stop(why: str) -> None:
        told.append(why)
        waiting.set_result(Message("broken", "owner 0").to_bytes())

    ready = Guarded(silos, stop).wait({"owner 0": waiting, "owner 1": late}, 0.2)
    assert ready == ["owner 0"]
    assert told == ["a silo is late"]
    done = Guarded(silos, told.append).wait({"owner 0": waiting, "owner 1": late}, 0.2)
    assert (done, len(told)) == (["owner 0"], 1)


@pytest.mark.parametrize(
    ("kind", "stopped"),
    [("grown", []), ("enrolled", [])]
    + [(k, ["a silo broke off"]) for k in ("broken", "failure", "refusal", "withdrawn")],
)
def test_a_silo_that_gives_up_ends_the_session(kind: str, stopped: list[str], silos: Threads) -> None:
    told: list[str] = []
    ticket: Future[bytes] = Future()
    ticket.set_result(Message(kind, "owner 1", 3, {"reason": "none"}).to_bytes())
    assert Message.from_bytes(Guarded(silos, told.append).take(ticket)).kind == kind
    assert told == stopped


def test_a_lost_silo_ends_the_session(silos: Threads) -> None:
    told: list[str] = []
    ticket: Future[bytes] = Future()
    ticket.set_exception(LostSiloError("its process ended"))
    with pytest.raises(LostSiloError):
        Guarded(silos, told.append).take(ticket)
    assert told == ["a silo is lost"]


def test_silos_that_do_not_meet_have_no_tracker() -> None:
    with reached(filed(rents(rows=20, silos=2)), None, hosts=0, cpus=1.0, tracked=False) as (channel, tracker):
        assert channel.silos == ("owner 0", "owner 1")
        assert isinstance(tracker, Nowhere)
        assert tracker.told() == ("", {}, {})
