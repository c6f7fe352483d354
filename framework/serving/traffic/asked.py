"""The body of PUT /api/v1/traffic/NAME as a plan, or one sentence on why it is none."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

from framework.serving.request import RequestError, parse_json, shown
from framework.serving.served import Served
from framework.serving.source import pinned, registered, version
from framework.serving.traffic.plan import Arm, Canary, Plan, Shadow, Source, TrafficError
from framework.serving.traffic.routing import question_of

WAY_OUT = 'Send {"arms": [{"version": "1", "weight": 90}, {"version": "challenger", "weight": 10}]}.'
KEYS = ("arms", "key", "shadow", "canary", "promote_automatically", "effect", "alpha")
CANARY = tuple(field.name for field in fields(Canary))
NUMBER = (int, float)


@dataclass(frozen=True)
class Asked:
    """A plan whose versions are not looked up yet: numbers or aliases of one name. arms: version and weight of each."""

    arms: tuple[tuple[str, float], ...]
    key: str | None = None
    shadow: tuple[str, float] | None = None
    canary: Canary | None = None
    promote_automatically: bool = False
    effect: float | None = None
    alpha: float = 0.05


def parse_traffic(body: bytes) -> Asked:
    """Raises RequestError (400) for what is no such object, TrafficError for values that do not go."""
    told = _object(parse_json(body, way_out=WAY_OUT), KEYS, "the body")
    canary = _object(told["canary"], CANARY, "canary") if told.get("canary") is not None else None
    if not isinstance(arms := told.get("arms"), list) or not arms:
        raise RequestError(f"arms is no list of versions. {WAY_OUT}")
    weights = [_arm(each, place) for place, each in enumerate(arms, start=1)]
    return Asked(
        arms=tuple(weights),
        key=_value(told, "key", str, None),
        shadow=_shadow(told["shadow"]) if told.get("shadow") is not None else None,
        canary=None if canary is None else _canary(canary),
        promote_automatically=_value(told, "promote_automatically", bool, False),
        effect=_value(told, "effect", NUMBER, None),
        alpha=_value(told, "alpha", NUMBER, 0.05),
    )


def plan_of(asked: Asked, served: Served, *, local: bool) -> Plan:
    """The plan, its versions looked up in the registry and pinned. served: the model that the name is served with.

    local: whether replicas find files where they are found here. The served version comes first: it is the champion,
    with a weight of 0 where it is not among the arms. Raises TrafficError for a model that comes from no registry,
    RegistryError for a version that is not there.
    """
    name = registered(served.uri)
    if not name or served.version is None:
        raise TrafficError(
            f"{served.name!r} is served from a folder, and traffic is shared out between versions of one registered "
            f"name. Register it, and serve models:/NAME@champion."
        )
    arms = [Arm(**_pinned(name, told, local), weight=weight) for told, weight in asked.arms]
    arms.sort(key=lambda arm: arm.version != served.version)
    if arms[0].version != served.version:
        arms.insert(0, Arm(served.uri, served.version, weight=0.0))
    shadow = asked.shadow and Shadow(**_pinned(name, asked.shadow[0], local), share=asked.shadow[1])
    return Plan(
        base=served.uri,
        question=question_of(served),
        arms=tuple(arms),
        key=asked.key,
        shadow=shadow,
        canary=asked.canary,
        promote_automatically=asked.promote_automatically,
        effect=asked.effect,
        alpha=asked.alpha,
    )


def _pinned(name: str, told: str, local: bool) -> dict[str, Any]:
    """The fields of a Source: a version by its number or alias."""
    from framework.registry import resolve

    uri = f"models:/{name}/{told}" if told.isdigit() else f"models:/{name}@{told}"
    folder = resolve(uri).resolve()
    uri = pinned(uri, folder)
    source = Source(uri, str(version(uri)), str(folder) if local else None)
    return vars(source)


def _arm(told: Any, place: int) -> tuple[str, float]:
    arm = _object(told, ("version", "weight"), f"arm {place}")
    return _version(arm), float(_value(arm, "weight", NUMBER, 100.0))


def _shadow(told: Any) -> tuple[str, float]:
    shadow = _object(told, ("version", "share"), "shadow")
    return _version(shadow), float(_value(shadow, "share", NUMBER, 1.0))


def _canary(told: Mapping[str, Any]) -> Canary:
    steps = told.get("steps", list(Canary.steps))
    if not isinstance(steps, list) or not all(_number(step) for step in steps):
        raise RequestError("steps of the canary is no list of percents, such as [1, 5, 25, 50, 100].")
    limits = {name: _value(told, name, NUMBER, 0.0) for name in CANARY if name in told and name != "steps"}
    if "requests" in limits:
        limits["requests"] = int(limits["requests"])
    return Canary(steps=tuple(map(float, steps)), **limits)


def _version(told: Mapping[str, Any]) -> str:
    text = str(told.get("version", "")).strip()
    if (
        not text
        or len(text) > 250
        or isinstance(told["version"], bool | float | list | dict)
        or set(text) & set("/@:%'\"")
    ):
        raise TrafficError(f"version {shown(told.get('version'))} is no number and no alias, such as 3 or challenger.")
    return text


def _object(told: Any, keys: Collection[str], what: str) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise RequestError(f"{what} is no object. {WAY_OUT}")
    if unknown := sorted(set(told) - set(keys)):
        raise RequestError(f"{what} has {unknown[0][:40]!r}; it takes {', '.join(keys)}.")
    return told


def _value(told: Mapping[str, Any], name: str, kind: Any, default: Any) -> Any:
    """A value of this type; the default where it is null or not there."""
    value = told.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is NUMBER and not _number(value)):
        raise RequestError(f"{name} is {shown(value)}, which is of another type than it takes. {WAY_OUT}")
    if kind is str and not 0 < len(value) <= 1_000:
        raise TrafficError(f"{name} is a text of {len(value):,} letters; it takes 1 to 1,000.")
    return value


def _number(value: Any) -> bool:
    return isinstance(value, NUMBER) and not isinstance(value, bool)
