"""What our Kubernetes manifests may say: the fields that they use, each with its type, closed to every other one.

Our own statement, written by hand after reading the resource definitions of KubeRay 1.7.0 and the API references of
Kubernetes 1.31 and of the Prometheus operator's PodMonitor v1. A manifest that wants another field needs it here first.
"""

from typing import Any

Schema = dict[str, Any]

KUBERAY = "1.7.0"
TEXT: Schema = {"type": "string", "minLength": 1}
WHOLE: Schema = {"type": "integer", "minimum": 0}
CLAIM: Schema = {"type": "boolean"}
QUANTITY: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|[kMGTPE]i?)?$"}
NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def fields(required: str = "", **allowed: Schema) -> Schema:
    """An object with these fields and no other; `required` names those that must be there."""
    return {
        "type": "object",
        "properties": allowed,
        "required": required.split(),
        "additionalProperties": False,
    }


def some(item: Schema) -> Schema:
    """A list of these, not empty."""
    return {"type": "array", "items": item, "minItems": 1}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def resource(version: str, kind: str, **rest: Schema) -> Schema:
    """One document: its version, kind and metadata, and these further fields, all required."""
    named = fields("namespace", name=NAME, generateName=TEXT, namespace=NAME, labels=TEXTS)
    if kind == "Namespace":
        named = fields("name labels", name=NAME, labels=TEXTS)
    return fields(
        " ".join(["apiVersion kind metadata", *rest]),
        apiVersion=one_of(version),
        kind=one_of(kind),
        metadata=named,
        **rest,
    )


SELECTOR = fields(matchLabels=TEXTS)
AMOUNTS: Schema = {
    "type": "object",
    "properties": {"cpu": QUANTITY, "memory": QUANTITY, "nvidia.com/gpu": QUANTITY},
    "required": ["cpu", "memory"],
    "additionalProperties": False,
}
SIZES = fields("requests limits", requests=AMOUNTS, limits=AMOUNTS)
MOUNT = fields("name mountPath", name=NAME, mountPath={"type": "string", "pattern": "^/"})
CONTAINER_SECURITY = fields(
    "allowPrivilegeEscalation readOnlyRootFilesystem capabilities",
    allowPrivilegeEscalation=CLAIM,
    readOnlyRootFilesystem=CLAIM,
    capabilities=fields("drop", drop=some(TEXT)),
)
CONTAINER = fields(
    "name image resources securityContext volumeMounts",
    name=NAME,
    image=TEXT,
    env=some(fields("name value", name=TEXT, value={"type": "string"})),
    envFrom=some(fields("secretRef", secretRef=fields("name", name=NAME))),
    lifecycle=fields(preStop=fields(exec=fields("command", command=some(TEXT)))),
    ports=some(fields("name containerPort", name={**NAME, "maxLength": 15}, containerPort=WHOLE)),
    resources=SIZES,
    securityContext=CONTAINER_SECURITY,
    volumeMounts=some(MOUNT),
)
POD = fields(
    "containers securityContext volumes",
    automountServiceAccountToken=CLAIM,
    containers=some(CONTAINER),
    enableServiceLinks=CLAIM,
    restartPolicy=one_of("Never"),
    securityContext=fields(
        "runAsNonRoot runAsUser seccompProfile",
        runAsNonRoot=CLAIM,
        runAsUser=WHOLE,
        runAsGroup=WHOLE,
        fsGroup=WHOLE,
        fsGroupChangePolicy=one_of("OnRootMismatch", "Always"),
        seccompProfile=fields("type", type=one_of("RuntimeDefault")),
    ),
    terminationGracePeriodSeconds=WHOLE,
    tolerations=some(
        fields(
            "key operator",
            key=TEXT,
            operator=one_of("Exists", "Equal"),
            effect=one_of("NoSchedule", "PreferNoSchedule", "NoExecute"),
        )
    ),
    topologySpreadConstraints=some(
        fields(
            "maxSkew topologyKey whenUnsatisfiable",
            maxSkew=WHOLE,
            topologyKey=TEXT,
            whenUnsatisfiable=one_of("DoNotSchedule", "ScheduleAnyway"),
            labelSelector=SELECTOR,
        )
    ),
    volumes=some(
        fields(
            "name",
            name=NAME,
            emptyDir=fields(medium=one_of("Memory"), sizeLimit=QUANTITY),
            persistentVolumeClaim=fields("claimName", claimName=NAME),
        )
    ),
)
TEMPLATE = fields("spec", metadata=fields(labels=TEXTS), spec=POD)
RAY_CLUSTER = fields(
    "headGroupSpec rayVersion",
    rayVersion=TEXT,
    enableInTreeAutoscaling=CLAIM,
    autoscalerOptions=fields(
        version=one_of("v1", "v2"),
        idleTimeoutSeconds=WHOLE,
        resources=SIZES,
        securityContext=CONTAINER_SECURITY,
        volumeMounts=some(MOUNT),
    ),
    authOptions=fields("mode", mode=one_of("disabled", "token"), secretName=NAME),
    headGroupSpec=fields(
        "template",
        rayStartParams=TEXTS,
        serviceType=one_of("ClusterIP", "NodePort", "LoadBalancer"),
        template=TEMPLATE,
    ),
    workerGroupSpecs=some(
        fields(
            "groupName template minReplicas maxReplicas",
            groupName=NAME,
            minReplicas=WHOLE,
            maxReplicas=WHOLE,
            rayStartParams=TEXTS,
            template=TEMPLATE,
        )
    ),
)
PORT = fields("protocol port", protocol=one_of("TCP", "UDP"), port=WHOLE)
PEER = fields(podSelector=SELECTOR, namespaceSelector=SELECTOR)

KINDS: dict[str, Schema] = {
    "Namespace": resource("v1", "Namespace"),
    "ResourceQuota": resource(
        "v1", "ResourceQuota", spec=fields("hard", hard={"type": "object", "additionalProperties": QUANTITY})
    ),
    "Secret": resource("v1", "Secret", type=one_of("Opaque"), stringData=TEXTS),
    "PersistentVolumeClaim": resource(
        "v1",
        "PersistentVolumeClaim",
        spec=fields(
            "accessModes resources",
            accessModes=some(one_of("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")),
            storageClassName=NAME,
            resources=fields("requests", requests=fields("storage", storage=QUANTITY)),
        ),
    ),
    "NetworkPolicy": resource(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        spec=fields(
            "podSelector policyTypes",
            podSelector=SELECTOR,
            policyTypes=some(one_of("Ingress", "Egress")),
            ingress=some(fields("from", **{"from": some(PEER), "ports": some(PORT)})),
            egress=some(fields(to=some(PEER), ports=some(PORT))),
        ),
    ),
    "PodMonitor": resource(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        spec=fields(
            "selector podMetricsEndpoints",
            selector=SELECTOR,
            podMetricsEndpoints=some(
                fields(
                    "port",
                    port=TEXT,
                    relabelings=some(
                        fields(action=one_of("replace", "keep", "drop"), sourceLabels=some(TEXT), targetLabel=TEXT)
                    ),
                )
            ),
        ),
    ),
    "RayCluster": resource("ray.io/v1", "RayCluster", spec=RAY_CLUSTER),
    "RayJob": resource(
        "ray.io/v1",
        "RayJob",
        spec=fields(
            "entrypoint rayClusterSpec",
            entrypoint=TEXT,
            shutdownAfterJobFinishes=CLAIM,
            ttlSecondsAfterFinished=WHOLE,
            backoffLimit=WHOLE,
            activeDeadlineSeconds={"type": "integer", "minimum": 1},
            submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"),
            submitterPodTemplate=TEMPLATE,
            rayClusterSpec=RAY_CLUSTER,
        ),
    ),
    "RayService": resource(
        "ray.io/v1",
        "RayService",
        spec=fields(
            "rayClusterConfig serveConfigV2",
            serveConfigV2=TEXT,
            upgradeStrategy=fields("type", type=one_of("NewCluster", "None", "NewClusterWithIncrementalUpgrade")),
            rayClusterDeletionDelaySeconds=WHOLE,
            excludeHeadPodFromServeSvc=CLAIM,
            rayClusterConfig=RAY_CLUSTER,
        ),
    ),
}
