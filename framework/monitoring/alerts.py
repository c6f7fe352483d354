"""What has to be told to a person: rules over what was seen of a served model, and those that it breaks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from framework.leaderboard import number
from framework.metric import Metric
from framework.monitoring.drift import Drift
from framework.monitoring.performance import Window

LEAST_REQUESTS = 100  # before a latency is told
LEVEL = 0.95
SURELY = 0.01  # the p-value from which a distance of all columns together is no chance


@dataclass(frozen=True)
class Rules:
    """The limits; None switches one off. A rate is held against its limit by the lower end of its 95 % interval, a
    score by its better end: an alert is more than chance.

    drifted: share of the columns that may drift. joint: how far all columns together may be from training (MMD), 0 the
    same, √2 nothing in common; it sees what the columns one by one do not show, a dependence between them that is gone.
    One column of ten moved by a third of a standard deviation makes it 0.07, half of them 0.12. It is told where it is
    beyond chance, too (p < 0.01). answers: whether the answers may not drift.
    errors: share of the requests that may fail (status 500 and above). seconds: within which 99 of 100 requests are
    answered. loss: how far the score may fall behind that of validation, as a share of it.
    """

    drifted: float | None = 0.2
    joint: float | None = 0.05
    answers: bool = True
    errors: float | None = 0.01
    seconds: float | None = 1.0
    loss: float | None = 0.1


@dataclass(frozen=True)
class Alert:
    """rule: the name of the limit in `Rules`. value: what was seen, beyond limit."""

    rule: str
    value: float
    limit: float
    sentence: str


@dataclass(frozen=True)
class Traffic:
    """What the server did with the requests. refused: status 400 to 499; failed: 500 and above.

    median, p99: seconds of those answered; nan of none.
    """

    requests: int
    rows: int
    refused: int
    failed: int
    median: float = math.nan
    p99: float = math.nan

    @property
    def errors(self) -> float:
        """The share of the requests that failed."""
        return self.failed / self.requests if self.requests else 0.0


def alerts(
    rules: Rules,
    traffic: Traffic,
    drift: Drift | None,
    *,
    scored: Metric | None = None,
    baseline: float = math.nan,
    windows: Sequence[Window] = (),
) -> tuple[Alert, ...]:
    """The rules that are broken, in their order. drift: None where there is no reference.

    baseline: the validation score. windows: the last one that has a score is held against it.
    """
    found: list[Alert] = []
    if drift is not None and rules.drifted is not None and drift.share > rules.drifted:
        told = f"{len(drift.drifted)} of {len(drift.columns)} columns drifted: {', '.join(drift.drifted[:5])}"
        found.append(Alert("drifted", drift.share, rules.drifted, f"{told} (limit {rules.drifted:.0%})."))
    together = None if drift is None else drift.joint
    if together is not None and rules.joint is not None and together.mmd > rules.joint and together.p_value < SURELY:
        told = f"all columns together drifted: MMD {together.mmd:.3f}, p = {together.p_value:.2g}"
        found.append(Alert("joint", together.mmd, rules.joint, f"{told} (limit {rules.joint:g})."))
    moved = [each for each in drift.answers if each.drifted] if drift is not None and rules.answers else []
    if moved:
        told = f"the answers drifted: {moved[0].name}, population stability index {moved[0].psi:.2f}."
        found.append(Alert("answers", moved[0].psi, 0.0, told))
    if rules.errors is not None and _surely(traffic) > rules.errors:
        told = f"{traffic.failed:,} of {traffic.requests:,} requests failed (limit {rules.errors:.1%})."
        found.append(Alert("errors", traffic.errors, rules.errors, told))
    if rules.seconds is not None and traffic.requests >= LEAST_REQUESTS and traffic.p99 > rules.seconds:
        told = f"1 of 100 requests took {traffic.p99:.3g} s or more (limit {rules.seconds:g} s)."
        found.append(Alert("seconds", traffic.p99, rules.seconds, told))
    if rules.loss is not None and scored is not None:
        found += _lost(rules.loss, scored, baseline, windows)
    return tuple(found)


def _surely(traffic: Traffic) -> float:
    """The lower end of the failed share's interval (Wilson 1927)."""
    if not traffic.failed:
        return 0.0
    from scipy.stats import binomtest

    return float(binomtest(traffic.failed, traffic.requests).proportion_ci(LEVEL, method="wilson").low)


def _lost(loss: float, scored: Metric, baseline: float, windows: Sequence[Window]) -> list[Alert]:
    known = [window for window in windows if math.isfinite(window.score)]
    if not known or not math.isfinite(baseline):
        return []
    last = known[-1]
    upward = scored.direction == "max"
    limit = baseline - loss * abs(baseline) if upward else baseline + loss * abs(baseline)
    best = last.interval.high if upward else last.interval.low
    if not scored.better(limit, best):
        return []
    seen = f"{number(last.score)} ({number(last.interval.low)} … {number(last.interval.high)})"
    told = f"{scored.title} since {last.begin:%Y-%m-%d %H:%M} is {seen}; on validation it was {number(baseline)}"
    return [Alert("loss", last.score, limit, f"{told} (limit {number(limit)}).")]
