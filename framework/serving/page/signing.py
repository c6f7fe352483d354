"""GET and POST /sign-in, POST /sign-out: a token is shown once, and a cookie stands for it for twelve hours."""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from framework.serving.access import Rate
from framework.serving.guard import is_page
from framework.serving.page import cookie
from framework.serving.page.web import form_of, page, redirect, whole
from framework.serving.replica import Replica

WRONG_PER_MINUTE = 30.0  # tokens that are tried and are none; then nobody signs in for a few seconds


def sign_routes(replica: Replica, *, clock: Callable[[], float] = time.monotonic) -> list[Route]:
    wrong = Rate(WRONG_PER_MINUTE, clock)

    async def show(request: Request) -> Response:
        onward = onward_of(request.query_params.get("next", ""))
        if not replica.tokens.asked_for or request.scope["bearer"] is not None:
            return redirect(onward)
        return whole(request, "sign_in.html", onward=onward, problem="")

    async def sign_in(request: Request) -> Response:
        form = await form_of(request)
        onward, tokens = onward_of(form.get("next", "")), replica.tokens
        if not tokens.asked_for:
            return redirect(onward)
        problem, status = "", 401
        if wrong.left() < 1:
            problem, status = "Too many wrong tokens were tried. Wait some seconds, and try again.", 429
        else:
            token = tokens.borne(form.get("token", "").strip().encode())
            if token is not None:
                return remembered(request, redirect(onward), cookie.issue(tokens, token, now=time.time()))
            wrong.wait()
            problem = "This server does not know that token. Whoever runs it makes one by recipes.new_token."
        return whole(request, "sign_in.html", status=status, onward=onward, problem=problem)

    async def sign_out(request: Request) -> Response:
        return remembered(request, redirect("/sign-in"), "")

    def remembered(request: Request, response: Response, value: str) -> Response:
        """The response with the cookie set; with no value it is forgotten."""
        told = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
        encrypted = told or bool(replica.configuration.get("certificate"))
        seconds = cookie.SECONDS if value else 0
        response.set_cookie(
            cookie.NAME, value, max_age=seconds, path="/", httponly=True, samesite="strict", secure=encrypted
        )
        return response

    return [
        page(replica, "GET", "/sign-in", show),
        page(replica, "POST", "/sign-in", sign_in),
        page(replica, "POST", "/sign-out", sign_out),
    ]


def onward_of(path: str) -> str:
    """Where the sign-in leads to: one of our own pages, whatever the address says."""
    own = is_page(path.partition("?")[0]) and "\\" not in path and path.isprintable()
    return path if own else "/"
