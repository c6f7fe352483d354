"""A served name's traffic, steered from Python: by the process that serves, or one that has joined its Ray."""

from collections.abc import Mapping
from typing import Any

from framework.predictor import Predictor
from framework.serving import deployment
from framework.serving.deployment import Configuration, ServingError
from framework.serving.served import Served
from framework.serving.traffic.asked import Asked, plan_of
from framework.serving.traffic.conducting import OnRay
from framework.serving.traffic.plan import Canary, TrafficError


def share_out(
    name: str,
    arms: Mapping[str, float],
    *,
    key: str | None = None,
    shadow: str | None = None,
    shadow_share: float = 1.0,
    canary: Canary | None = None,
    promote_automatically: bool = False,
    effect: float | None = None,
    alpha: float = 0.05,
) -> dict[str, Any]:
    """Shares a served name's requests out between its versions; returns `traffic(name)` once all replicas do so.

    arms: a version's number or alias → its weight, relative to their sum; with a canary the weights are its own.
    key: a column of the rows whose value always meets the same version; the header X-Routing-Key goes before it, and
    the request's id after it. shadow: a version that is asked for a share of the requests, its answers only logged.
    promote_automatically: whether outcomes that decide may move the registry's alias, by `promote`'s own rule.
    effect: the difference of the metric that is worth finding, in its units; from the first outcomes by default.
    Raises ServingError for a name that is not served, TrafficError or RegistryError for versions that do not go.
    """
    source = _source(name)
    from framework.registry import resolve

    folder = resolve(source["folder"] or source["uri"])
    served = Served(name, source["uri"], source["version"], Predictor.open(folder), folder)
    asked = Asked(
        arms=tuple((str(version), float(weight)) for version, weight in arms.items()),
        key=key,
        shadow=None if shadow is None else (shadow, shadow_share),
        canary=canary,
        promote_automatically=promote_automatically,
        effect=effect,
        alpha=alpha,
    )
    plan = plan_of(asked, served, local=source["folder"] is not None)
    OnRay()(create=True)  # from here, where the registry's address is known
    return _asked("direct", name, plan.to_json())


def challenge(name: str, challenger: str | None = None, *, weight: float = 10.0, **asked: Any) -> dict[str, Any]:
    """`share_out` between the version that a name is served with and a challenger, which gets so many percent.

    challenger: a version or alias; None: all requests stay where they are, as for a shadow alone. asked: as there.
    """
    if not 0 <= weight <= 100:
        raise TrafficError(f"weight is {weight:g}; it is the challenger's percent of the requests, 0 to 100.")
    champion = str(_source(name)["version"])
    arms = {champion: 100.0} if challenger is None else {champion: 100.0 - weight, challenger: weight}
    return share_out(name, arms, **asked)


def traffic(name: str) -> dict[str, Any]:
    """What GET /api/v1/traffic/NAME tells. Raises ServingError for a name that is not served."""
    _source(name)
    return _asked("traffic", name)


def _source(name: str) -> Configuration:
    present = deployment.configuration()
    models: dict[str, Configuration] = {} if present is None else present["models"]
    if name not in models:
        raise ServingError(f"{name!r} is not served. Served: {', '.join(sorted(models)) or 'none'}.")
    return models[name]


def _asked(method: str, *arguments: Any) -> dict[str, Any]:
    answer = deployment.ask(method, *arguments)
    if "error" in answer:
        raise TrafficError(answer["error"])
    return answer
