"""The alert rules for Kubernetes are those that promtool has tested."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cluster.monitoring.rule import ALERTS, RuleError, manifest

ROOT = Path(__file__).parents[2]
RULE = {"alert", "expr", "for", "labels", "annotations"}  # of the operator's v1


def test_the_manifest_holds_every_rule_of_the_file_and_only_fields_that_the_operator_knows() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "cluster.monitoring.rule", "prometheus"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    made = yaml.safe_load(ran.stdout)
    assert made == manifest("prometheus")
    assert (made["apiVersion"], made["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert made["metadata"]["labels"] == {"release": "prometheus"}
    groups = made["spec"]["groups"]
    assert made["spec"] == yaml.safe_load(ALERTS.read_text())
    assert sum(len(group["rules"]) for group in groups) >= 8
    for group in groups:
        assert group.keys() <= {"name", "interval", "limit", "rules"}
        for rule in group["rules"]:
            assert rule.keys() <= RULE
            assert {"alert", "expr", "labels", "annotations"} <= rule.keys()
            assert all(isinstance(value, str) for value in {**rule["labels"], **rule["annotations"]}.values())


def test_without_a_release_there_is_no_manifest() -> None:
    with pytest.raises(RuleError, match="name is empty"):
        manifest(" ")
    ran = subprocess.run([sys.executable, "-m", "cluster.monitoring.rule"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode != 0
    assert "usage" in ran.stderr
