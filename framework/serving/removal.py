"""A registered model taken out of the registry, unless it serves."""

from collections.abc import Mapping
from typing import Any

from framework.serving.request import RequestError
from framework.serving.source import registered


def check_idle(name: str, models: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises RequestError (409) where a model of this name, or one registered under it, is served.

    models: the served ones' sources, as a replica's configuration has them.
    """
    for asked_by, source in models.items():
        if name in (asked_by, registered(str(source["uri"]))):
            raise RequestError(
                f"{name!r} serves traffic, as {asked_by!r}. Take it down first: python -m recipes.unserve {asked_by}",
                status=409,
            )


def remove(name: str) -> dict[str, Any]:
    """Deletes a name of the registry with all its versions and aliases; their runs keep the models' files.

    Raises RequestError: 404 for a name that is not there, 503 when the registry cannot be reached.
    """
    from framework.registry import RegistryError, versions
    from framework.tracking import TrackingError, client

    try:
        found = [each.version for each in versions(name)]
    except RegistryError as error:
        raise RequestError(str(error), status=404) from error
    except TrackingError as error:
        raise RequestError(str(error), status=503) from error
    client().delete_registered_model(name)
    return {"deleted": name, "versions": sorted(found)}
