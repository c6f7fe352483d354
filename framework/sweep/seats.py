"""What Ray is asked for by a sweep: a share of its CPUs for every trial, as plain actors."""

from cluster.resources import Resources

ENOUGH = 2**20  # bytes of a trial that only conducts workers: Tune asks for something, and it must not be a CPU


def share(inner: Resources) -> dict[str, float]:
    """What the process of one trial takes; next to nothing where it only conducts workers of its own, which would lack
    whatever part of a CPU it held."""
    if inner.apart:
        return {"memory": ENOUGH}
    return {"CPU": inner.cpus} | ({"GPU": inner.gpus} if inner.gpus else {})


class Budget:
    """While it is open, Tune asks Ray for plain actors within a budget.

    Its own way are placement groups, which would outlive a sweep whose process is killed, and keep their CPUs for as
    long as the contest's job lasts. Ray Tune 2.60 has no parameter for it.
    """

    def __init__(self, total: dict[str, float]) -> None:
        self.total = total

    def __enter__(self) -> None:
        from ray.air.execution import FixedResourceManager
        from ray.tune.execution import tune_controller

        self.before = tune_controller.PlacementGroupResourceManager
        tune_controller.PlacementGroupResourceManager = lambda: FixedResourceManager(self.total)

    def __exit__(self, *_: object) -> None:
        from ray.tune.execution import tune_controller

        tune_controller.PlacementGroupResourceManager = self.before
