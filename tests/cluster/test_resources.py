import pytest

from cluster.resources import Resources, ResourcesError


def test_a_request_that_fits_passes() -> None:
    Resources(cpus=1, workers=2).check({"CPU": 2.0}, who="xgboost")


@pytest.mark.parametrize(
    ("asked", "unit", "found"),
    [(Resources(cpus=2, workers=4), "8 CPU", "2 CPU"), (Resources(gpus=1), "1 GPU", "0 GPU")],
)
def test_a_request_beyond_the_cluster_says_what_it_found(asked: Resources, unit: str, found: str) -> None:
    with pytest.raises(ResourcesError) as told:
        asked.check({"CPU": 2.0}, who="xgboost")
    assert "xgboost" in str(told.value)
    assert unit in str(told.value)
    assert found in str(told.value)


def test_options_are_those_of_a_ray_task() -> None:
    assert Resources(cpus=2, gpus=0.5, memory_gigabytes=1).options() == {
        "num_cpus": 2,
        "num_gpus": 0.5,
        "memory": 2**30,
    }
