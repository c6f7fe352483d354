"""Rows that are made at a request and not predicted: what answers /api/v1/data/NAME, plugged in by its name."""

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from framework.serving.request import RequestError

log = logging.getLogger(__name__)


class Maker(Protocol):
    """Makes rows. A layer above this one writes it: `synthetic.service.service` is one."""

    async def answer(self, request: Request) -> Response:
        """The rows that a request asks for. Raises RequestError for what cannot be asked."""
        ...

    def told(self) -> dict[str, Any]:
        """What may be asked of it, as plain data."""
        ...

    def described(self) -> dict[str, Any]:
        """The operation POST of an OpenAPI document, without its operationId."""
        ...


class Data:
    """The makers of one replica, by the names they are asked by."""

    def __init__(self) -> None:
        self.makers: dict[str, Maker] = {}
        self._wanted: dict[str, Mapping[str, Any]] = {}

    def stock(self, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """Makes those that are new or otherwise, forgets those that are gone. Returns what failed: name → why; what was
        there under that name stays.

        wanted: name → {"make": "package.module:function", "options": {its keyword arguments, plain data}}.
        """
        failed: dict[str, str] = {}
        for name in [name for name in self.makers if name not in wanted]:
            del self.makers[name], self._wanted[name]
        for name, each in wanted.items():
            if self._wanted.get(name) == each:
                continue
            try:
                module, _, function = str(each["make"]).partition(":")
                made: Maker = getattr(import_module(module), function)(**each.get("options", {}))
            except Exception as error:  # the border to a maker's files
                log.exception("data %s cannot be made", name)
                failed[name] = str(error)
                continue
            self.makers[name], self._wanted[name] = made, each
        return failed

    def named(self, name: str) -> Maker:
        """Raises RequestError (404) where there is none."""
        if name not in self.makers:
            told = ", ".join(sorted(self.makers)) or "none"
            raise RequestError(f"no data {name[:200]!r} is made here. Made: {told}.", status=404)
        return self.makers[name]

    def described(self) -> dict[str, dict[str, Any]]:
        """The paths of an OpenAPI document."""
        return {
            f"/api/v1/data/{name}": {"post": {"operationId": f"data.{name}", **maker.described()}}
            for name, maker in sorted(self.makers.items())
        }
