"""Which fit starts next: first folds, then the most promising ones' others, and nothing that cannot be done in time."""

from collections.abc import Callable
from dataclasses import replace

from framework.contenders import Constant, Linear, XGBoost
from framework.contest.schedule import FLOOR_SECONDS, SHORTEST, Job, Schedule

A, B, C = Constant(name="a"), Linear(name="b"), XGBoost(name="c")


def schedule(*, folds: int = 3, until: float = 100.0, cpus: float = 1.0, safe: int = 0) -> Schedule:
    """The later in the alphabet the more promising."""
    promising: Callable[[list[str]], list[str]] = lambda names: sorted(names)[::-1]  # noqa: E731
    return Schedule([A, B, C], folds=folds, cpus=cpus, began=0.0, until=until, promising=promising, safe=safe)


def played(plan: Schedule, lasting: dict[str, float]) -> list[str]:
    """One fit after the other, each as long as told."""
    now, order = 0.0, []
    while job := plan.next(now, running=0):
        plan.started(job)
        order.append(f"{job.contender.name}{job.fold}")
        now += lasting[job.contender.name]
        plan.ended(job.contender.name, lasting[job.contender.name])
        assert len(order) < 100
    return order


def test_first_folds_come_first_and_then_the_most_promising() -> None:
    assert played(schedule(), {"a": 1, "b": 1, "c": 1}) == ["a0", "b0", "c0", "c1", "c2", "b1", "b2", "a1", "a2"]


def test_the_safe_ones_do_not_wait_with_their_other_folds_where_these_are_quick() -> None:
    assert played(schedule(safe=2), {"a": 1, "b": 1, "c": 1})[:6] == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert played(schedule(safe=2), {"a": 1, "b": 15, "c": 1})[:5] == ["a0", "a1", "a2", "b0", "c0"]


def test_who_costs_next_to_nothing_is_done_at_once() -> None:
    assert played(schedule(), {"a": 0.5, "b": 3, "c": 1})[:4] == ["a0", "a1", "a2", "b0"]


def test_one_fold_is_one_fit_each() -> None:
    assert played(schedule(folds=1), {"a": 1, "b": 1, "c": 1}) == ["a0", "b0", "c0"]


def test_what_cannot_be_done_in_time_does_not_begin() -> None:
    """c would need 60 s more of the 38 that are left; b and a are done instead."""
    assert played(schedule(until=70.0), {"a": 1, "b": 1, "c": 30}) == ["a0", "b0", "c0", "b1", "b2", "a1", "a2"]


def test_late_in_the_contest_what_has_begun_goes_on_first() -> None:
    """After b's first fold four tenths of the time are over: b and a are finished, then c begins."""
    assert played(schedule(), {"a": 1, "b": 40, "c": 1})[:4] == ["a0", "b0", "a1", "a2"]


def test_a_contender_that_was_lost_is_not_tried_again() -> None:
    plan = schedule()
    for _ in range(3):
        job = plan.next(0.0, running=0)
        assert job is not None
        plan.started(job)
        if job.contender is C:
            plan.lost("c")
        else:
            plan.ended(job.contender.name, 1.0)
    assert played(plan, {"a": 1, "b": 1}) == ["b1", "b2", "a1", "a2"]


def test_the_floors_start_whatever_the_time() -> None:
    plan = schedule(until=1.0)
    first = plan.next(0.9, running=0)
    assert first == Job(A, 0, FLOOR_SECONDS)


def test_a_share_leaves_time_for_the_others_folds() -> None:
    job = schedule(folds=5, until=150.0).next(0.0, running=0)
    assert job is not None
    assert job.seconds == 2.0 * 150 / (5 * 3)
    wide = schedule(folds=5, until=150.0, cpus=2.0).next(0.0, running=0)
    assert wide == replace(job, seconds=2 * job.seconds)


def test_many_that_wait_are_not_all_turned_away_while_one_could_be_tried() -> None:
    many = [Linear(name=f"linear_{place}") for place in range(30)]
    plan = Schedule(many, folds=8, cpus=2.0, began=0.0, until=12.0, promising=sorted, safe=0)
    job = plan.next(1.0, running=0)
    plan.started(job)
    plan.ended(job.contender.name, 0.5)
    plan.started(plan.next(1.5, running=0))
    assert plan.next(2.0, running=1) == Job(many[2], 0, SHORTEST)


def test_with_hardly_any_time_left_no_other_fold_begins() -> None:
    plan = schedule(until=10.0)
    for name in ("a", "b", "c"):
        job = plan.next(0.0, running=0)
        assert job is not None
        plan.started(job)
        plan.ended(name, 0.5)
    assert plan.next(9.5, running=0) is None
