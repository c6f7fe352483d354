"""Saved synthesizers put behind HTTP, on the server that models are served by."""

from collections.abc import Sequence
from pathlib import Path

from cluster.user_error import UserError
from framework.serving.endpoint import serve_data
from framework.serving.source import registered
from synthetic.fitted import Fitted
from synthetic.registered import found
from synthetic.service.service import BUFFERED, MOST_ROWS

MAKE = "synthetic.service.service:Service"


class ServiceError(UserError):
    """Synthesizers that cannot be served together."""


def serve_rows(
    folders: Sequence[Path | str],
    *,
    name: str = "synthetic",
    host: str = "127.0.0.1",
    port: int | None = None,
    most_rows: int = MOST_ROWS,
    buffered: int = BUFFERED,
    token: str | None = None,
) -> str:
    """Has these synthesizers answer /api/v1/data/NAME, each by its folder's or its registered name; returns that
    address.

    folders: that `Fitted.save` wrote, or models:/NAME@alias, models:/NAME/VERSION; on a cluster of several nodes on a
    disk that all of them see. An alias means the version that it points to now. host, port, token: as `serve` has them.
    most_rows: of one request. buffered: rows of each that are drawn ahead.
    Raises ServiceError, SynthesizerStoreError for a folder that is none and RegistryError for what the registry does
    not have, before anything starts; ServingError.
    """
    if not folders:
        raise ServiceError(
            "no synthesizer is named. Pass a folder that recipes.synthesize --save wrote, or models:/NAME@champion."
        )
    if most_rows < 1 or buffered < 0:
        raise ServiceError(f"most_rows={most_rows} and buffered={buffered} are no numbers of rows.")
    models: dict[str, str] = {}
    for each in folders:
        folder = found(each).resolve()
        called = registered(str(each)) or folder.name
        if called in models:
            raise ServiceError(f"two synthesizers are called {called!r}. Rename one of them.")
        Fitted.load(folder)
        models[called] = str(folder)
    options = {"models": models, "most_rows": most_rows, "buffered": buffered}
    return serve_data(name, MAKE, options, host=host, port=port, token=token)


def curl(url: str, *, token: bool = False) -> str:
    """The command line that asks for ten rows."""
    borne = ' -H "Authorization: Bearer $FRAMEWORK_SERVE_TOKEN"' if token else ""
    return f'curl -s {url}{borne} -d \'{{"n": 10, "seed": 1}}\''
