from dataclasses import replace

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


def test_memory_that_no_single_node_has_is_refused_with_both_figures() -> None:
    nodes = [{"CPU": 2.0, "memory": 3.0 * 2**30}, {"CPU": 2.0, "memory": 1.5 * 2**30}]
    cluster = {"CPU": 4.0, "memory": 4.5 * 2**30}
    Resources(memory_gigabytes=3, workers=2).check(cluster, who="h2o", nodes=nodes)
    for memory, given, found in ((4.0, nodes, "3.0 GB"), (5.0, [], "4.5 GB")):
        with pytest.raises(ResourcesError, match=rf"h2o asks for {memory:g} GB .* has {found}"):
            Resources(memory_gigabytes=memory).check(cluster, who="h2o", nodes=given)


def test_options_are_those_of_a_ray_task() -> None:
    assert Resources(cpus=2, gpus=0.5, memory_gigabytes=1).options() == {
        "num_cpus": 2,
        "num_gpus": 0.5,
        "memory": 2**30,
    }


def test_what_nodes_have_left_over_makes_no_worker() -> None:
    nodes = [{"CPU": 3.0, "memory": 4e9}, {"CPU": 3.0, "memory": 1e9}]
    asked = Resources(cpus=2, workers=2)
    asked.check_nodes(nodes, who="xgboost")
    Resources(cpus=0.1, workers=60).check_nodes(nodes, who="xgboost")
    Resources(cpus=0, workers=9).check_nodes(nodes, who="xgboost")
    for wanting in (replace(asked, workers=3), replace(asked, memory_gigabytes=1.0), replace(asked, gpus=1)):
        wanting.check({"CPU": 6.0, "memory": 5e9, "GPU": 9.0}, who="xgboost")
        with pytest.raises(ResourcesError, match=rf"hold [012] worker.* and xgboost asks for {wanting.workers}"):
            wanting.check_nodes(nodes, who="xgboost")
