"""What Prometheus is told: of every request by the replicas through Ray's metrics, of a model's health in a text file.

Ray exports each of the former with `ray_` before its name, on the metrics port of the node. A health report is made by
a command that ends, so it leaves a file for the textfile collector of Prometheus' node_exporter.
"""

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.monitoring.alerts import Rules
from framework.plain import write_text
from framework.serving.observing import Observed

if TYPE_CHECKING:
    from framework.monitoring.health import Health

MAKE = "framework.monitoring.metrics:RequestMetrics"
LATENCIES = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]  # seconds
SIZES = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 2_500, 10_000]  # rows
TAGS = ("model", "version")


class RequestMetrics:
    """An observer of a model server: requests, rows, seconds and rows a request, by model and version.

    `contenders_requests` has the HTTP status too.
    """

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Histogram

        self._requests = Counter("contenders_requests", "Requests for predictions.", tag_keys=(*TAGS, "status"))
        self._rows = Counter("contenders_rows", "Rows that were answered.", tag_keys=TAGS)
        self._seconds = Histogram(
            "contenders_request_seconds", "Seconds to an answer.", boundaries=LATENCIES, tag_keys=TAGS
        )
        self._shadows = Counter(
            "contenders_shadow_requests", "Requests mirrored to a shadow.", tag_keys=(*TAGS, "status")
        )
        self._sizes = Histogram("contenders_request_rows", "Rows of a request.", boundaries=SIZES, tag_keys=TAGS)

    def observe(self, seen: Observed) -> None:
        tags = {"model": seen.model, "version": seen.version or "none"}
        if seen.shadow:
            self._shadows.inc(1, tags={**tags, "status": str(seen.status)})
            return
        self._requests.inc(1, tags={**tags, "status": str(seen.status)})
        if seen.status == 200:
            self._rows.inc(max(1, len(seen.items)), tags=tags)
            self._seconds.observe(seen.seconds, tags=tags)
            self._sizes.observe(max(1, len(seen.items)), tags=tags)

    def close(self) -> None:
        """Nothing is held."""


def counting() -> dict[str, str]:
    """The observer of a model server that feeds Prometheus: `serve(model, observers=[counting()])`."""
    return {"make": MAKE}


def write_metrics(health: "Health", path: Path) -> Path:
    """Leaves a model's health for Prometheus: drift by column, outcomes, score with its interval, alerts.

    The file is there whole or not at all; undefined numbers are left out. Raises WriteError where it cannot be written.
    """
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    tags = {"model": health.name, "version": health.version or "none"}

    def told(name: str, documentation: str, values: Mapping[Any, float], *labels: str) -> None:
        gauge = Gauge(name, documentation, [*tags, *labels], registry=registry)
        for key, value in values.items():
            if math.isfinite(value):
                gauge.labels(*tags.values(), *key).set(value)

    told("contenders_health_timestamp_seconds", "The last request looked at.", {(): health.end.timestamp()})
    broken = {(each.rule,): 1.0 for each in health.alerts}
    rules = {(rule.name,): broken.get((rule.name,), 0.0) for rule in fields(Rules)}
    told("contenders_alert", "Whether a rule of recipes.monitor is broken.", rules, "rule")
    if health.drift is not None:
        moved = [*health.drift.columns, *health.drift.answers]
        told(
            "contenders_drift_psi", "Population stability index.", {(each.name,): each.psi for each in moved}, "column"
        )
        told("contenders_drifted_share", "Of the columns, how many drifted.", {(): health.drift.share})
        joint = health.drift.joint
        told("contenders_drift_mmd", "Of all columns together, MMD.", {} if joint is None else {(): joint.mmd})
    if health.performance is not None:
        scored, whole = health.performance.metric.name, health.performance.whole
        told("contenders_outcomes", "Answers whose outcome is known.", {(): float(whole.rows)})
        ends = {
            "score": whole.score,
            "low": whole.interval.low,
            "high": whole.interval.high,
            "validation": health.baseline,
        }
        named = {(scored, end): value for end, value in ends.items()}
        told(
            "contenders_score", "The metric, its 95 % interval, and what it was on validation.", named, "metric", "what"
        )
    write_text(path, generate_latest(registry).decode())
    return path
