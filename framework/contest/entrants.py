"""Who is fit for a contest: its contenders, the members of its ensembles, and the CPUs that each is given."""

from collections.abc import Sequence
from dataclasses import replace

from cluster.resources import living_nodes
from framework.contender import Contender
from framework.contenders.ensemble import Ensemble


def entrants(single: Sequence[Contender], ensembles: Sequence[Ensemble], *, cpus: float) -> list[Contender]:
    """The contenders, and those members of ensembles that have not entered by themselves."""
    every = {contender.name: contender for contender in single}
    for ensemble in ensembles:
        every |= {member.name: member for member in ensemble.members if member.name not in every}
    return _spread(list(every.values()), cpus)


def _spread(contenders: list[Contender], cpus: float) -> list[Contender]:
    """Contenders with more CPUs each where there are fewer of them than CPUs, so that none idles; no fit is given more
    than one node has."""
    widest = max(node.get("CPU", 0.0) for node in living_nodes())
    each = float(min(cpus // max(1, sum(c.resources.workers for c in contenders)), widest))
    if each <= 1:
        return contenders
    return [replace(c, cpus=each) if getattr(c, "cpus", None) == 1.0 else c for c in contenders]  # type: ignore[type-var]
