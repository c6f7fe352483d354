"""When an iterated fit stops: by its score, or by the time that its rounds take."""

import time

import pytest

from framework.contender import Context
from framework.contenders.watch import Watch


def test_what_an_engine_does_before_its_first_round_is_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "time", lambda: now)
    watch = Watch(Context(deadline=1020.0), patience=0, began=now)
    now += 5.0
    assert not watch.stop(0, None)
    assert watch.pace == 5.0  # nothing better is known
    for round_ in range(1, 5):
        now += 0.1
        assert not watch.stop(round_, None)
    assert watch.pace == pytest.approx(0.1)
    assert watch.affordable == pytest.approx((14.6 - watch.spare) / 0.1)


def test_it_stops_before_a_round_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "time", lambda: now)
    watch = Watch(Context(deadline=10.0), patience=0, began=now)
    round_ = 0
    while not watch.stop(round_, None):
        now += 1.0
        round_ += 1
    assert 10.0 - watch.spare - 1.5 <= now < 10.0 - watch.spare


def test_it_stops_when_no_round_has_been_better_for_a_while() -> None:
    watch = Watch(Context(), patience=3)
    scores = [0.5, 0.4, 0.3, 0.35, 0.31, 0.32]
    assert [watch.stop(round_, score) for round_, score in enumerate(scores)] == [*[False] * 5, True]
    assert (watch.best_round, watch.best) == (2, 0.3)
