"""Parties in actors in a contest: beside other contenders, in time, and nothing of them is left, however a fit ends."""

import os
import signal
import time
from dataclasses import replace
from typing import Any

import psutil
import pytest

from cluster.connect import Session
from cluster.resources import ResourcesError
from federated.vertical.vertical_net import VerticalNet
from framework import compete
from framework.contenders import Linear
from framework.contest.report import Report
from framework.leaderboard import Leaderboard
from tests.federated.patients import QUICK, patients
from tests.federated.test_vertical_hosts import left, ours

HOSTED = replace(QUICK, hosts=2, cpus=0.5, name="hosted")  # one and a half of the session's two CPUs
ENDLESS = replace(HOSTED, epochs=1_000_000)


def raced(net: VerticalNet, *others: Any, minutes: float, on: Any = None) -> Leaderboard:
    """The board of a contest of which no process of a party is left."""
    before = ours()
    board = compete([net, *others], patients(), minutes=minutes, folds=1, refit=False, observers=[on] if on else [])
    assert not left(before)
    return board


def test_in_a_contest_it_is_the_entry_of_one_process(ray_session: Session) -> None:
    board = raced(HOSTED, replace(QUICK, name="near"), Linear(), minutes=4.0)
    assert {entry.name: entry.status for entry in board.entries} == dict.fromkeys(("hosted", "near", "linear"), "done")
    scores = {entry.name: entry.score for entry in board.entries}
    assert scores["hosted"] == scores["near"]


def test_two_that_need_more_than_half_of_the_cpus_take_turns(ray_session: Session) -> None:
    """Side by side each would wait for the other's last CPU."""
    board = raced(HOSTED, replace(HOSTED, name="second"), minutes=4.0)
    assert {entry.name for entry in board.entries} == {"hosted", "second"}, board


def test_more_cpus_than_there_are_is_refused_before_anything_starts(ray_session: Session) -> None:
    before = ours()
    with pytest.raises(ResourcesError, match=r"hosted asks for 3 worker\(s\) with 3 CPU in all; the cluster has 2 CPU"):
        compete([replace(HOSTED, cpus=1.0)], patients(), minutes=1.0)
    assert ours() == before


class Watching:
    """An observer that does something once, at the first epoch of a hosted net that the contest is told of."""

    def __init__(self) -> None:
        self.before, self.parties = ours(), set[int]()

    def reported(self, report: Report) -> None:
        if report.contender == "hosted" and report.metrics and not self.parties:
            self.parties = ours() - self.before
            self.act()

    def act(self) -> None:
        raise NotImplementedError

    def entered(self, contenders: Any) -> None: ...
    def began(self, name: str) -> None: ...
    def ended(self, row: Any) -> None: ...
    def closed(self, board: Leaderboard) -> None: ...


class Killing(Watching):
    def act(self) -> None:
        every = psutil.process_iter(["cmdline"])
        fits = [each for each in every if "ray::fit hosted" in " ".join(each.info["cmdline"] or ())]
        assert len(fits) == 1
        fits[0].kill()


class Stopping(Watching):
    def act(self) -> None:
        os.kill(min(self.parties), signal.SIGSTOP)


def test_a_fit_that_is_killed_is_a_row_and_takes_its_parties_with_it(ray_session: Session) -> None:
    watch = Killing()
    board = raced(ENDLESS, Linear(), minutes=4.0, on=watch)
    assert len(watch.parties) == 2
    assert [(row.name, row.status) for row in board.failures] == [("hosted", "killed")]
    assert [entry.name for entry in board.entries] == ["linear"]


def test_a_party_that_stops_costs_the_contest_no_more_than_its_time(ray_session: Session) -> None:
    watch, began = Stopping(), time.monotonic()
    board = raced(ENDLESS, Linear(), minutes=0.7, on=watch)
    assert time.monotonic() - began < 300  # of ten minutes that a question may take
    assert [(row.name, row.status) for row in board.failures] == [("hosted", "out of time")]
    assert "the time was over before party" in board.failures[0].reason
    assert [entry.name for entry in board.entries] == ["linear"]
