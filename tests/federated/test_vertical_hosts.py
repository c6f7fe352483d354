"""Parties in processes of Ray: the same net as in one process, also when one is really killed; and none is left."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
import torch

from cluster.connect import Session
from federated.audit import verify
from federated.vertical.links import Links, LostPartyError, VerticalTimeError
from federated.vertical.owner import Owner, Trained
from federated.vertical.plan import PartyJob, Schedule, VerticalError
from federated.vertical.reach import Far, PartyHost, reached
from framework.contender import Context
from framework.sealed import read
from tests.federated.patients import NET, PARTIES, QUICK, federation, patients, people

EPOCHS, BATCH = 4, 32
Watch = Callable[[str, bytes], None]  # told of each question before it is sent: to whom, and what


def ours() -> set[int]:
    """Processes of this machine that own parties."""
    found = psutil.process_iter(["cmdline", "status"])
    alive = (each for each in found if each.info["status"] != psutil.STATUS_ZOMBIE)
    return {each.pid for each in alive if "PartyHost" in " ".join(each.info["cmdline"] or ())}


def left(before: set[int]) -> set[int]:
    """Those that do not end, though they are waited for."""
    until = time.monotonic() + 240
    while ours() - before and time.monotonic() < until:
        time.sleep(0.1)
    return ours() - before


class Crew:
    """The patients' parties in actors. folder: where they keep."""

    def __init__(self, far: Far, folder: Path, agreed: list[str] | None) -> None:
        self.far, self.folder, self._agreed = far, folder, agreed

    def pid(self, party: str) -> int:
        return int(ray.get(self.far.hosts[party].__ray_call__.remote(lambda _: os.getpid())))

    def kill(self, party: str) -> None:
        os.kill(self.pid(party), signal.SIGKILL)

    def train(
        self, on: Watch, *, epochs: int = EPOCHS, deadline: float = float("inf"), links: Links | None = None
    ) -> Trained:
        """With an owner in this process that tells whom it is about to ask."""
        links = links or Links("owner", self.far, deadline=deadline)
        links.reach = Watched(self.far, on)
        owner, answers, parties = people(patients().fold)
        jobs = {p.name: PartyJob(tuple((c.name, c.kind) for c in p.schema.columns), epochs, NET) for p in parties}
        made = Owner(owner, answers, links, jobs, agreed=self._agreed)
        return made.train(NET, Schedule(epochs, 0, BATCH), metric="rmse", context=Context(deadline=deadline))


class Watched:
    """Parties, and whoever is told what they are about to be asked."""

    def __init__(self, far: Far, on: Watch) -> None:
        self._far, self._on = far, on
        self.collect = far.collect

    def ask(self, questions: Mapping[str, Sequence[bytes]]) -> dict[str, Any]:
        for party, asked in questions.items():
            for request in asked:
                self._on(party, request)
        return self._far.ask(questions)


@contextmanager
def started(folder: Path, *, hosts: int, psi: bool = False) -> Iterator[Crew]:
    """A crew of which no process is left."""
    owner, _, parties = people(patients().fold)
    agreed = None if psi else sorted(set(owner.ids).intersection(*(each.ids for each in parties)))
    before = ours()
    with reached(parties, agreed=agreed, audit=None, folder=folder, hosts=hosts, cpus=0.0) as far:
        assert isinstance(far, Far)
        assert len(ours() - before) <= hosts
        crew = Crew(far, folder, agreed)
        crew.pid("clinic")
        yield crew
    assert not left(before)


@pytest.fixture(scope="module")
def crew(ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """For tests after which it can be asked again; it takes seconds to start."""
    with started(tmp_path_factory.mktemp("crew"), hosts=2) as here:
        yield here


def nothing(party: str, request: bytes) -> None:
    """Nobody watches."""


def at(*moments: tuple[str, str, int, Callable[[], None]]) -> Watch:
    """Each moment (party, question, how often it was asked that before): calls what is to be done right before."""
    seen: dict[tuple[str, str], int] = {}

    def watch(party: str, request: bytes) -> None:
        kind = request.split(b'"', 4)[3].decode()
        for who, question, times, then in moments:
            if (who, question, times) == (party, kind, seen.get((party, kind), 0)):
                then()
        seen[party, kind] = seen.get((party, kind), 0) + 1

    return watch


def same(a: Trained, b: Trained) -> bool:
    """To the last bit."""
    assert set(a.bottoms) == set(b.bottoms) == {"owner", *PARTIES}
    nets = [(a.top, b.top), *((a.bottoms[party], b.bottoms[party]) for party in a.bottoms), (a.means, b.means)]
    return all(np.array_equal(one[name], other[name]) for one, other in nets for name in {**one, **other})


@pytest.fixture(scope="module")
def undisturbed() -> Trained:
    """The same net with all parties in this process, where nothing happens to them."""
    return federation(patients().fold, epochs=EPOCHS)


def test_in_actors_it_is_the_model_and_the_audit_of_one_process(ray_session: Session, tmp_path: Path) -> None:
    split, told, before = patients(), {}, ours()
    for name, hosts in (("near", 0), ("far", 2)):
        net = replace(QUICK, hosts=hosts, cpus=0.5, audit=str(tmp_path / name))
        told[name] = net.fit(split.fold, Context(seed=3, folder=tmp_path)).predict(split.test.X)
    assert np.array_equal(told["near"], told["far"])
    assert not left(before)
    for party in ("owner", *PARTIES):
        near, far = (tmp_path / name / party / "audit.jsonl" for name in ("near", "far"))
        assert verify(near)[0] == verify(far)[0] > 8
        said = [[(line["kind"], line["sha256"]) for line in read(path)[0]] for path in (near, far)]
        assert said[0] == said[1]
    assert {each.name for each in tmp_path.iterdir()} == {"near", "far"}  # what parties kept is gone with the fit


def test_a_fit_says_what_it_takes() -> None:
    assert (QUICK.resources.workers, QUICK.resources.apart) == (1, False)
    hosted = replace(QUICK, hosts=2)
    assert (hosted.resources.workers, hosted.resources.apart) == (3, False)  # the owner learns in the fit's own process
    assert hosted.resources.options() == {"num_cpus": 1.0}
    assert replace(QUICK, hosts=9).resources.workers == 3
    assert hosted.alone().resources.workers == hosted.joined().resources.workers == 1


def test_a_party_that_is_killed_comes_back_and_nothing_is_lost(crew: Crew, undisturbed: Trained) -> None:
    processes = {crew.pid("clinic")}

    def killed() -> None:
        crew.kill("clinic")
        processes.add(crew.pid("clinic"))

    moments = [
        ("clinic", "embed", 1, lambda: crew.kill("clinic")),  # in the first epoch, with the question in its hands
        ("clinic", "keep", 2, lambda: crew.kill("clinic")),  # after the second, when the laboratory has been told
        ("clinic", "disclose", 0, killed),
    ]
    trained = crew.train(at(*moments))
    assert [each.rpartition("kept ")[2] for each in trained.happenings] == [f"after epoch {n}" for n in (0, 1, EPOCHS)]
    assert all("'clinic' was lost" in each for each in trained.happenings)
    assert len(processes) == 2
    assert same(trained, undisturbed)
    assert trained.scores == undisturbed.scores


def test_a_party_that_comes_back_without_what_it_kept_is_named(crew: Crew) -> None:
    def emptied() -> None:
        for folder in crew.folder.glob("parties-*/laboratory"):
            shutil.rmtree(folder)
        crew.kill("laboratory")

    sentence = "party 'laboratory' was lost at 'restore': its process is a new one. What its net had learned was with"
    with pytest.raises(LostPartyError, match=sentence):
        crew.train(at(("laboratory", "descend", 4, emptied)))


def test_a_party_that_is_gone_for_good_is_named_within_seconds(ray_session: Session, tmp_path: Path) -> None:
    with started(tmp_path, hosts=1) as here:
        when: list[float] = []

        def gone() -> None:
            when.append(time.monotonic())
            ray.kill(here.far.hosts["clinic"], no_restart=True)

        moments = [
            ("clinic", "embed", 1, lambda: here.kill("clinic")),  # both are lost, and come back
            ("clinic", "keep", 2, gone),
        ]
        with pytest.raises(LostPartyError, match=r"party '\w+' was lost at 'restore': its process ended"):
            here.train(at(*moments))
        assert time.monotonic() - when[0] < 240


def test_a_party_that_is_killed_while_ids_are_matched_is_named(ray_session: Session, tmp_path: Path) -> None:
    told = "party 'clinic' was lost at 'match': its process is a new one"
    with started(tmp_path, hosts=1, psi=True) as here, pytest.raises(LostPartyError, match=told):
        here.train(at(("clinic", "match", 0, lambda: here.kill("clinic"))))


@pytest.mark.parametrize("over", [False, True])
def test_a_party_that_is_late_is_named(over: bool, crew: Crew) -> None:
    """A process that is really stopped: beyond the time of a question, and of the fit."""
    process, links = crew.pid("laboratory"), Links("owner", crew.far)

    def stopped() -> None:
        os.kill(process, signal.SIGSTOP)
        links.seconds, links.deadline = (600.0, time.time() + 1.0) if over else (1.0, float("inf"))

    told = "the time was over before party 'laboratory' had answered" if over else (
        "party 'laboratory' has not answered 'embed' in 1 s. See .* give it longer"
    )  # fmt: skip
    try:
        with pytest.raises(VerticalTimeError if over else VerticalError, match=told):
            crew.train(at(("laboratory", "embed", 4, stopped)), links=links)
    finally:
        os.kill(process, signal.SIGCONT)


def test_a_stopped_process_is_ended_too(ray_session: Session, tmp_path: Path) -> None:
    with started(tmp_path, hosts=1) as here:
        os.kill(here.pid("clinic"), signal.SIGSTOP)


def test_a_net_gone_wrong_in_its_actor_is_refused_by_name(crew: Crew) -> None:
    def spoil(host: PartyHost) -> None:
        half = host._parties["clinic"]._half
        assert half is not None
        with torch.no_grad():
            half.net.out.bias[0] = float("nan")

    def spoiled() -> None:
        ray.get(crew.far.hosts["clinic"].__ray_call__.remote(spoil))

    with pytest.raises(VerticalError, match=r"party 'clinic' told embeddings that are not finite.*: \(32, 4\), 32 of"):
        crew.train(at(("clinic", "embed", 4, spoiled)))


def test_with_hosts_the_time_is_kept_and_the_best_so_far_is_the_model(crew: Crew) -> None:
    deadline = time.time() + 10
    trained = crew.train(nothing, epochs=1_000_000, deadline=deadline)
    assert time.time() < deadline + 60  # of a million epochs
    assert 1 <= trained.epochs < 1_000_000


@pytest.mark.parametrize(
    ("seconds", "round_seconds", "error", "sentence"),
    [
        (0.3, 600.0, VerticalTimeError, "the time was over before party 'laboratory' had answered 'prepare'"),
        (600.0, 0.2, VerticalError, "'laboratory' has not answered 'prepare' in 0.2 s"),
    ],
)
def test_actors_that_do_not_start_in_time_are_ended(
    seconds: float,
    round_seconds: float,
    error: type[VerticalError],
    sentence: str,
    ray_session: Session,
    tmp_path: Path,
) -> None:
    before, net = ours(), replace(QUICK, hosts=1, cpus=0.5, round_seconds=round_seconds)
    with pytest.raises(error, match=sentence):
        net.fit(patients().fold, Context(deadline=time.time() + seconds, folder=tmp_path))
    assert not left(before)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_fit_leaves_no_process(ray_session: Session, tmp_path: Path) -> None:
    before, seen = ours(), set[int]()

    def interrupt(step: int, metrics: dict[str, float]) -> None:
        seen.update(ours() - before)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(QUICK, hosts=1, cpus=0.5).fit(patients().fold, Context(sink=interrupt, folder=tmp_path))
    assert len(seen) == 1
    assert not left(before)
    assert not list(tmp_path.iterdir())
