"""The serving application as a Serve configuration names it: `import_path: framework.serving.application:build`."""

import os
from typing import Any

from framework.registry import resolve
from framework.serving.deployment import APP, ServingError, application
from framework.serving.endpoint import PORT, TOKEN
from framework.serving.guard import digest
from framework.serving.source import pinned, version


def build(args: dict[str, Any]) -> Any:
    """The application that serves these models on a cluster, bound for Ray Serve.

    args: {"models": {what it is asked by: models:/NAME@alias or models:/NAME/VERSION}}. An alias is pinned here to the
    version that it means, so that all replicas serve the same one; a deployment anew moves on.
    Replicas fetch the models through MLFLOW_TRACKING_URI; clients bear the token of FRAMEWORK_SERVE_TOKEN.
    Raises ServingError without models or without a token, RegistryError for a model that is not there: Serve then keeps
    what it serves and tells the sentence in `serve status`.
    """
    models, token = args.get("models"), os.environ.get(TOKEN)
    if not models or not isinstance(models, dict):
        raise ServingError(f"args of {APP} hold no models: {args!r}. Write models: {{NAME: models:/NAME@champion}}.")
    if not token:
        raise ServingError(f"a cluster's address is reached from the network: set {TOKEN} in its pods.")
    uris = {str(name): pinned(str(uri), resolve(str(uri)).resolve()) for name, uri in models.items()}
    sources = {name: {"uri": uri, "version": version(uri), "folder": None} for name, uri in uris.items()}
    return application({"models": sources, "token": digest(token.encode()), "replicas": 1, "port": PORT})
