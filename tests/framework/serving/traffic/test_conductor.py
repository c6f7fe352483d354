"""One decides: by what all replicas report, and what it has decided outlives it."""

from typing import Any

import pytest

from framework.serving.traffic.buckets import Deal
from framework.serving.traffic.conductor import Conductor
from framework.serving.traffic.plan import Arm, Canary, Plan, Question
from framework.serving.traffic.tally import Tally

BASE = "models:/cars/1"
STEPS = (5.0, 50.0, 100.0)


def plan(**more: Any) -> dict[str, Any]:
    arms = (Arm(BASE, "1"), Arm("models:/cars/2", "2"))
    return Plan(BASE, Question("regression", "rmse", "mpg"), arms, **more).to_json()


def canary(requests: int = 100) -> dict[str, Any]:
    return plan(canary=Canary(steps=STEPS, requests=requests, seconds=0))


def tally(requests: int, *, errors: int = 0) -> dict[str, Any]:
    told = Tally()
    for place in range(requests):
        told.count(500 if place < errors else 200, 0.01, [{"prediction": 20.0 + place % 3}])
    return told.to_json()


class Reporting:
    """A replica that does what it is told, and counts what it is made to."""

    def __init__(self, conductor: Conductor, name: str) -> None:
        self.conductor, self.name = conductor, name
        self.epoch = 0
        self.counted: dict[int, dict[str, Any]] = {}

    def report(self, *, failed: str = "", base: str = BASE, **versions: Any) -> dict[str, Any]:
        """versions: tallies of this epoch so far, v1 and v2."""
        if versions:
            self.counted[self.epoch] = {name.removeprefix("v"): each for name, each in versions.items()}
        orders = self.conductor.report(
            self.name,
            {
                "served": {"cars": base},
                "following": {"cars": self.epoch} if self.epoch else {},
                "failed": {"cars": (self.epoch, failed)} if failed else {},
                "counted": {"cars": self.counted},
                "shadowed": {},
                "log": None,
            },
        )
        if "cars" in orders:
            self.epoch = orders["cars"]["epoch"]
        return orders

    def share(self) -> float:
        return round(100 * Deal(self.report()["cars"]["runs"]).share("2"), 2)


@pytest.fixture(autouse=True)
def standing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No replica is taken for gone because a busy machine was slow between two of its reports."""
    monkeypatch.setattr("framework.serving.traffic.conductor.ALIVE", 3600.0)


@pytest.fixture
def pair() -> tuple[Conductor, Reporting, Reporting]:
    conductor = Conductor()
    return conductor, Reporting(conductor, "a"), Reporting(conductor, "b")


def test_a_canary_goes_by_its_steps_on_the_counts_of_all_replicas(pair) -> None:
    conductor, one, other = pair
    conductor.put("cars", canary())
    assert (one.share(), other.share()) == (5, 5)
    one.report(v1=tally(900), v2=tally(60))
    assert one.share() == 5
    other.report(v1=tally(900), v2=tally(40))
    assert (one.share(), other.share()) == (50, 50)
    one.report(v1=tally(100), v2=tally(100))
    assert (one.share(), other.share()) == (100, 100)
    told = conductor.told("cars")
    assert (told["mode"], told["canary"]["step"], told["canary"]["state"]) == ("canary", 2, "running")
    assert [arm["requests"] for arm in told["arms"]] == [1_900, 200]
    other.report(v2=tally(100))
    told = conductor.told("cars")
    assert (told["mode"], told["canary"]["state"]) == ("single", "passed")
    assert [(arm["version"], arm["weight"]) for arm in told["arms"]] == [("1", 0), ("2", 100)]


def test_a_canary_that_fails_is_back_at_once_and_stays_there(pair) -> None:
    conductor, one, other = pair
    conductor.put("cars", canary())
    one.report()
    other.report()
    one.report(v2=tally(8, errors=8))
    assert one.share() == 5  # as long as nobody knows how the champion does
    other.report(v1=tally(200), v2=tally(8, errors=8))
    assert (one.share(), other.share()) == (0, 0)
    other.report(v1=tally(500))
    told = conductor.told("cars")
    assert (told["mode"], told["canary"]["state"]) == ("single", "rolled back")
    assert "16 of 16 requests" in told["canary"]["why"]
    assert [(arm["weight"], arm["errors"]) for arm in told["arms"]] == [(100, 0), (0, 16)]
    assert one.share() == 0


def test_at_its_last_step_a_canary_is_held_to_what_the_champion_did_before(pair) -> None:
    conductor, one, _ = pair
    conductor.put("cars", canary())
    one.report()
    one.report(v1=tally(900), v2=tally(100))
    one.report(v1=tally(300), v2=tally(100))
    assert one.share() == 100
    one.report(v2=tally(40, errors=30))
    assert one.share() == 0
    assert conductor.told("cars")["canary"]["state"] == "rolled back"


def test_a_conductor_that_is_killed_goes_on_where_it_was(pair) -> None:
    kept: list[bytes] = []
    first = Conductor(None, kept.append)
    one = Reporting(first, "a")
    first.put("cars", canary())
    one.report()
    one.report(v1=tally(900), v2=tally(100))
    before = first.told("cars")
    one.conductor = second = Conductor(kept[-1], kept.append)
    assert second.told("cars") == before
    assert one.share() == 50
    one.report(v1=tally(100), v2=tally(100))
    assert one.share() == 100
    assert [arm["requests"] for arm in second.told("cars")["arms"]] == [1_000, 200]


def test_a_report_that_comes_twice_counts_once(pair) -> None:
    conductor, one, _ = pair
    conductor.put("cars", plan())
    one.report()
    for _ in range(3):
        one.report(v1=tally(10), v2=tally(4))
    assert [arm["requests"] for arm in conductor.told("cars")["arms"]] == [10, 4]


def test_all_that_live_have_to_follow(pair) -> None:
    conductor, one, other = pair
    one.report()
    other.report()
    conductor.put("cars", plan())
    assert not conductor.followed("cars")
    for replica in (one, other):
        replica.report()
        assert not conductor.followed("cars")
    one.report()
    assert not conductor.followed("cars")
    other.report()
    assert conductor.followed("cars")


def test_a_version_that_one_replica_cannot_open_is_withdrawn_from_all(pair) -> None:
    conductor, one, other = pair
    conductor.put("cars", plan())
    one.report()
    other.report()
    other.report(failed="version 2 cannot be opened: no such file")
    assert (one.share(), other.share()) == (0, 0)
    assert conductor.state("cars") == ("withdrawn", "version 2 cannot be opened: no such file")


def test_a_model_served_anew_ends_the_plan_and_a_new_plan_begins_its_counts_anew(pair) -> None:
    conductor, one, _ = pair
    conductor.put("cars", plan())
    one.report()
    one.report(v1=tally(10))
    before = one.report()["cars"]["runs"]
    conductor.put("cars", plan())
    assert one.report()["cars"]["runs"] == before  # no key moves
    assert conductor.told("cars")["arms"][0]["requests"] == 0
    assert one.report(base="models:/cars/7") == {}
    assert conductor.told("cars") is None


def test_a_plan_comes_back_from_json_as_it_was() -> None:
    asked = plan(key="tenant", canary=Canary(steps=STEPS), promote_automatically=True, effect=0.5)
    assert Plan.from_json(asked).to_json() == asked
