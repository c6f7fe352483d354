"""The Kubernetes manifests, filled in and held against a closed statement of their fields, and against each other."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster.launch.render import placeholders, render
from framework.serving.deployment import APP
from framework.serving.ingress import spread
from recipes.contest import Config
from tests.cluster.manifest_schema import KINDS, KUBERAY

Manifest = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "cluster" / "kuberay"
NUMBERS = {
    "DEADLINE_SECONDS": "5400",
    "MAX_GPU_WORKERS": "4",
    "MAX_WORKERS": "8",
    "MINUTES": "60",
    "MIN_GPU_WORKERS": "0",
    "MIN_WORKERS": "2",
    "QUOTA_CPUS": "64",
    "QUOTA_GPUS": "4",
    "QUOTA_MEMORY": "256Gi",
    "QUOTA_PODS": "40",
    "STORAGE_SIZE": "1Ti",
    "WORKER_CPUS": "8",
    "WORKER_GPUS": "1",
    "WORKER_MEMORY": "32Gi",
    "WORKER_SHM": "10Gi",
}
WORDS = {
    "DATA": "s3://a-bucket/churn.parquet",
    "FRAMEWORK_SERVE_TOKEN": "0123456789abcdef",
    "IMAGE": "registry.example/contenders:1",
    "MLFLOW_TRACKING_URI": "http://mlflow.example:5000",
    "MODEL": "models:/churn@champion",
    "MONITORING_NAMESPACE": "monitoring",
    "NAME": "churn",
    "OPERATOR_NAMESPACE": "kuberay-operator",
    "PROMETHEUS_RELEASE": "prometheus",
    "RAY_AUTH_TOKEN": "fedcba9876543210",
    "REVISION": "1",
    "RUN": "first",
    "STORAGE_CLASS": "shared",
    "TARGET": "churn",
}
VALUES = NUMBERS | WORDS
FOUND = {path.stem: [*yaml.safe_load_all(render(path, VALUES))] for path in sorted(FOLDER.glob("*.yaml"))}
DOCUMENTS = [document for documents in FOUND.values() for document in documents]
RULES = {kind: jsonschema.Draft202012Validator(schema) for kind, schema in KINDS.items()}


def of(kind: str, *, name: str | None = None) -> Manifest:
    """The only document of this kind, or of this kind and name; a copy."""
    (found,) = [each for each in DOCUMENTS if each["kind"] == kind and name in (None, each["metadata"].get("name"))]
    return copy.deepcopy(found)


def clusters() -> dict[str, Manifest]:
    """The three Ray clusters by the kind that brings them up."""
    return {
        "RayCluster": of("RayCluster")["spec"],
        "RayJob": of("RayJob")["spec"]["rayClusterSpec"],
        "RayService": of("RayService")["spec"]["rayClusterConfig"],
    }


def pods() -> Iterator[tuple[str, Manifest]]:
    """Every pod that a manifest describes: where, and its spec."""
    for kind, cluster in clusters().items():
        yield f"{kind} head", cluster["headGroupSpec"]["template"]["spec"]
        for group in cluster["workerGroupSpecs"]:
            yield f"{kind} {group['groupName']}", group["template"]["spec"]
    yield "RayJob submitter", of("RayJob")["spec"]["submitterPodTemplate"]["spec"]


def containers() -> Iterator[tuple[str, Manifest]]:
    for where, pod in pods():
        yield from ((f"{where} {each['name']}", each) for each in pod["containers"])
    for kind, cluster in clusters().items():
        yield f"{kind} autoscaler", cluster["autoscalerOptions"]


def test_every_kind_is_there_and_every_value_is_asked_for_somewhere() -> None:
    assert sorted(FOUND) == [
        "namespace", "network", "podmonitor", "raycluster", "rayjob", "rayservice", "secrets", "storage",
    ]  # fmt: skip
    assert {document["kind"] for document in DOCUMENTS} == set(KINDS)
    assert {name for path in FOLDER.glob("*.yaml") for name in placeholders(path.read_text())} == set(VALUES)
    assert all(f"KubeRay {KUBERAY.rpartition('.')[0]}" in (FOLDER / f"{name}.yaml").read_text()
               for name in ("raycluster", "rayjob", "rayservice"))  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each["kind"])
def test_every_field_is_one_that_its_kind_has(document: Manifest) -> None:
    RULES[document["kind"]].validate(document)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the objects of a document are, the outermost first."""
    if isinstance(value, dict):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each["kind"])
def test_a_misspelt_field_is_found_wherever_fields_are_fixed(document: Manifest) -> None:
    free = {"labels", "matchLabels", "stringData", "rayStartParams", "hard"}  # any name goes, as Kubernetes has it
    tried = 0
    for place in places(document):
        if not free.isdisjoint(place):
            continue
        wrong = copy.deepcopy(document)
        inner = wrong
        for key in place:
            inner = inner[key]
        inner["misspelt"] = {}
        assert not RULES[document["kind"]].is_valid(wrong), place
        tried += 1
    assert tried >= 2


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("backoffLimit",), "1"),
        (("entrypoint",), None),
        (("submissionMode",), "HttpMode"),
        (("rayClusterSpec", "headGroupSpec"), None),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("rayClusterSpec", "authOptions", "mode"), "on"),
    ],
)
def test_a_wrong_type_a_strange_value_and_a_missing_field_are_found(place: tuple[str, ...], value: Any) -> None:
    """value: put there; None: the field is taken away."""
    job = of("RayJob")
    inner = job["spec"]
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    if value is not None:
        inner[place[-1]] = value
    assert not RULES["RayJob"].is_valid(job)


def test_each_cluster_asks_for_the_token_of_a_secret_that_is_there() -> None:
    for cluster in clusters().values():
        assert cluster["authOptions"]["mode"] == "token"
        secret = of("Secret", name=cluster["authOptions"]["secretName"])
        assert secret["stringData"] == {"auth_token": VALUES["RAY_AUTH_TOKEN"]}  # the key that the operator looks for
        # The operator refuses tokens for a Ray that it does not know, or one before 2.52.
        assert cluster["rayVersion"] == ray.__version__


def test_the_autoscaler_is_the_second_one_and_has_an_end() -> None:
    for cluster in clusters().values():
        assert cluster["enableInTreeAutoscaling"] is True
        assert cluster["autoscalerOptions"]["version"] == "v2"
        assert all(group["minReplicas"] <= group["maxReplicas"] for group in cluster["workerGroupSpecs"])
    hard = of("ResourceQuota")["spec"]["hard"]
    assert {"requests.cpu", "limits.cpu", "requests.memory", "limits.memory", "requests.nvidia.com/gpu"} <= set(hard)


def test_the_contest_and_the_standing_cluster_have_a_group_with_gpus() -> None:
    for kind in ("RayCluster", "RayJob"):
        (group,) = [each for each in clusters()[kind]["workerGroupSpecs"] if each["groupName"] == "gpu"]
        (container,) = group["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        (toleration,) = group["template"]["spec"]["tolerations"]
        assert toleration == {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def test_requests_are_limits_and_no_container_is_root_or_writes_beside_its_volumes() -> None:
    seen = [where for where, _ in containers()]
    assert len(seen) == 12
    for where, container in containers():
        assert container["resources"]["requests"] == container["resources"]["limits"], where
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True, where
        assert security["allowPrivilegeEscalation"] is False, where
        assert security["capabilities"] == {"drop": ["ALL"]}, where
        assert {"/tmp", "/home/ray"} <= {mount["mountPath"] for mount in container["volumeMounts"]}, where
    for where, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True, where
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
    assert of("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_what_is_mounted_or_named_is_there() -> None:
    secrets = {each["metadata"]["name"] for each in DOCUMENTS if each["kind"] == "Secret"}
    claim = of("PersistentVolumeClaim")["metadata"]["name"]
    for where, pod in pods():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes), where
            assert {each["secretRef"]["name"] for each in container.get("envFrom", [])} <= secrets
            assert container["image"] == VALUES["IMAGE"]
        if "submitter" not in where:
            assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim
            assert volumes["shm"]["emptyDir"]["medium"] == "Memory"  # Ray's object store
            assert pod["containers"][0]["envFrom"][0]["secretRef"]["name"] == "contenders-environment"
    assert {"MLFLOW_TRACKING_URI", "FRAMEWORK_SERVE_TOKEN"} == set(
        of("Secret", name="contenders-environment")["stringData"]
    )
    assert {each["metadata"].get("namespace", "contenders") for each in DOCUMENTS} == {"contenders"}


def test_prometheus_asks_for_ports_that_pods_name_and_the_policy_lets_it() -> None:
    asked = {endpoint["port"] for endpoint in of("PodMonitor")["spec"]["podMetricsEndpoints"]}
    assert asked == {"metrics", "as-metrics", "dash-metrics"}
    heads = [pod["containers"][0]["ports"] for where, pod in pods() if where.endswith("head")]
    assert len(heads) == 3
    for ports in heads:
        assert asked <= {port["name"] for port in ports}
    numbers = {port["containerPort"] for port in heads[0] if port["name"] in asked}
    rules = of("NetworkPolicy")["spec"]["ingress"]
    (monitoring,) = [rule for rule in rules if VALUES["MONITORING_NAMESPACE"] in str(rule["from"])]
    assert {port["port"] for port in monitoring["ports"]} == numbers
    for cluster in clusters().values():
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        assert {group["rayStartParams"]["metrics-export-port"] for group in groups} == {"8080"}
        assert all({"name": "metrics", "containerPort": 8080} in group["template"]["spec"]["containers"][0]["ports"]
                   for group in groups)  # fmt: skip


def test_nobody_outside_reaches_ray_but_who_the_policy_names() -> None:
    policy = of("NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    rules = policy["ingress"]
    every_port = [rule for rule in rules if "ports" not in rule]
    assert [rule["from"] for rule in every_port] == [[{"podSelector": policy["podSelector"]}]]  # Ray's pods themselves
    submitter = of("RayJob")["spec"]["submitterPodTemplate"]["metadata"]["labels"]
    dashboard = [rule["from"] for rule in rules if {"protocol": "TCP", "port": 8265} in rule.get("ports", [])]
    assert {"matchLabels": submitter} in [peer.get("podSelector") for peers in dashboard for peer in peers]
    assert len(dashboard) == 2
    assert all(cluster["headGroupSpec"]["serviceType"] == "ClusterIP" for cluster in clusters().values())


def test_the_job_runs_the_contest_with_options_that_it_has() -> None:
    spec = of("RayJob")["spec"]
    words = spec["entrypoint"].split()
    assert words[:3] == ["python", "-m", "recipes.contest"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert all(option.removeprefix("--") in Config.__dataclass_fields__ for option in given)
    assert given["--out"].startswith("/shared/")
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["activeDeadlineSeconds"] > 60 * float(given["--minutes"])


def test_the_service_s_configuration_is_one_that_ray_serve_takes() -> None:
    spec = of("RayService")["spec"]
    configuration = ServeDeploySchema.model_validate(yaml.safe_load(spec["serveConfigV2"]))
    (application,) = configuration.applications
    assert application.name == APP
    assert application.import_path == "framework.serving.application:build"
    assert application.args["models"] == {"churn": "models:/churn@champion"}
    (group,) = spec["rayClusterConfig"]["workerGroupSpecs"]
    (deployment,) = application.deployments
    assert deployment.autoscaling_config["min_replicas"] <= group["minReplicas"] * deployment.max_replicas_per_node
    assert deployment.autoscaling_config["max_replicas"] <= group["maxReplicas"] * deployment.max_replicas_per_node
    assert deployment.ray_actor_options.num_cpus <= float(VALUES["WORKER_CPUS"])
    for where, pod in pods():
        if where.startswith("RayService"):
            environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
            assert environment == spread(), where  # the same way in as `recipes.serve` on a cluster
