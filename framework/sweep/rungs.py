"""Who is stopped early: Tune's schedulers over the steps that a contender reports."""

from typing import Any

from cluster.user_error import UserError

FACTOR = 3  # of trials at a rung one in so many goes on
RUNGS = 3  # below the last step
BRACKETS = 3
STEPS = ("rounds", "looks")  # fields that count a contender's steps
SCHEDULERS = ("asha", "hyperband")


class SchedulerError(UserError):
    """A scheduler that there is not."""


def most_steps(contender: Any) -> int:
    """How many steps its longest fit reports; 1 where it has none."""
    inner = getattr(contender, "contender", None)
    if inner is not None:
        return most_steps(inner)
    return max(1, *(int(getattr(contender, name, 0) or 0) for name in STEPS))


def rungs(steps: int) -> list[int]:
    """The steps at which a fit of at most so many is compared with the others, each FACTOR times the one before."""
    first = max(1, steps // FACTOR**RUNGS)
    found = [first]
    while found[-1] * FACTOR < steps:
        found.append(found[-1] * FACTOR)
    return found


def scheduler(name: str | None, steps: int) -> Any:
    """Tune's scheduler of this name; first in, first out for None or a contender without steps.

    "asha": asynchronous successive halving (Li et al. 2020). "hyperband": the same over several brackets, which stop
    the first time at different rungs (Li et al. 2018): it forgives settings that begin slowly.
    Raises SchedulerError for any other name.
    """
    from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

    if name is not None and name not in SCHEDULERS:
        raise SchedulerError(f"there is no scheduler {name!r}; take one of {', '.join(SCHEDULERS)}, or None.")
    if name is None or steps < FACTOR:
        return FIFOScheduler()
    return AsyncHyperBandScheduler(
        time_attr="step",
        max_t=10 * steps,  # stopping at the last step is the contender's own affair
        grace_period=rungs(steps)[0],
        reduction_factor=FACTOR,
        brackets=BRACKETS if name == "hyperband" else 1,
        stop_last_trials=False,
    )
