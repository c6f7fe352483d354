"""Silos and coordinators that are really stopped and killed, in processes of Ray; and a federation in a contest."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from cluster.connect import Session
from federated import FederatedAverage, LocalOnly, channel, strategies
from federated.audit import verify
from federated.border import AUDIT, folder_name
from federated.channel import LostSiloError, OnRay, end_hosts, start_hosts
from federated.coordinator_actor import CoordinatorActor
from federated.exchange import FederationError
from federated.message import Message
from federated.rounds import Coordinator, Outcome, Terms
from federated.secure_aggregation.identity import found
from federated.silo import Silo
from framework import Context, compete, load
from framework.contenders import Linear
from tests.federated.portfolios import QUICK, filed, held_federation, job_of, rents
from tests.federated.sums import Watched

JOB = job_of(strategies.FineTuned(strategies.FedAdam(), epochs=2), rounds=4, keep=True, optimizer="adamw")
SILOS = tuple(source.name for source in filed())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The same federation in this process, where nothing happens to it."""
    return held_federation(JOB, tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def hosts(ray_session: Session, tmp_path: Path) -> Iterator[tuple[OnRay, list[Any]]]:
    channel, actors = start_hosts(filed(), hosts=2, folder=tmp_path / "silos", cpus=0)
    yield channel, actors
    end_hosts(actors)


def pid(actor: Any) -> int:
    import ray

    return int(ray.get(actor.__ray_call__.remote(lambda _: os.getpid())))


def same(a: Outcome, b: Outcome) -> bool:
    return all(np.abs(a.weights[name] - b.weights[name]).max() <= 1e-6 for name in a.weights)


def test_a_host_that_is_killed_in_a_round_comes_back_and_nothing_is_lost(
    hosts: tuple[OnRay, list[Any]], undisturbed: Outcome, tmp_path: Path
) -> None:
    channel, actors = hosts
    coordinator = Coordinator(channel, JOB, Terms(quorum=5), tmp_path / "coordinator")
    process = pid(actors[1])
    asked = channel.ask
    trained = 0

    def ask(silos: list[str], request: bytes) -> dict[str, Any]:
        nonlocal trained
        trained += b'"train"' in request[:80]
        if trained == 2 and process in stopped:
            tickets = asked(silos, request)
            os.kill(process, signal.SIGKILL)  # with the question in its hands
            stopped.clear()
            return tickets
        return asked(silos, request)

    stopped = {process}
    object.__setattr__(channel, "ask", ask)
    outcome = coordinator.run()
    assert not stopped
    lost = {happening.silo for happening in outcome.happenings if happening.what == "lost"}
    assert lost
    assert {happening.silo for happening in outcome.happenings if happening.what == "returned"} == lost
    assert same(outcome, undisturbed)
    assert outcome.members == undisturbed.members


def test_a_coordinator_that_is_killed_in_a_round_goes_on_from_its_checkpoint(
    hosts: tuple[OnRay, list[Any]], undisturbed: Outcome, tmp_path: Path
) -> None:
    import ray

    channel, actors = hosts
    folder = tmp_path / "coordinator"
    options = {"num_cpus": 0, "max_concurrency": 2, "max_restarts": 1, "max_task_retries": 1}
    coordinator = ray.remote(CoordinatorActor).options(**options).remote()
    running = coordinator.run.remote(channel, JOB, Terms(quorum=5), folder)
    while len(ray.get(coordinator.progress.remote())) < 2:
        assert not ray.wait([running], timeout=0.01)[0]
    held = pid(actors[0])
    os.kill(held, signal.SIGSTOP)  # so that a round is under way for as long as this test wants
    os.kill(pid(coordinator), signal.SIGKILL)
    os.kill(held, signal.SIGCONT)
    outcome: Outcome = ray.get(running)
    ray.kill(coordinator)
    assert same(outcome, undisturbed)
    assert outcome.scores == pytest.approx(undisturbed.scores, abs=1e-6)


def test_a_late_silo_is_waited_for_until_the_deadline_and_takes_part_again(
    hosts: tuple[OnRay, list[Any]], tmp_path: Path
) -> None:
    import ray

    channel, actors = hosts
    coordinator = Coordinator(channel, job_of(strategies.FedAvg(), rounds=1), Terms(quorum=2), tmp_path / "c")
    coordinator.run()
    late = {silo for silo, host in channel.hosts.items() if host is actors[1]}
    process, exchange = pid(actors[1]), coordinator._exchange
    os.kill(process, signal.SIGSTOP)
    try:
        for exchange.seconds in (3.0, 20.0, 120.0):  # the others answer in time, however busy the machine is
            try:
                coordinator._round()
                break
            except FederationError:
                ray.wait(list(exchange._late.values()), num_returns=len(exchange._late) - len(late))
        assert late <= set(exchange._late)
    finally:
        os.kill(process, signal.SIGCONT)
    assert late <= {happening.silo for happening in exchange.happenings if happening.what == "late"}
    ray.wait(list(exchange._late.values()), num_returns=len(exchange._late))
    exchange.seconds = 600.0
    before = len(exchange.happenings)
    coordinator._round()
    assert late <= {happening.silo for happening in exchange.happenings[before:] if happening.what == "discarded"}
    assert not exchange._late
    assert set(coordinator._judged.losses) == set(SILOS)


def test_a_host_that_is_killed_in_a_secure_sum_drops_out_of_it_and_takes_part_again(
    ray_session: Session, tmp_path: Path
) -> None:
    job = job_of(strategies.FedAvg(), rounds=3, secure=True)
    channel, actors = start_hosts(filed(), hosts=3, folder=tmp_path / "silos", cpus=0, identities=found(SILOS))
    alone = channel.silos[2]  # the only one of its host
    process, asked = pid(actors[2]), channel.ask

    def ask(silos: list[str], request: bytes) -> dict[str, Any]:
        question = Message.from_bytes(request)
        if alone in silos and (question.kind, question.round) == ("mask", 2) and psutil.pid_exists(process):
            os.kill(process, signal.SIGKILL)  # the others have masks in common with it
        return asked(silos, request)

    object.__setattr__(channel, "ask", ask)
    outcome = Coordinator(channel, job, Terms(quorum=4), tmp_path / "c").run()
    end_hosts(actors)
    told = [str(happening) for happening in outcome.happenings if happening.silo == alone]
    assert any("round 2" in line and "its process is new, or it has withdrawn" in line for line in told)
    assert told[-1] == f"round 3: silo {alone!r} returned"
    assert {happening.silo for happening in outcome.happenings} == {alone}
    without = Watched(filed(), gone={alone: "masked"})
    expected = Coordinator(without, job, Terms(quorum=4), tmp_path / "d").run()
    assert all(np.abs(outcome.weights[name] - expected.weights[name]).max() < 1e-3 for name in expected.weights)


def test_silos_of_one_host_answer_in_few_calls_and_one_that_cannot_be_opened_takes_no_other_with_it(
    ray_session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Message("join", facts={"job": JOB.to_facts()}).to_bytes()
    broken = tmp_path / folder_name(SILOS[1])
    broken.mkdir()
    (broken / AUDIT).write_text("no line of an audit\n")
    sent = {source.name: Silo(source).answer(asked) for source in filed()}
    host, actors = start_hosts(filed(), hosts=1, folder=tmp_path, cpus=0)
    for inline in (channel.INLINE, 1):  # with the calls, and from where all hosts can read it
        monkeypatch.setattr(channel, "INLINE", inline)
        monkeypatch.setattr(channel, "TOGETHER", 2)
        tickets = host.ask(SILOS, asked)
        assert tuple(tickets) == SILOS
        assert len({ticket.task_id() for ticket in tickets.values()}) == 3  # 2, 2 and 1 of five silos
        for silo in set(SILOS) - {SILOS[1]}:
            assert host.take(tickets[silo]) == sent[silo]
        with pytest.raises(LostSiloError, match="cannot answer \\(AuditError\\)"):
            host.take(tickets[SILOS[1]])
    end_hosts(actors)


def test_a_federation_stands_on_the_leaderboard_beside_each_silo_alone(ray_session: Session, tmp_path: Path) -> None:
    split = load(rents().drop(columns="dear"), target="rent", silo="owner")
    federated = FederatedAverage(**{**QUICK, "hosts": 1, "audit": str(tmp_path), "secure": True})  # type: ignore[arg-type]
    board = compete([federated, LocalOnly(), Linear()], split, minutes=5.0)
    assert {entry.name for entry in board.entries} == {"federated", "local only", "linear"}, board
    assert verify(tmp_path / "owner%200" / AUDIT)[0] > 5
    lines = (tmp_path / "owner%200" / AUDIT).read_text()
    assert '"kind": "masked"' in lines
    assert '"kind": "update"' not in lines


def test_what_a_silo_refuses_is_remarked(ray_session: Session, tmp_path: Path) -> None:
    remarks: list[str] = []
    table = rents().drop(columns="dear")
    table = table.drop(index=table.index[table.owner == "owner 3"][4:])
    split = load(table, target="rent", silo="owner", test=0.1, valid=0.1)
    made = FederatedAverage(**{**QUICK, "hosts": 2})  # type: ignore[arg-type]
    model = made.fit(split.fold, Context(teller=remarks.append, folder=tmp_path))
    assert any("silo 'owner 3' refused" in remark for remark in remarks)
    assert "owner 3" not in model.members
    assert np.isfinite(model.predict(split.test.X)).all()
