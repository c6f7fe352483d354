"""What replicas count adds up to what one would have counted."""

import json
import math
import statistics

import numpy as np
import pytest

from framework.serving.traffic.agreement import Agreement
from framework.serving.traffic.tally import Tally, followed


def shares(**by_class: float) -> dict[str, object]:
    return {"prediction": max(by_class, key=lambda label: by_class[label]), "probabilities": by_class}


def test_two_replicas_tallies_are_one_after_a_trip_as_json() -> None:
    draw = np.random.default_rng(0)
    seconds, values = draw.lognormal(-4, 1, 400).tolist(), draw.normal(10, 3, 400).tolist()
    parts = [Tally(), Tally()]
    for place, (each, value) in enumerate(zip(seconds, values, strict=True)):
        parts[place % 2].count(200, each, [{"prediction": value}])
    parts[0].count(422, 0.1)
    parts[1].count(500, 0.1)
    parts[1].count(400, 0.1)
    one = Tally.from_json(json.loads(json.dumps(parts[0].to_json()))) + parts[1]
    assert (one.requests, one.errors, one.seconds.rows) == (403, 2, 400)
    assert one.seconds.mean == pytest.approx(statistics.fmean(map(math.log, seconds)))
    assert one.answers["prediction"].deviation == pytest.approx(statistics.stdev(values))
    for level in (0.5, 0.99):
        assert one.quantile(level) == pytest.approx(float(np.quantile(seconds, level)), rel=0.15)


def test_a_tally_without_answers_knows_no_latency_and_any_second_fits() -> None:
    tally = Tally()
    assert tally.quantile(0.5) is None
    for seconds in (0.0, 1e-9, 1e4):
        tally.count(200, seconds)
    assert tally.requests == 3
    assert tally.quantile(0.99) == 100


def test_of_two_classes_one_is_followed_of_three_each_and_of_numbers_their_mean() -> None:
    assert followed([shares(no=0.9, yes=0.1), shares(no=0.5, yes=0.5)]) == {"yes": pytest.approx(0.3)}
    assert set(followed([shares(a=0.2, b=0.3, c=0.5)])) == {"a", "b", "c"}
    assert followed([{"prediction": 1.0}, {"prediction": 2.0}]) == {"prediction": 1.5}
    assert followed([]) == {}


def test_agreement_is_the_share_of_same_answers_and_the_mean_difference() -> None:
    seen = Agreement()
    seen.count([{"prediction": 1.0}, {"prediction": 3.0}], [{"prediction": 1.0 + 1e-12}, {"prediction": 4.0}])
    assert seen.told() == {"rows": 2, "same": 0.5, "difference": pytest.approx(0.5)}
    classes = Agreement()
    classes.count([shares(a=0.2, b=0.8)], [shares(a=0.6, b=0.4)])
    assert classes.told() == {"rows": 1, "same": 0.0, "difference": pytest.approx(0.4)}
    assert Agreement().told() == {"rows": 0, "same": None, "difference": None}
    assert (seen + classes).rows == 3
