"""Cluster files: machines for `ray up` here, Kubernetes manifests in `cluster/kuberay/`, and what fills them in."""
