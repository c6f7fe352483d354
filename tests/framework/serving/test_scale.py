"""How many replicas: what may be said, and what Ray Serve is told."""

import pytest

from framework.serving.scale import ONGOING, Scale, ScaleError


def test_a_number_is_so_many_and_two_are_bounds_that_ray_serve_scales_within() -> None:
    assert Scale.of(2) == Scale.of("2") == Scale(2, 2)
    assert Scale.of("2").options() == {"num_replicas": 2}
    bounds = {"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": ONGOING}
    assert Scale.of(" 1-4 ").options() == {"autoscaling_config": bounds}


def test_a_second_model_never_takes_replicas_away() -> None:
    assert Scale.of(1).beside(Scale.of(3)) == Scale(3, 3)
    assert Scale.of("1-4").beside(Scale.of(2)) == Scale(2, 4)


@pytest.mark.parametrize("told", [0, -1, "0-2", "4-1", "many", "1-", "1-2-3", "", "1001", "99999"])
def test_what_is_no_number_of_replicas_is_said(told: int | str) -> None:
    with pytest.raises(ScaleError, match="replicas is"):
        Scale.of(told)
