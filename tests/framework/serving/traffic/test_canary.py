"""A canary is taken back where it does worse, and seldom where it does not, however often it is looked at."""

import numpy as np
import pytest

from framework.serving.traffic.canary import verdict
from framework.serving.traffic.plan import Canary, TrafficError
from framework.serving.traffic.tally import Tally

QUICK = Canary(steps=(50, 100), requests=100, seconds=10)


def tally(
    requests: int, *, errors: int = 0, seconds: float = 0.01, mean: float = 0.5, spread: float = 0.2, seed: int = 0
) -> Tally:
    draw, told = np.random.default_rng(seed), Tally()
    for place in range(requests):
        value = float(draw.normal(mean, spread))
        told.count(500 if place < errors else 200, seconds * float(draw.lognormal(0, 0.5)), [{"prediction": value}])
    return told


def test_a_step_takes_its_requests_and_its_seconds() -> None:
    champion = tally(300)
    assert verdict(QUICK, champion, tally(99, seed=1), seconds=60).do == "wait"
    assert verdict(QUICK, champion, tally(100, seed=1), seconds=9.9).do == "wait"
    assert verdict(QUICK, champion, tally(100, seed=1), seconds=10).do == "advance"


def test_ten_failures_are_enough_and_the_champion_s_own_excuse_them() -> None:
    found = verdict(QUICK, tally(300), tally(10, errors=10, seed=1), seconds=1)
    assert found.do == "back"
    assert found.why.startswith("errors: 10 of 10 requests, ")
    assert "the champion's 0 of 300 (limit 1.0% more)" in found.why
    assert verdict(QUICK, tally(300, errors=290), tally(10, errors=10, seed=1), seconds=1).do == "wait"


def test_a_slower_version_goes_back_unless_its_limit_allows_it() -> None:
    slow = tally(200, seconds=0.02, seed=1)
    found = verdict(QUICK, tally(200), slow, seconds=60)
    assert (found.do, found.why[:9]) == ("back", "latency: ")
    assert verdict(Canary(latency=3.0, requests=100), tally(200), slow, seconds=60).do == "advance"


def test_other_answers_go_back_and_a_little_other_ones_stay() -> None:
    found = verdict(QUICK, tally(200), tally(200, mean=0.8, seed=1), seconds=60)
    assert found.do == "back"
    assert "drift: the mean prediction is 0.77" in found.why
    assert verdict(QUICK, tally(200), tally(200, mean=0.53, seed=1), seconds=60).do == "advance"


def test_a_version_that_does_no_worse_is_seldom_taken_back_by_many_looks() -> None:
    back = 0
    for run in range(30):
        draw, champion, candidate = np.random.default_rng(run), Tally(), Tally()
        for place in range(300):
            for arm in (champion, candidate):
                status = 500 if draw.random() < 0.05 else 200
                arm.count(status, float(draw.lognormal(-4, 1)), [{"prediction": float(draw.normal(0, 1))}])
            if place % 10 == 9 and verdict(QUICK, champion, candidate, seconds=0).do == "back":
                back += 1
                break
    assert back <= 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steps": (5, 1, 100)}, "they grow"),
        ({"steps": (5, 50)}, "to 100 percent"),
        ({"steps": ()}, "they grow"),
        ({"requests": 0}, "requests of a step are 0"),
        ({"latency": 0.5}, "latency of the canary is 0.5"),
        ({"alpha": float("nan")}, "alpha of the canary is nan"),
    ],
)
def test_a_canary_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(TrafficError, match=said):
        Canary(**wrong)
