"""The serving application as a Serve configuration names it: `import_path: framework.serving.application:build`."""

import os
import secrets
from typing import Any

from framework.monitoring.metrics import counting
from framework.registry import resolve
from framework.serving.access import digest
from framework.serving.deployment import APP, ServingError, application
from framework.serving.roots import folders
from framework.serving.server import PORT, TOKEN
from framework.serving.shelf import check_slots
from framework.serving.source import pinned, version
from framework.serving.token_file import configured_tokens


def build(args: dict[str, Any]) -> Any:
    """The application that serves these models on a cluster, bound for Ray Serve.

    args: {"models": {what it is asked by: models:/NAME@alias or models:/NAME/VERSION}}. An alias is pinned here to the
    version that it means, so that all replicas serve the same one; a deployment anew moves on.
    "many": further ones, opened on demand, of which at most "slots" are in memory at once in each replica.
    "observers", as `observing.observers_of` takes them; metrics for Prometheus by default; "roots": folders below which
    batch jobs may read and write files.
    Replicas fetch the models through MLFLOW_TRACKING_URI; clients bear the token of FRAMEWORK_SERVE_TOKEN, or one of
    the file that FRAMEWORK_SERVE_TOKENS names.
    Raises ServingError without models or without a token, RegistryError for a model that is not there: Serve then keeps
    what it serves and tells the sentence in `serve status`.
    """
    models, token = args.get("models"), os.environ.get(TOKEN)
    if not models or not isinstance(models, dict):
        raise ServingError(f"args of {APP} hold no models: {args!r}. Write models: {{NAME: models:/NAME@champion}}.")
    tokens = configured_tokens() or []
    if not token and not tokens:
        raise ServingError(f"a cluster's address is reached from the network: set {TOKEN} in its pods.")
    many = args.get("many") or {}
    if not isinstance(many, dict):
        raise ServingError(f"many in the args of {APP} is {many!r}. Write many: {{NAME: models:/NAME@champion}}.")
    check_slots(args.get("slots"))
    sources, shelved = _sources(models), {each: told for each, told in _sources(many).items() if each not in models}
    guarded = {"token": digest(token.encode()) if token else None, "tokens": [each.to_json() for each in tokens]}
    guarded["secret"] = secrets.token_hex()
    wanted: dict[str, Any] = {"models": sources, **guarded, "replicas": 1, "port": PORT}
    wanted |= {"many": shelved, "slots": args.get("slots")}
    observers = args.get("observers")
    wanted |= {"observers": [counting()] if observers is None else observers, "roots": folders(args.get("roots") or [])}
    return application(wanted)


def _sources(uris: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What replicas open models by: each pinned to a version, and fetched."""
    at = {str(name): pinned(str(uri), resolve(str(uri)).resolve()) for name, uri in uris.items()}
    return {name: {"uri": uri, "version": version(uri), "folder": None} for name, uri in at.items()}
