"""A key meets the same version everywhere, by its weight, and moves only where it has to."""

import collections
import subprocess
import sys

import pytest

from framework.serving.traffic.buckets import BUCKETS, Turns, bucket_of, deal


def table(weights: dict[str, float], before=()) -> list[str]:
    dealt = deal(weights, before)
    return [dealt.arm(bucket) for bucket in range(BUCKETS)]


@pytest.mark.parametrize(
    "weights", [{"1": 50, "2": 50}, {"1": 90, "2": 10}, {"1": 99, "2": 1}, {"1": 3, "2": 2, "3": 5}]
)
def test_ten_thousand_requests_meet_the_arms_by_their_weights_to_one_percent(weights: dict[str, float]) -> None:
    dealt, whole = deal(weights), sum(weights.values())
    turns = Turns(1_234)
    by_id = collections.Counter(dealt.arm(bucket_of(f"request {place}", "cars")) for place in range(10_000))
    in_turn = collections.Counter(dealt.arm(turns.bucket()) for _ in range(10_000))
    for arm, weight in weights.items():
        assert dealt.share(arm) == pytest.approx(weight / whole, abs=1 / BUCKETS)
        assert in_turn[arm] == pytest.approx(10_000 * weight / whole, abs=1)
        assert by_id[arm] == pytest.approx(10_000 * weight / whole, abs=100)


def test_a_short_run_of_turns_is_shared_out_too() -> None:
    dealt = deal({"1": 75, "2": 25})
    for start in (0, 17, 9_999):
        turns = Turns(start)
        met = collections.Counter(dealt.arm(turns.bucket()) for _ in range(40))
        assert met["2"] == pytest.approx(10, abs=2)


def test_growing_an_arm_moves_keys_to_it_alone_and_no_more_than_it_needs() -> None:
    weights = {"1": 50.0, "2": 30.0, "3": 20.0}
    before = deal(weights)
    after = deal({**weights, "3": 100.0}, before.runs)
    moved = [(one, other) for b in range(BUCKETS) if (one := before.arm(b)) != (other := after.arm(b))]
    assert {other for _, other in moved} == {"3"}
    assert len(moved) == pytest.approx(BUCKETS * (100 / 180 - 0.2), abs=1)


@pytest.mark.parametrize("steps", [[1, 5, 25, 50, 100], [60, 20, 80]])
def test_of_two_arms_the_way_does_not_matter(steps: list[float]) -> None:
    runs = deal({"1": 100}).runs
    for step in steps:
        weights = {arm: weight for arm, weight in (("1", 100.0 - step), ("2", float(step))) if weight}
        runs = deal(weights, runs).runs
        assert runs == deal(weights).runs


def test_an_arm_that_goes_leaves_the_others_keys_where_they_were() -> None:
    before = deal({"1": 40, "2": 40, "3": 20})
    after = deal({"1": 40, "3": 20}, before.runs)
    assert all(after.arm(b) == before.arm(b) for b in range(BUCKETS) if before.arm(b) != "2")
    assert after.share("2") == 0


def test_weights_that_do_not_divide_are_dealt_whole() -> None:
    assert collections.Counter(table({"1": 1, "2": 1, "3": 1})) == {"1": 3_334, "2": 3_333, "3": 3_333}


def test_another_process_and_another_hash_seed_find_the_same_bucket() -> None:
    code = "from framework.serving.traffic.buckets import bucket_of; print(bucket_of('zoë 7', 'cars'))"
    told = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(told.stdout) == bucket_of("zoë 7", "cars")
    assert bucket_of("7", "cars1") != bucket_of("17", "cars")


def test_two_names_draw_apart() -> None:
    both = sum(bucket_of(f"k{n}", "a") < 5_000 and bucket_of(f"k{n}", "b") < 5_000 for n in range(10_000))
    assert both == pytest.approx(2_500, abs=200)
