"""A route that says who may ask it: none can be written without."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.access import Role
from framework.serving.request import RequestError

Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(method: str, path: str, endpoint: Endpoint, *roles: Role) -> Route:
    """The endpoint for whoever has one of these roles, and for an administrator; for nobody else."""
    needed = frozenset((*roles, "admin"))

    async def allowed(request: Request) -> Response:
        if needed.isdisjoint(request.scope["roles"]):
            raise RequestError(
                f"{method} {request.url.path[:200]} asks for a token with the role {' or '.join(roles or ('admin',))}.",
                status=403,
            )
        return await endpoint(request)

    return Route(path, allowed, methods=[method])


def unguarded(path: str, endpoint: Endpoint) -> Route:
    """What load balancers ask, without a token."""
    return Route(path, endpoint, methods=["GET"])
