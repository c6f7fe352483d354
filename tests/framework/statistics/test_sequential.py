"""Online tests that are peeked at: false alarms by simulation, the formula by numeric integration."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from framework.statistics.bootstrap import Interval
from framework.statistics.power import size_for_rates
from framework.statistics.sequential import Arm, Look, OnlineTestError, look

RUNS, ROWS, EVERY, ALPHA = 300, 6_000, 100, 0.05


def stream(draw, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and arms, shape (rows,), of one run. draw: (random, treated) → outcomes."""
    random = np.random.default_rng(seed)
    treated = random.random(ROWS) < 0.5
    return draw(random, treated), treated


def looks(outcomes: np.ndarray, treated: np.ndarray, *, effect: float) -> list[Look]:
    """A look after every 100 outcomes, the arms grown batch by batch as replicas would."""
    control, other, seen = Arm(), Arm(), []
    for begin in range(0, len(outcomes), EVERY):
        batch, chosen = outcomes[begin : begin + EVERY], treated[begin : begin + EVERY]
        control, other = control + Arm.of(batch[~chosen]), other + Arm.of(batch[chosen])
        seen.append(look(control, other, effect=effect, alpha=ALPHA))
    return seen


def naive(each: Look) -> bool:
    """What a fixed-horizon test would say at this look."""
    if not (each.control.enough and each.treated.enough):
        return False
    z = each.difference / math.sqrt(each.control.error + each.treated.error)
    return 2 * norm.sf(abs(z)) < ALPHA


@pytest.mark.parametrize(
    ("draw", "effect"),
    [
        (lambda r, a: r.random(len(a)) < 0.1, 0.02),
        (lambda r, a: r.random(len(a)) < 0.5, 0.05),
        (lambda r, a: r.exponential(1.0, len(a)), 0.1),
        (lambda r, a: r.normal(10, 1, len(a)) * np.where(a, 1, 3) + np.where(a, 0, -20), 0.1),  # spreads differ
    ],
    ids=["rates", "even", "skewed", "unequal"],
)
def test_peeking_after_every_batch_raises_no_more_false_alarms_than_alpha(draw, effect):
    runs = [looks(*stream(draw, seed=seed), effect=effect) for seed in range(RUNS)]
    mixture = np.mean([any(each.decided for each in run) for run in runs])
    plain = np.mean([any(naive(each) for each in run) for run in runs])
    most = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
    assert mixture <= most
    assert plain > 3 * most  # the test can fail: it does for a test that may not be peeked at
    missed = np.mean([any(not each.interval.low <= 0 <= each.interval.high for each in run) for run in runs])
    assert missed == mixture  # the interval and the p-value say the same


def test_a_real_difference_is_found_with_the_power_that_was_planned():
    plan = size_for_rates(0.3, 0.06)
    rows = plan.peeked_control + plan.peeked_treated
    assert rows < ROWS
    runs = [
        looks(*(part[:rows] for part in stream(lambda r, a: r.random(ROWS) < np.where(a, 0.36, 0.3), seed=seed)),
              effect=0.06)
        for seed in range(100)
    ]  # fmt: skip
    found = [next((place for place, each in enumerate(run) if each.decided), None) for run in runs]
    assert np.mean([place is not None for place in found]) > 0.8 - 2 * math.sqrt(0.16 / 100)
    early = [place for place in found if place is not None and (place + 1) * EVERY < plan.control + plan.treated]
    assert len(early) > 20  # many before a test with one look would have been read
    assert all(run[place].difference > 0 for run, place in zip(runs, found, strict=True) if place is not None)


def test_the_p_value_is_the_normal_mixture_integrated():
    control, treated, effect = Arm(400, 1.0, 380.0), Arm(500, 1.2, 530.0), 0.15
    seen = look(control, treated, effect=effect)
    deviation = math.sqrt(control.error + treated.error)
    mixed = quad(lambda d: norm.pdf(0.2, d, deviation) * norm.pdf(d, 0, effect), -3, 3)[0]
    assert seen.p_value == pytest.approx(norm.pdf(0.2, 0, deviation) / mixed, rel=1e-6)
    edge = Arm(500, 1.0 + (seen.interval.high - seen.difference), 530.0)  # just as far off as the interval is wide
    assert look(control, edge, effect=effect).p_value == pytest.approx(0.05, rel=1e-6)


def test_arms_are_added_as_if_counted_at_once():
    values = np.random.default_rng(0).normal(3, 2, 1_000)
    parts = Arm()
    for part in np.array_split(values, 7):
        parts += Arm.of(part)
    assert parts.rows == 1_000
    assert parts.mean == pytest.approx(values.mean())
    assert parts.squares == pytest.approx(values.var() * 1_000)
    assert parts.error == pytest.approx(values.var(ddof=1) / 1_000)
    yes = values > 3
    assert Arm.of(yes) == Arm.counted(int(yes.sum()), 1_000)
    assert (Arm.of(yes[:100]) + Arm.of(yes[100:])).events == yes.sum()


def test_few_outcomes_and_rare_events_say_nothing():
    some = Arm.counted(60, 100)
    for few in (Arm(), Arm.counted(9, 5_000), Arm.of(np.arange(49.0)), Arm.of(np.full(100, 2.0))):
        seen = look(some, few, effect=0.1)
        if few.rows == 100:
            seen = look(few, few, effect=0.1)  # no spread at all
        assert seen.p_value == 1.0
        assert seen.interval == Interval(-math.inf, math.inf)
        assert "not told apart" in str(seen)


def test_what_an_earlier_look_excluded_stays_excluded():
    first = look(Arm.counted(100, 1_000), Arm.counted(160, 1_000), effect=0.05)
    then = look(Arm.counted(200, 2_000), Arm.counted(240, 2_000), effect=0.05)
    both = then.after(first)
    assert first.decided
    assert not then.decided
    assert both.decided
    assert both.interval.low == max(first.interval.low, then.interval.low)
    assert both.interval.high == min(first.interval.high, then.interval.high)


def test_numbers_that_cannot_be_get_a_sentence():
    arm = Arm.counted(10, 100)
    for said, wrong in (
        ("11 events of 10", lambda: Arm.counted(11, 10)),
        ("missing or infinite", lambda: Arm.of(np.array([1.0, np.nan]))),
        ("effect is 0", lambda: look(arm, arm, effect=0.0)),
        ("alpha is 1", lambda: look(arm, arm, effect=0.1, alpha=1.0)),
    ):
        with pytest.raises(OnlineTestError, match=said):
            wrong()
