"""A name's traffic as GET /api/v1/traffic/NAME tells it."""

from typing import Any

from framework.serving.traffic.conducted import RUNNING, Conducted
from framework.serving.traffic.plan import Arm, Shadow, Source
from framework.serving.traffic.tally import Tally


def told(name: str, own: Conducted) -> dict[str, Any]:
    """Plain data. weight: percent of the requests. Counts are of all replicas since the plan began."""
    plan = own.plan
    whole = sum(arm.weight for arm in plan.arms)
    outcomes = own.test["outcomes"] if own.test else {}
    arms = [
        arm_told(arm, 100 * arm.weight / whole, own.tally(arm.version), outcomes.get(arm.version, 0))
        for arm in plan.arms
    ]
    canary = plan.canary and {"steps": list(plan.canary.steps), "step": own.step, "state": own.state, "why": own.why}
    several = len(plan.weights) > 1
    test = own.test and {key: value for key, value in own.test.items() if key in TEST}
    return {
        "name": name,
        "mode": "canary" if plan.canary and own.state == RUNNING else "split" if several else "single",
        "key": plan.key,
        "arms": arms,
        "shadow": _shadow(plan.shadow, own) if plan.shadow else None,
        "canary": canary,
        "test": test,
        "state": own.state,
        "why": own.why,
    }


TEST = ("metric", "difference", "interval", "p_value", "rows")


def single(name: str, source: Source, tally: Tally) -> dict[str, Any]:
    """The same of a name without a plan."""
    arms = [arm_told(source, 100.0, tally, 0)]
    nothing = dict.fromkeys(("key", "shadow", "canary", "test"))
    return {"name": name, "mode": "single", **nothing, "arms": arms, "state": "", "why": ""}


def arm_told(source: Source | Arm, weight: float, tally: Tally, outcomes: int) -> dict[str, Any]:
    return {
        "version": source.version or None,
        "uri": source.uri,
        "weight": weight,
        **_counts(tally),
        "outcomes": outcomes,
    }


def _shadow(shadow: Shadow, own: Conducted) -> dict[str, Any]:
    seen = own.shadow()
    return {
        "version": shadow.version,
        "uri": shadow.uri,
        "share": shadow.share,
        **_counts(seen.tally),
        "dropped": seen.dropped,
        "agreement": seen.agreement.told(),
    }


def _counts(tally: Tally) -> dict[str, Any]:
    latency = {name: _milliseconds(tally.quantile(level)) for name, level in (("p50", 0.5), ("p99", 0.99))}
    return {"requests": tally.requests, "errors": tally.errors, "latency_ms": latency}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)
