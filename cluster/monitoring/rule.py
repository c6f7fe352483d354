"""The alert rules as the Prometheus operator takes them: a PrometheusRule, made from alerts.yml.

python -m cluster.monitoring.rule PROMETHEUS_RELEASE | kubectl apply -f -
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from cluster.user_error import UserError

ALERTS = Path(__file__).with_name("alerts.yml")
NAMESPACE = "contenders"


class RuleError(UserError):
    """A manifest that cannot be made."""


def manifest(release: str) -> dict[str, Any]:
    """The rules of alerts.yml as a PrometheusRule.

    release: the label by which your Prometheus tells the rules that it takes up, as the PodMonitor's.
    """
    if not release.strip():
        raise RuleError("the release's name is empty. Pass the label `release` that your Prometheus selects rules by.")
    rules: dict[str, Any] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "contenders", "namespace": NAMESPACE, "labels": {"release": release}},
        "spec": rules,
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {__doc__.splitlines()[-1]}")
    print(yaml.safe_dump(manifest(sys.argv[1]), sort_keys=False, allow_unicode=True), end="")
