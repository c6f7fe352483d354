"""Whether a canary may go a step further, has to wait, or is taken back: its arm held against the champion's.

Every check is a sequential one, so that it may be made every second: a version that does no worse than the canary's
limits allow is taken back with a probability of at most its alpha, over all checks and steps together. Rates of errors
are exact at any number of requests; latencies and answers take requests for independent, and 50 of each arm.
"""

import math
from dataclasses import dataclass
from typing import Literal

from framework.serving.traffic.plan import Canary
from framework.serving.traffic.tally import Tally
from framework.statistics.rates import rate_interval
from framework.statistics.sequential import look

CHECKS = 3


@dataclass(frozen=True)
class Verdict:
    """why: a sentence where it is taken back."""

    do: Literal["wait", "advance", "back"]
    why: str = ""


def verdict(canary: Canary, champion: Tally, candidate: Tally, *, seconds: float) -> Verdict:
    """champion, candidate: what both did in this step. seconds: since it began."""
    alpha = canary.alpha / (CHECKS * len(canary.steps))
    for check in (_errors, _latency, _answers):
        if why := check(canary, champion, candidate, alpha):
            return Verdict("back", why)
    enough = candidate.requests >= canary.requests and seconds >= canary.seconds
    return Verdict("advance" if enough else "wait")


def _errors(canary: Canary, champion: Tally, candidate: Tally, alpha: float) -> str:
    if not candidate.errors:
        return ""
    own = rate_interval(candidate.errors, candidate.requests, alpha=alpha / 2)
    other = rate_interval(champion.errors, champion.requests, alpha=alpha / 2)
    if own.low <= other.high + canary.errors:
        return ""
    return (
        f"errors: {candidate.errors:,} of {candidate.requests:,} requests, {own.low:.1%} or more; "
        f"the champion's {champion.errors:,} of {champion.requests:,} (limit {canary.errors:.1%} more)."
    )


def _latency(canary: Canary, champion: Tally, candidate: Tally, alpha: float) -> str:
    limit = math.log(canary.latency)
    seen = look(champion.seconds.arm(), candidate.seconds.arm(), effect=max(limit, 0.1), alpha=alpha)
    if seen.interval.low <= limit:
        return ""
    return (
        f"latency: {math.exp(seen.difference):.2f} times the champion's, {math.exp(seen.interval.low):.2f} or more "
        f"(limit {canary.latency:g})."
    )


def _answers(canary: Canary, champion: Tally, candidate: Tally, alpha: float) -> str:
    labels = [label for label in champion.answers if label in candidate.answers]
    for label in labels:
        before, now = champion.answers[label], candidate.answers[label]
        margin = canary.drift * before.deviation
        if margin <= 0:
            continue
        seen = look(before.arm(), now.arm(), effect=margin, alpha=alpha / len(labels))
        if seen.interval.low > margin or seen.interval.high < -margin:
            far = seen.difference / before.deviation
            what = "the mean prediction" if label == "prediction" else f"the mean probability of {label!r}"
            return (
                f"drift: {what} is {now.mean:.4g}, {far:+.2f} of the champion's standard deviations from its "
                f"{before.mean:.4g} (limit {canary.drift:g})."
            )
    return ""
