"""How a page goes out: rendered, under a strict policy; asked for by whom it may; a refusal as a sentence on a page."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from cluster.user_error import UserError
from framework.serving.access import Role
from framework.serving.answer import status_of
from framework.serving.page.numbers import FILTERS
from framework.serving.replica import Replica
from framework.serving.request import RequestError, read_body

ASSETS = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
FRAGMENT = "x-fragment"  # the header by which page.js asks for a part of a page
MOST_BYTES = 256 * 1024  # of a form
MOST_FIELDS = 20_000
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}

Endpoint = Callable[[Request], Awaitable[Response]]


def page(replica: Replica, method: str, path: str, endpoint: Endpoint, *roles: Role) -> Route:
    """An address of the page, for whoever has one of these roles and for an administrator; without roles for anybody.

    Who is not signed in is sent to the sign-in. What changes or computes something is asked by our own pages alone.
    """

    async def shown(request: Request) -> Response:
        try:
            if method != "GET":
                check_origin(request)
            if roles and not may(request, *roles):
                if replica.tokens.asked_for and request.scope["bearer"] is None:
                    return to_sign_in(request)
                raise RequestError(f"this takes a token with the role {' or '.join(roles)}.", status=403)
            return await endpoint(request)
        except UserError as error:
            return refused(request, error)

    return Route(path, shown, methods=[method])


def may(request: Request, *roles: Role) -> bool:
    """Whether who asks has one of these roles, or is an administrator."""
    return not request.scope["roles"].isdisjoint({*roles, "admin"})


def check_origin(request: Request) -> None:
    """Raises RequestError (403) for a form that another site has sent, or that does not say where it comes from."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin", "")
    own = site == "same-origin" if site is not None else origin.partition("//")[2] == request.headers.get("host", " ")
    if not own:
        raise RequestError("this form was not sent from this server's own pages.", status=403)


def render(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A template with its values, all of them escaped."""
    return HTMLResponse(templates().get_template(template).render(**values), status, HEADERS)


def whole(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page with its frame: who is signed in, and where one may go."""
    roles = request.scope["roles"]
    frame = {"bearer": request.scope["bearer"], "looks": bool(roles), "path": request.url.path}
    return render(template, status=status, **frame, **values)


def piece(request: Request, template: str, *, title: str, **values: Any) -> HTMLResponse:
    """A part of a page, as page.js puts it into its place; a page of its own for a browser without scripts."""
    if is_fragment(request):
        return render(template, **values)
    return whole(request, "alone.html", inside=template, title=title, **values)


def refused(request: Request, error: UserError) -> Response:
    """The sentence of a refusal, as a page or as the part of one that was asked for."""
    name = "_problem.html" if is_fragment(request) else "problem.html"
    return whole(request, name, status=status_of(error), problem=str(error))


def to_sign_in(request: Request) -> Response:
    if is_fragment(request) or request.method != "GET":
        problem = RequestError("your session is over. Load the page again and sign in.", status=401)
        return refused(request, problem)
    return redirect("/sign-in" + ("" if request.url.path == "/" else f"?next={quote(request.url.path)}"))


def redirect(path: str) -> Response:
    return RedirectResponse(path, 303, headers=HEADERS)


def is_fragment(request: Request) -> bool:
    return FRAGMENT in request.headers


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form, of one that came twice the last. Raises RequestError for what is no form, or too large."""
    body = await read_body(request.stream(), declared=request.headers.get("content-length"), most=MOST_BYTES)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise RequestError(f"the form cannot be read ({error}).") from error


def asset_routes() -> list[Route]:
    """What the pages are dressed with; their addresses carry a digest, so a browser may keep them."""

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ASSETS:
            return Response("there is no such file", 404, {"content-type": "text/plain"})
        keep = {**HEADERS, "cache-control": "public, max-age=31536000, immutable"}
        return Response(content_of(name), media_type=ASSETS[name], headers=keep)

    return [Route("/assets/{name}", asset, methods=["GET"])]


@cache
def content_of(name: str) -> bytes:
    return files(__package__).joinpath("assets", name).read_bytes()


def address_of(name: str) -> str:
    """The address of an asset."""
    return f"/assets/{name}?v={hashlib.sha256(content_of(name)).hexdigest()[:12]}"


@cache
def templates() -> Environment:
    found = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Callable[..., str]] = FILTERS
    found.filters |= filters
    found.globals["asset"] = address_of
    return found
