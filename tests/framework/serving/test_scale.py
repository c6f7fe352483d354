"""How many replicas: what may be said, and what Ray Serve is told."""

import pytest

from framework.serving.scale import ONGOING, Pace, Scale, ScaleError


def test_a_number_is_so_many_and_two_are_bounds_that_ray_serve_scales_within() -> None:
    assert Scale.of(2) == Scale.of("2") == Scale(2, 2)
    assert Scale.of("2").options() == {"num_replicas": 2}
    told = Scale.of(" 1-4 ").options()["autoscaling_config"]
    assert (told["min_replicas"], told["max_replicas"], told["target_ongoing_requests"]) == (1, 4, ONGOING)


def test_ray_serve_takes_the_pace_and_looks_often_enough_to_keep_it() -> None:
    from ray.serve.config import AutoscalingConfig

    for pace in (Pace(), Pace(ongoing=2, up_seconds=0, down_seconds=1), Pace(up_seconds=600)):
        taken = AutoscalingConfig(**Scale(1, 4).options(pace)["autoscaling_config"])
        assert (taken.upscale_delay_s, taken.downscale_delay_s) == (pace.up_seconds, pace.down_seconds)
        assert taken.metrics_interval_s < taken.look_back_period_s
        assert taken.metrics_interval_s <= max(0.5, pace.up_seconds / 5)
    assert Pace.of(ongoing=None, up_seconds=None, down_seconds=None) is None
    assert Pace.of(ongoing=4.0, up_seconds=None) == Pace(ongoing=4.0)
    for wrong in ({"ongoing": 0.0}, {"up_seconds": -1.0}, {"down_seconds": float("nan")}):
        with pytest.raises(ScaleError, match=next(iter(wrong))):
            Pace(**wrong)


def test_a_second_model_never_takes_replicas_away() -> None:
    assert Scale.of(1).beside(Scale.of(3)) == Scale(3, 3)
    assert Scale.of("1-4").beside(Scale.of(2)) == Scale(2, 4)


@pytest.mark.parametrize("told", [0, -1, "0-2", "4-1", "many", "1-", "1-2-3", "", "1001", "99999"])
def test_what_is_no_number_of_replicas_is_said(told: int | str) -> None:
    with pytest.raises(ScaleError, match="replicas is"):
        Scale.of(told)
