"""A net for tables, trained by Horovod's ranks: the same loop as TorchDDP's, its gradients averaged by Horovod."""

from dataclasses import dataclass
from typing import Any, ClassVar

from framework.contender import Context
from framework.contenders.crew_net import CrewNet


@dataclass(frozen=True)
class Horovod(CrewNet):
    """From the same seed TorchDDP's net, to 1e-5; `make horovod` builds what it runs on.

    Its fields are CrewNet's. fewest: elastic Horovod: when ranks die it goes on from the last checkpoint with what is
    left, down to this many, and takes new ones in at a later checkpoint.
    """

    engine: ClassVar[str] = "horovod"

    def launch(self, facts: dict[str, Any], context: Context) -> dict[str, Any]:
        from framework.contenders.crew_fit import learn
        from framework.training.on_horovod import run

        told: dict[str, Any] = run(learn, facts, resources=self.resources, context=context, fewest=self.fewest)
        return told
