"""Two versions of a registered name, opened to be held against each other."""

from dataclasses import dataclass

from framework.predictor import Predictor
from framework.serving.served import Served
from framework.serving.source import pinned, version
from framework.serving.traffic.asked import Asked, plan_of
from framework.serving.traffic.plan import Plan, TrafficError
from framework.serving.traffic.routing import question_of


@dataclass(frozen=True)
class Pair:
    """plan: the split between them, the champion first."""

    champion: Served
    challenger: Served
    plan: Plan


def paired(
    name: str,
    champion: str,
    challenger: str,
    *,
    weight: float,
    key: str | None = None,
    effect: float | None = None,
    alpha: float = 0.05,
) -> Pair:
    """champion, challenger: numbers or aliases. weight: the challenger's percent of the requests.

    Raises RegistryError for a version that is not there, TrafficError for weights that leave one without requests, or
    versions that answer different questions.
    """
    if not 0 < weight < 100:
        raise TrafficError(f"weight is {weight:g}; it is the challenger's percent of the requests, between 0 and 100.")
    one, other = (opened(name, each) for each in (champion, challenger))
    if question_of(one) != question_of(other):
        raise TrafficError(f"versions {one.version} and {other.version} of {name!r} answer different questions.")
    arms = ((str(one.version), 100.0 - weight), (str(other.version), weight))
    return Pair(one, other, plan_of(Asked(arms, key=key, effect=effect, alpha=alpha), one, local=True))


def opened(name: str, told: str) -> Served:
    """A version of a registered name, by its number or alias."""
    from framework.registry import resolve

    uri = f"models:/{name}/{told}" if told.isdigit() else f"models:/{name}@{told}"
    folder = resolve(uri).resolve()
    uri = pinned(uri, folder)
    return Served(name, uri, version(uri), Predictor.open(folder), folder)
