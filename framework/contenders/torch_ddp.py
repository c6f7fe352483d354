"""A net for tables, trained by PyTorch on all workers of a Ray Train group at once."""

from dataclasses import dataclass
from typing import Any, ClassVar

from framework.contender import Context
from framework.contenders.crew_net import CrewNet
from framework.contenders.net_model import NetModel

__all__ = ["NetModel", "TorchDDP"]  # models that were kept before name this file as NetModel's


@dataclass(frozen=True)
class TorchDDP(CrewNet):
    """A net of `framework.nets`, trained by DistributedDataParallel: every worker takes its share of each batch.

    Its fields are CrewNet's. fewest: with checkpoints or without, it goes on with as many workers when nodes are
    lost, and takes new ones in when they come.
    """

    engine: ClassVar[str] = "torch_ddp"

    def launch(self, facts: dict[str, Any], context: Context) -> dict[str, Any]:
        from framework.training.on_ray import run

        told: dict[str, Any] = run(
            learn_on_ray, facts, engine="torch", resources=self.resources, context=context, fewest=self.fewest
        )
        return told


def learn_on_ray(facts: dict[str, Any]) -> dict[str, Any]:
    """`crew_fit.learn` in a Ray Train worker."""
    from framework.contenders.crew_fit import learn
    from framework.training.ray_crew import RayCrew

    return learn(RayCrew(), facts)
